package githubapp_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cromt/cromt/bot/githubapp"
	"github.com/cromt/cromt/bot/githubtest"
)

func TestFile(t *testing.T) {
	w := newWorld(t, nil)
	w.repo.SetFile(sha, "jobs.yaml", "projects: {}\n")
	w.repo.SetFile(sha, "ci/deep/jobs.yaml", "x: 1\n")
	w.repo.SetFile(sha, "link", "jobs.yaml")
	w.repo.SetMode("link", "120000")
	w.repo.SetFile(sha, "linked/x", "y")
	w.repo.SetFile(sha, "run.sh", "#!/bin/sh\n")
	w.repo.SetMode("run.sh", "100755")
	w.repo.SetFile(sha, "module", other)
	w.repo.SetMode("module", "160000")
	w.repo.SetFile(sha, "a b#?%.txt", "odd")
	w.repo.SetFile(sha, "most", strings.Repeat("x", githubapp.MaxFile))
	w.repo.SetFile(sha, "more", strings.Repeat("x", githubapp.MaxFile+1))
	w.repo.SetFile(sha, "empty", "")
	w.repo.SetBranch("feature/x", other)
	w.repo.SetFile("feature/x", "jobs.yaml", "other: {}\n")
	r := w.open()
	for at, want := range map[string]string{
		"jobs.yaml " + sha: "projects: {}\n", "ci/deep/jobs.yaml " + sha: "x: 1\n", "jobs.yaml feature/x": "other: {}\n",
		"run.sh main": "#!/bin/sh\n", "a b#?%.txt " + sha: "odd", "most main": strings.Repeat("x", githubapp.MaxFile), "empty main": "",
	} {
		i := strings.LastIndex(at, " ")
		if got, err := r.File(t.Context(), at[:i], at[i+1:]); err != nil || !bytes.Equal(got, []byte(want)) {
			t.Errorf("%s: %.50q, %v", at, got, err)
		}
	}
	for path, tc := range map[string]struct {
		is   error
		want string
	}{
		"none.yaml": {githubapp.ErrNotFound, "file none.yaml at main of octo/app"}, "ci/none": {githubapp.ErrNotFound, ""}, "jobs.yaml/x": {githubapp.ErrNotFound, "no folder"},
		"ci": {githubapp.ErrNotFile, "folder"}, "link": {githubapp.ErrNotFile, "symbolic link"}, "link/x": {githubapp.ErrNotFile, "symbolic link"},
		"module": {githubapp.ErrNotFile, "repository of its own"}, "more": {nil, "larger than 4 MiB"},
		"": {nil, "path"}, "/etc/passwd": {nil, "path"}, "../x": {nil, "path"}, "ci/../jobs.yaml": {nil, "path"}, "ci//x": {nil, "path"},
		"a\x00b": {nil, "path"}, strings.Repeat("a/", 20) + "a": {nil, "path"},
	} {
		if got, err := r.File(t.Context(), path, "main"); err == nil || tc.is != nil && !errors.Is(err, tc.is) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: %.50q, %v", path, got, err)
		}
	}
	if _, err := r.File(t.Context(), "jobs.yaml", "gone"); !errors.Is(err, githubapp.ErrGone) {
		t.Errorf("unknown ref: %v", err)
	}
}

