//go:build unix

package main

import (
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/bot/githubtest"
)

// newReportedJob returns a job for a comment on pull request 3, whose flow ends
// with a job that prints that it is done. All that can be shown on GitHub is
// asked for.
func newReportedJob(t *testing.T, script string) *workflowJob {
	t.Helper()
	files := map[string]string{"jobs.yaml": twoHosts, ".tom/step.bash": script}
	j := newWorkflowJob(t, files)
	j.repo.AddPull(githubtest.Pull{Number: 3, HeadSHA: j.sha, HeadRef: "topic"})
	j.event("pull_request", map[string]any{
		"action": "opened", "number": 3, "pull_request": map[string]any{
			"number": 3, "title": "One", "state": "open", "user": map[string]any{"login": "octo", "id": 1, "type": "User"},
			"head": map[string]any{"ref": "topic", "sha": j.sha, "repo": map[string]any{"id": 1, "name": "app", "full_name": actionRepo, "owner": map[string]any{"login": "octo", "id": 1}}},
			"base": map[string]any{"ref": "main", "sha": strings.Repeat("1", 40)}, "author_association": "OWNER", "html_url": "https://github.com/" + actionRepo + "/pull/3",
		},
	})
	j.env["GITHUB_REF"] = "refs/pull/3/merge"
	j.token(mayWrite)
	j.inputs(map[string]string{"checks": "per-host", "comment": "true"})
	return j
}

// A token that may not write is no failure, whatever the run's result: one
// notice and the summary say what is missing and what to do.
func TestActionTokenThatMayNot(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(j *workflowJob)
		want   []string
	}{
		{"read-only", func(j *workflowJob) { j.token(map[string]string{"contents": "read", "metadata": "read"}) },
			[]string{"check runs were not posted: the token may not do it (403", "permissions: checks: write", "there is no comment: "}},
		{"expired", func(j *workflowJob) {
			j.inputs(map[string]string{"github-token": j.gh.Token(githubtest.Token{App: true, Permissions: mayWrite, Expires: time.Now().Add(-time.Minute)})})
		}, []string{"check runs were not posted: GitHub does not accept the token (401 Bad credentials)", "there is no comment: "}},
		{"none", func(j *workflowJob) { j.inputs(map[string]string{"github-token": ""}) },
			[]string{"there are no check runs: the input github-token is empty", "there is no comment: the input github-token is empty"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			j := newReportedJob(t, "echo hello\n")
			c.change(j)
			r := j.run()
			r.expect(t, 0, "success")
			notices := annotationsIn(r.log, "notice")
			if len(notices) != 1 || len(annotationsIn(r.log, "error"))+len(annotationsIn(r.log, "warning")) != 0 {
				t.Fatalf("notices %q\n%s", notices, r.log)
			}
			for _, want := range c.want {
				if !strings.Contains(notices[0], want) {
					t.Errorf("%q is not in %s", want, notices[0])
				}
				expectIn(t, "report", strings.Join(r.report.Notes, "\n"), want)
			}
			if n := strings.Count(r.summary, "- Note: "); n != len(r.report.Notes) {
				t.Errorf("%d notes in the summary, %d in the report\n%s", n, len(r.report.Notes), r.summary)
			}
		})
	}
}

