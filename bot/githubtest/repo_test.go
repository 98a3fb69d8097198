package githubtest_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-github/v60/github"

	"github.com/cromt/cromt/bot/githubtest"
)

func TestPulls(t *testing.T) {
	s, r, token := world(t)
	r.AddPull(githubtest.Pull{Number: 8, HeadSHA: unseen, HeadRef: "patch", HeadRepo: "fork/app", User: "fork", BaseSHA: other, Files: []string{"jobs.yaml"}})
	r.AddPull(githubtest.Pull{Number: 9, HeadSHA: unseen, HeadRef: "gone", HeadRepoGone: true, BaseSHA: other, State: "closed"})
	c := client(s, token).PullRequests
	for number, want := range map[int]string{7: "octo/app topic open", 8: "fork/app patch open", 9: " gone closed"} {
		p, _, err := c.Get(t.Context(), "octo", "app", number)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(p.GetHead().GetRepo().GetFullName(), " ", p.GetHead().GetRef(), " ", p.GetState()); got != want || p.GetBase().GetRepo().GetFullName() != "octo/app" {
			t.Errorf("pull %d: %s, want %s", number, got, want)
		}
	}
	for _, tc := range []struct {
		opts github.PullRequestListOptions
		want string
	}{
		{github.PullRequestListOptions{}, "8 7"},
		{github.PullRequestListOptions{State: "all", Direction: "asc"}, "7 8 9"},
		{github.PullRequestListOptions{Head: "fork:patch"}, "8"},
		{github.PullRequestListOptions{Base: "release"}, ""},
	} {
		list, _, err := c.List(t.Context(), "octo", "app", &tc.opts)
		if err != nil {
			t.Fatal(err)
		}
		if got := numbers(list); got != tc.want {
			t.Errorf("%+v: %s, want %s", tc.opts, got, tc.want)
		}
	}
	files, _, err := c.ListFiles(t.Context(), "octo", "app", 8, nil)
	if err != nil || len(files) != 1 || files[0].GetFilename() != "jobs.yaml" {
		t.Errorf("files %v, %v", files, err)
	}
	of, _, err := c.ListPullRequestsWithCommit(t.Context(), "octo", "app", unseen, nil)
	if err != nil || numbers(of) != "9 8" {
		t.Errorf("pulls of a commit %s, %v", numbers(of), err)
	}
	if _, _, err := c.Get(t.Context(), "octo", "app", 10); statusOf(err) != http.StatusNotFound {
		t.Errorf("unknown pull: %v", err)
	}
}

// A fork's head commit takes check runs in the base repository, which are not
// listed with the pull request.
func TestCheckRunOfFork(t *testing.T) {
	s, r, token := world(t)
	r.AddPull(githubtest.Pull{Number: 8, HeadSHA: unseen, HeadRef: "patch", HeadRepo: "fork/app", BaseSHA: other})
	got, _, err := client(s, token).Checks.CreateCheckRun(t.Context(), "octo", "app", github.CreateCheckRunOptions{Name: "cromt", HeadSHA: unseen})
	if err != nil || len(got.PullRequests) != 0 {
		t.Errorf("check run %v, %v", got, err)
	}
}

func numbers(list []*github.PullRequest) string {
	var out []string
	for _, p := range list {
		out = append(out, fmt.Sprint(p.GetNumber()))
	}
	return strings.Join(out, " ")
}

// statusOf is the status in an error of go-github, 0 without one.
func statusOf(err error) int {
	var e *github.ErrorResponse
	if errors.As(err, &e) {
		return e.Response.StatusCode
	}
	return 0
}

func TestPermission(t *testing.T) {
	s, r, token := world(t)
	r.SetPermission("Admin", "admin")
	r.SetPermission("keeper", "maintain")
	r.SetPermission("sorter", "triage")
	r.SetPermission("nobody", "none")
	for user, want := range map[string]string{"admin": "admin admin", "keeper": "write maintain", "sorter": "read triage", "nobody": "none none", "stranger": "read read"} {
		got, _, err := client(s, token).Repositories.GetPermissionLevel(t.Context(), "octo", "app", user)
		if err != nil {
			t.Fatal(err)
		}
		if p := got.GetPermission() + " " + got.GetUser().GetRoleName(); p != want || got.GetUser().GetLogin() != user {
			t.Errorf("%s: %s, want %s", user, p, want)
		}
	}
}