// Whatever would be another path of the API, or something else to git, is not sent.
func TestHostileNames(t *testing.T) {
	w := newWorld(t, nil)
	r := w.open()
	for _, ref := range []string{
		"", "-x", "a b", "a..b", "../../../user", "a/../b", "/a", "a/", "a//b", ".a", "a.lock", "a@{1}", "@", "a~1", "a^", "a:b", "a?b", "a*b", "a[b", `a\b`, "a\nb", "a\xffb",
		strings.Repeat("0", 40), strings.Repeat("a", 256),
	} {
		_, err := r.File(t.Context(), "jobs.yaml", ref)
		_, err2 := r.Commit(t.Context(), ref)
		_, _, err3 := r.Compare(t.Context(), ref, sha)
		_, _, err4 := r.Compare(t.Context(), sha, ref)
		for _, err := range []error{err, err2, err3, err4} {
			if err == nil || !strings.HasPrefix(err.Error(), "ref ") {
				t.Errorf("ref %q: %v", ref, err)
			}
		}
	}
	for _, name := range []string{"", "octo", "octo/app/x", "../app", "octo/..", "octo/a?b", "octo/a b"} {
		bad := w.app.Repo(w.installation, name)
		_, err := bad.DefaultBranch(t.Context())
		_, _, err2 := bad.CloneToken(t.Context())
		_, err3 := bad.Reply(t.Context(), 1, "<!-- x -->", "x")
		_, err4 := bad.Checks().PullRequest(t.Context(), repoName, 1)
		for i, err := range []error{err, err2, err3, err4} {
			if err == nil || !strings.Contains(err.Error(), "owner/name") {
				t.Errorf("repository %q, %d: %v", name, i, err)
			}
		}
	}
	if n := len(w.gh.Requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestCommit(t *testing.T) {
	w := newWorld(t, nil)
	w.repo.SetMessage(sha, githubtest.Message{Text: "fix\n\n[skip ci]", Author: "octocat", Name: "Octo Cat"})
	r := w.open()
	for _, ref := range []string{sha, "main"} {
		got, err := r.Commit(t.Context(), ref)
		if err != nil || got.SHA != sha || got.Message != "fix\n\n[skip ci]" || got.Author != "octocat" || got.Name != "Octo Cat" || got.Date.IsZero() {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if _, err := r.Commit(t.Context(), other); !errors.Is(err, githubapp.ErrNotFound) || !strings.Contains(err.Error(), "there is none of this name") {
		t.Error(err)
	}
	w.gh.Violations()
}

func TestChangedFiles(t *testing.T) {
	w := newWorld(t, nil)
	files := func(n int) []string {
		out := []string{"old.txt => new.txt"}
		for i := range n - 1 {
			out = append(out, fmt.Sprint("f", i))
		}
		return out
	}
	w.repo.SetBranch("feature/x", other)
	for i, tc := range []struct {
		n        int
		complete bool
	}{{1, true}, {100, true}, {250, true}, {2999, true}, {3000, false}, {3500, false}} {
		w.repo.AddPull(githubtest.Pull{Number: i + 1, HeadSHA: sha, HeadRef: "topic", BaseSHA: other, Files: files(tc.n)})
		got, complete, err := w.open().PullFiles(t.Context(), i+1)
		if err != nil || complete != tc.complete || len(got) != min(tc.n, 3000)+1 || got[0] != "new.txt" || got[1] != "old.txt" {
			t.Errorf("%d files: %d, complete %t, %v", tc.n, len(got), complete, err)
		}
	}
	for _, tc := range []struct {
		n        int
		complete bool
	}{{2, true}, {299, true}, {300, false}, {400, false}} {
		w.repo.SetCompare("feature/x", sha, files(tc.n)...)
		got, complete, err := w.open().Compare(t.Context(), "feature/x", sha)
		if err != nil || complete != tc.complete || len(got) != min(tc.n, 300)+1 || !slices.Contains(got, "old.txt") {
			t.Errorf("%d files: %d, complete %t, %v", tc.n, len(got), complete, err)
		}
	}
	if _, _, err := w.open().PullFiles(t.Context(), 99); !errors.Is(err, githubapp.ErrGone) {
		t.Error(err)
	}
}

func TestOpenPulls(t *testing.T) {
	w := newWorld(t, nil)
	for n := 1; n <= 130; n++ {
		p := githubtest.Pull{Number: n, HeadSHA: sha, HeadRef: "topic", BaseSHA: other}
		if n%10 == 0 {
			p.State = "closed"
		}
		if n == 5 {
			p.HeadRepo = "stranger/app"
		}
		w.repo.AddPull(p)
	}
	seen, forks := 0, 0
	for p, err := range w.open().OpenPulls(t.Context()) {
		if err != nil || !p.Open || p.HeadSHA != sha {
			t.Fatal(p, err)
		}
		if seen++; p.Fork {
			forks++
		}
	}
	if seen != 117 || forks != 1 {
		t.Errorf("%d pull requests, %d of forks", seen, forks)
	}
	for range w.open().OpenPulls(t.Context()) {
		break
	}
	for _, err := range w.app.Repo(w.installation, "octo/none").OpenPulls(t.Context()) {
		if !errors.Is(err, githubapp.ErrGone) {
			t.Error(err)
		}
	}
}

func TestComments(t *testing.T) {
	const marker = "<!-- cromt:reply -->"
	w := newWorld(t, nil)
	w.repo.AddPull(githubtest.Pull{Number: 7, HeadSHA: sha, HeadRef: "topic", BaseSHA: other})
	asked := w.repo.AddComment(7, "octocat", "/cromt rnu")
	r := w.open()
	for range 2 {
		if err := r.React(t.Context(), asked, "eyes"); err != nil {
			t.Fatal(err)
		}
	}
	id, err := r.Reply(t.Context(), 7, marker, "did you mean run?")
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.Reply(t.Context(), 7, marker, "other")
	if err != nil || again != id {
		t.Error(again, id, err)
	}
	if err := r.EditReply(t.Context(), id, marker, "last"); err != nil {
		t.Error(err)
	}
	all := w.repo.Comments(7)
	if len(all) != 2 || all[1].Body != marker+"\nlast" || all[1].User != "cromt[bot]" || len(all[0].Reactions) != 1 || all[0].Reactions[0].Content != "eyes" {
		t.Errorf("%+v", all)
	}
	if err := r.EditReply(t.Context(), 999, marker, "x"); !errors.Is(err, githubapp.ErrNotFound) {
		t.Error(err)
	}
	if err := r.React(t.Context(), 999, "eyes"); !errors.Is(err, githubapp.ErrGone) {
		t.Error(err)
	}
	if err := r.React(t.Context(), asked, "thumbsup"); err == nil {
		t.Error("a reaction that GitHub does not know")
	}
}