// A GitHub that is down for the whole run changes nothing of its result. The
// step is told to end while it still tries, so that the test need not wait.
func TestActionGitHubDown(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault githubtest.Fault
		want  string
	}{
		{"errors", githubtest.Fault{Status: http.StatusInternalServerError, Body: `{"message":"Server Error"}`}, "GitHub answered 500"},
		{"limit", githubtest.Fault{Status: http.StatusForbidden, Header: http.Header{"Retry-After": {"600"}}, Body: `{"message":"You have exceeded a secondary rate limit"}`},
			"GitHub's rate limit is used up (403"},
		{"no answer", githubtest.Fault{Delay: time.Hour}, ""},
		{"garbage", githubtest.Fault{Status: http.StatusOK, Garbage: true}, "GitHub"},
		{"no connection", githubtest.Fault{DropBefore: true}, "GitHub cannot be reached"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			j := newReportedJob(t, "echo 'it broke' >&2; exit 7\n")
			j.gh.Fault(func(*http.Request, int) *githubtest.Fault { return &c.fault })
			cmd, log, wait := j.start()
			waitFor(t, "the jobs' ends", func() bool { return strings.Count(log.String(), "✗ failure") == 2 })
			r := interrupt(t, cmd, os.Interrupt, termAfter, wait)
			r.expect(t, 1, "failure")
			notices := annotationsIn(r.log, "notice")
			if len(notices) != 1 {
				t.Fatalf("notices %q\n%s", notices, r.log)
			}
			for _, want := range []string{"check run cromt (action) could not be concluded", "there is no comment", c.want} {
				expectIn(t, "notice", notices[0], want)
			}
			expectIn(t, "summary", r.summary, "2 failed", "it broke", "check run cromt (action) could not be concluded", "there is no comment")
			if len(annotationsIn(r.log, "error")) != 2 {
				t.Errorf("annotations\n%s", r.log)
			}
		})
	}
}

// What GitHub refuses for a while is posted all the same, once.
func TestActionGitHubThatComesBack(t *testing.T) {
	t.Parallel()
	j := newReportedJob(t, "echo hello\n")
	rng := rand.New(rand.NewPCG(5, 6))
	j.gh.Fault(func(r *http.Request, n int) *githubtest.Fault {
		switch {
		case n < 3 || rng.IntN(10) < 2:
			return &githubtest.Fault{Status: http.StatusBadGateway}
		case rng.IntN(10) < 2:
			return &githubtest.Fault{DropAfter: true}
		}
		return nil
	})
	r := j.run()
	r.expect(t, 0, "success")
	if strings.Contains(r.log, "::notice") || strings.Contains(r.summary, "Note") {
		t.Errorf("something is missing\n%s", r.log)
	}
	names := map[string]int{}
	for _, k := range j.repo.CheckRuns() {
		names[k.Name]++
		if k.Conclusion != "success" {
			t.Errorf("check run %s: %s %s", k.Name, k.Status, k.Conclusion)
		}
	}
	if comments := j.repo.Comments(3); len(names) != 3 || names["cromt (action)"] != 1 || len(comments) != 1 {
		t.Errorf("check runs %v, %d comments", names, len(comments))
	}
}

// The comment of a job is made once, and edited by later runs, each with one
// request. Another job has its own, and nobody else's is touched.
func TestActionComments(t *testing.T) {
	t.Parallel()
	j := newReportedJob(t, "[ $(cat result) = good ]\n")
	j.inputs(map[string]string{"checks": "off"})
	run := func(result, job string) stepResult {
		j.env["GITHUB_SHA"] = j.commit(map[string]string{"result": result})
		j.inputs(map[string]string{"ref": "merge"})
		j.env["GITHUB_JOB"] = job
		for _, name := range []string{"GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"} {
			j.env[name] += "x"
		}
		return j.run()
	}
	run("bad", "flow")
	first := j.repo.Comments(3)
	if len(first) != 1 || !strings.Contains(first[0].Body, "2 failed") || !strings.HasPrefix(first[0].Body, "<!-- cromt-action ") {
		t.Fatalf("comments %+v", first)
	}
	quote := j.repo.AddComment(3, "octocat", first[0].Body)
	writes := j.gh.WriteCount()
	run("good", "flow")
	if n := j.gh.WriteCount() - writes; n != 1 {
		t.Errorf("%d writes", n)
	}
	run("good", "another")
	comments := j.repo.Comments(3)
	if len(comments) != 3 {
		t.Fatalf("comments %+v", comments)
	}
	if comments[0].ID != first[0].ID || !strings.Contains(comments[0].Body, "2 succeeded") || strings.Contains(comments[0].Body, "failed") {
		t.Errorf("edited comment: %s", comments[0].Body)
	}
	if comments[1].ID != quote || comments[1].Body != first[0].Body || !strings.Contains(comments[2].Body, "2 succeeded") {
		t.Errorf("comments %+v", comments)
	}
}