func TestContents(t *testing.T) {
	s, r, token := world(t)
	r.SetFile("main", "jobs.yaml", "projects: {}\n")
	r.SetFile("topic", "ci/jobs.yaml", strings.Repeat("a", 100))
	r.SetFile(other, "large", strings.Repeat("x", 1<<20+1))
	c := client(s, token).Repositories
	for _, tc := range []struct{ ref, path, want string }{
		{"", "jobs.yaml", "projects: {}\n"},
		{other, "jobs.yaml", "projects: {}\n"}, // the commit of main
		{"topic", "ci/jobs.yaml", strings.Repeat("a", 100)},
	} {
		file, _, _, err := c.GetContents(t.Context(), "octo", "app", tc.path, &github.RepositoryContentGetOptions{Ref: tc.ref})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := file.GetContent(); err != nil || got != tc.want {
			t.Errorf("%s at %s: %q, %v", tc.path, tc.ref, got, err)
		}
	}
	_, dir, _, err := c.GetContents(t.Context(), "octo", "app", "", &github.RepositoryContentGetOptions{Ref: "topic"})
	if err != nil || len(dir) != 1 || dir[0].GetType() != "dir" || dir[0].GetName() != "ci" {
		t.Errorf("folder %v, %v", dir, err)
	}
	if _, _, _, err := c.GetContents(t.Context(), "octo", "app", "jobs.yaml", &github.RepositoryContentGetOptions{Ref: "topic"}); statusOf(err) != http.StatusNotFound {
		t.Errorf("missing file: %v", err)
	}
	large, _, _, err := c.GetContents(t.Context(), "octo", "app", "large", nil)
	if err != nil || large.GetEncoding() != "none" || large.GetSize() != 1<<20+1 {
		t.Errorf("large file %v, %v", large, err)
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.github.test/repos/octo/app/contents/jobs.yaml", nil)
	req.Header.Set("Authorization", "token "+token)
	req.Header.Set("Accept", "application/vnd.github.raw+json")
	res, err := s.Transport().RoundTrip(req)
	if err != nil || res.ContentLength != int64(len("projects: {}\n")) && res.StatusCode != http.StatusOK {
		t.Errorf("raw: %v, %v", res, err)
	}
}

func TestCommitsSuitesStatuses(t *testing.T) {
	s, r, token := world(t)
	c := client(s, token)
	commit, _, err := c.Repositories.GetCommit(t.Context(), "octo", "app", "topic", nil)
	if err != nil || commit.GetSHA() != sha {
		t.Errorf("commit %v, %v", commit, err)
	}
	if _, _, err := c.Repositories.GetCommit(t.Context(), "octo", "app", unseen, nil); statusOf(err) != http.StatusUnprocessableEntity {
		t.Errorf("unknown commit: %v", err)
	}
	send(t, s, token, "POST", run, check(nil))
	suites, _, err := c.Checks.ListCheckSuitesForRef(t.Context(), "octo", "app", sha, nil)
	if err != nil || suites.GetTotal() != 1 || suites.CheckSuites[0].GetStatus() != "in_progress" {
		t.Fatalf("suites %v, %v", suites, err)
	}
	id := suites.CheckSuites[0].GetID()
	send(t, s, token, "PATCH", run+"/"+itoa(r.CheckRuns()[0].ID), `{"conclusion":"failure"}`)
	if suite, _, err := c.Checks.GetCheckSuite(t.Context(), "octo", "app", id); err != nil || suite.GetConclusion() != "failure" {
		t.Errorf("suite %v, %v", suite, err)
	}
	if runs, _, err := c.Checks.ListCheckRunsCheckSuite(t.Context(), "octo", "app", id, nil); err != nil || runs.GetTotal() != 1 {
		t.Errorf("check runs of a suite %v, %v", runs, err)
	}
	for _, state := range []string{"pending", "success"} {
		if _, _, err := c.Repositories.CreateStatus(t.Context(), "octo", "app", sha, &github.RepoStatus{State: &state, Context: github.String("cromt")}); err != nil {
			t.Fatal(err)
		}
	}
	if list, _, err := c.Repositories.ListStatuses(t.Context(), "octo", "app", sha, nil); err != nil || len(list) != 2 || list[0].GetState() != "success" {
		t.Errorf("statuses %v, %v", list, err)
	}
	if all, _, err := c.Repositories.GetCombinedStatus(t.Context(), "octo", "app", sha, nil); err != nil || all.GetState() != "success" || all.GetTotalCount() != 1 {
		t.Errorf("combined status %v, %v", all, err)
	}
	if len(r.Statuses()) != 2 {
		t.Errorf("statuses %v", r.Statuses())
	}
	send(t, s, token, "POST", "/repos/octo/app/statuses/"+sha, `{"state":"success","description":"`+strings.Repeat("x", 141)+`"}`)
	takeOne(t, s, "140 characters")
}

func TestRepoAndRateLimit(t *testing.T) {
	s, _, token := world(t)
	c := client(s, token)
	if repo, _, err := c.Repositories.Get(t.Context(), "octo", "app"); err != nil || repo.GetFullName() != "octo/app" || repo.GetDefaultBranch() != "main" {
		t.Errorf("repository %v, %v", repo, err)
	}
	limits, _, err := c.RateLimit.Get(t.Context())
	if err != nil || limits.GetCore().Limit != 5000 || limits.GetCore().Remaining != 4999 {
		t.Errorf("limits %v, %v", limits, err)
	}
}
