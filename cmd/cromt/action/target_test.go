package action_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/bot/checks"
	"github.com/cromt/cromt/cmd/cromt/action"
)

const (
	workflowSHA = "1111111111111111111111111111111111111111"
	headSHA     = "ec26c3e57ca3a959ca5aad62de7213c562f8c821" // of testdata's pull request 2
)

// fakeGitHub knows pull request 1 and who may write.
type fakeGitHub struct {
	pull       checks.Pull
	permission string
	err        error
}

func (g *fakeGitHub) PullRequest(_ context.Context, repo string, number int) (checks.Pull, error) {
	if repo != "Codertocat/Hello-World" || number != 1 {
		return checks.Pull{}, errors.New("404")
	}
	return g.pull, g.err
}

func (g *fakeGitHub) Permission(context.Context, string, string) (string, error) {
	return g.permission, g.err
}

// payload reads a payload of testdata, changed.
func payload(t *testing.T, name string, change func(map[string]any)) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "..", "testdata", "webhooks", name))
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(m)
	}
	if data, err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "event.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func step(event, path, ref string) action.Step {
	return action.Step{EventName: event, EventPath: path, SHA: workflowSHA, Ref: ref, Repository: "Codertocat/Hello-World", ServerURL: "https://github.com"}
}

func comment(body string) func(map[string]any) {
	return func(m map[string]any) { m["comment"].(map[string]any)["body"] = body }
}

func fork(repo any) func(map[string]any) {
	return func(m map[string]any) {
		m["pull_request"].(map[string]any)["head"].(map[string]any)["repo"] = repo
	}
}

func TestDecide(t *testing.T) {
	open := checks.Pull{Number: 1, HeadSHA: headSHA, HeadRepo: "Codertocat/Hello-World", Open: true}
	forked := open
	forked.HeadRepo, forked.Fork = "stranger/Hello-World", true
	closed := open
	closed.Open = false
	onPR := "issue_comment/created.on-pr.derived.json"
	stranger := map[string]any{"id": 5, "full_name": "stranger/Hello-World", "name": "Hello-World", "fork": true}
	for _, c := range []struct {
		name, event, file, ref string
		change                 func(map[string]any)
		merge                  bool
		gh                     *fakeGitHub
		want                   action.Target
		err                    string
	}{
		{name: "push", event: "push", file: "push/push.5.json", ref: "refs/heads/master", want: action.Target{SHA: workflowSHA, CheckSHA: workflowSHA}},
		{name: "deleted", event: "push", file: "push/push.3.json", want: action.Target{Skip: "refs/tags/simple-tag was deleted", SHA: workflowSHA, CheckSHA: workflowSHA}},
		{name: "pull request", event: "pull_request", file: "pull_request/synchronize.json", ref: "refs/pull/2/merge",
			want: action.Target{SHA: headSHA, CheckSHA: headSHA, Pull: 2}},
		{name: "merge commit", event: "pull_request", file: "pull_request/synchronize.json", ref: "refs/pull/2/merge", merge: true,
			want: action.Target{SHA: workflowSHA, CheckSHA: headSHA, Pull: 2}},
		{name: "no merge commit", event: "pull_request_target", file: "pull_request/synchronize.json", ref: "refs/heads/master", merge: true, err: "has no merge commit"},
		{name: "fork", event: "pull_request", file: "pull_request/synchronize.json", ref: "refs/pull/2/merge", change: fork(stranger),
			want: action.Target{SHA: headSHA, CheckSHA: headSHA, Pull: 2, Fork: "stranger/Hello-World"}},
		{name: "deleted fork", event: "pull_request", file: "pull_request/synchronize.json", ref: "refs/pull/2/merge", change: fork(nil),
			want: action.Target{SHA: headSHA, CheckSHA: headSHA, Pull: 2, Fork: "a deleted fork"}},
		{name: "own branch with secrets", event: "pull_request_target", file: "pull_request/synchronize.json", ref: "refs/heads/master",
			want: action.Target{SHA: headSHA, CheckSHA: headSHA, Pull: 2}},
		{name: "fork with secrets", event: "pull_request_target", file: "pull_request/synchronize.json", ref: "refs/heads/master", change: fork(stranger),
			err: "pull_request_target gives this workflow secrets and write access, and the code is that of the fork stranger/Hello-World"},
		{name: "review of a fork", event: "pull_request_review", file: "pull_request/synchronize.json", ref: "refs/pull/2/merge", change: fork(stranger),
			want: action.Target{SHA: headSHA, CheckSHA: headSHA, Pull: 2, Fork: "stranger/Hello-World"}},
		{name: "merge group", event: "merge_group", file: "merge_group/checks_requested.json", ref: "refs/heads/gh-readonly-queue/main",
			want: action.Target{SHA: "2ffea6db159f6b6c47a24e778fb9ef40cf6b1c7d", CheckSHA: "2ffea6db159f6b6c47a24e778fb9ef40cf6b1c7d"}},
		{name: "schedule", event: "schedule", file: "schedule/own.json", ref: "refs/heads/main", want: action.Target{SHA: workflowSHA, CheckSHA: workflowSHA}},
		{name: "other workflow", event: "workflow_run", file: "workflow_run/completed.json", ref: "refs/heads/main", want: action.Target{SHA: workflowSHA, CheckSHA: workflowSHA}},
		{name: "other workflow of a fork", event: "workflow_run", file: "workflow_run/completed.json", ref: "refs/heads/main",
			change: func(m map[string]any) {
				m["workflow_run"].(map[string]any)["head_repository"] = map[string]any{"id": 5, "full_name": "stranger/Hello-World", "name": "Hello-World", "fork": true}
			},
			want: action.Target{SHA: workflowSHA, CheckSHA: workflowSHA, OwnOnly: true}},
		{name: "unknown", event: "page_build", file: "ping/ping.json", want: action.Target{SHA: workflowSHA, CheckSHA: workflowSHA}},

		{name: "comment", event: "issue_comment", file: onPR, change: comment("please\r\n/cromt run app db VERSION=\"1 2\"\r\n"), gh: &fakeGitHub{pull: open, permission: "write"},
			want: action.Target{SHA: headSHA, CheckSHA: headSHA, Pull: 1, Projects: []string{"app", "db"}, Vars: map[string]string{"VERSION": "1 2"}}},
		{name: "comment with options", event: "issue_comment", file: onPR, change: comment("/cromt run --fail-fast --timeout=90s"), gh: &fakeGitHub{pull: open, permission: "admin"},
			want: action.Target{SHA: headSHA, CheckSHA: headSHA, Pull: 1, FailFast: true, Timeout: 90 * time.Second}},
		{name: "comment on an issue", event: "issue_comment", file: "issue_comment/created.json", want: action.Target{Skip: "the comment is not on a pull request"}},
		{name: "edited comment", event: "issue_comment", file: "issue_comment/edited.on-pr.derived.json", want: action.Target{Skip: "only a new comment is a command"}},
		{name: "other comment", event: "issue_comment", file: onPR, change: comment("I would `/cromt run` this\n    /cromt run"), want: action.Target{Skip: "the comment has no line that begins with /cromt"}},
		{name: "other verb", event: "issue_comment", file: onPR, change: comment("/cromt status"), want: action.Target{Skip: "/cromt status needs the App; a workflow's step knows only run"}},
		{name: "bot", event: "issue_comment", file: onPR, change: func(m map[string]any) { m["comment"].(map[string]any)["user"].(map[string]any)["type"] = "Bot" },
			want: action.Target{Skip: "bots give no commands"}},
		{name: "unknown verb", event: "issue_comment", file: onPR, change: comment("/cromt rnu"), err: "run"},
		{name: "two commands", event: "issue_comment", file: onPR, change: comment("/cromt run a\n/cromt run b"), err: "2 commands"},
		{name: "no token", event: "issue_comment", file: onPR, err: "give the input github-token"},
		{name: "reader", event: "issue_comment", file: onPR, gh: &fakeGitHub{pull: open, permission: "read"}, err: "Codertocat has no write access"},
		{name: "comment on a fork", event: "issue_comment", file: onPR, gh: &fakeGitHub{pull: forked, permission: "admin"}, err: "the code is that of the fork stranger/Hello-World"},
		{name: "closed", event: "issue_comment", file: onPR, gh: &fakeGitHub{pull: closed, permission: "admin"}, want: action.Target{Skip: "pull request 1 is closed"}},
		{name: "GitHub down", event: "issue_comment", file: onPR, gh: &fakeGitHub{err: errors.New("boom")}, err: "look up permission of Codertocat: boom"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var gh action.GitHub
			if c.gh != nil {
				gh = c.gh
			}
			got, err := action.Decide(t.Context(), step(c.event, payload(t, c.file, c.change), c.ref), action.Inputs{Merge: c.merge}, gh)
			switch {
			case c.err != "":
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("error %v, want %q", err, c.err)
				}
			case err != nil:
				t.Error(err)
			case got.Skip != c.want.Skip || got.SHA != c.want.SHA || got.CheckSHA != c.want.CheckSHA || got.Pull != c.want.Pull || got.Fork != c.want.Fork || got.OwnOnly != c.want.OwnOnly ||
				got.FailFast != c.want.FailFast || got.Timeout != c.want.Timeout || !slices.Equal(got.Projects, c.want.Projects) || !maps.Equal(got.Vars, c.want.Vars):
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestDecideDispatch(t *testing.T) {
	got, err := action.Decide(t.Context(), step("workflow_dispatch", payload(t, "workflow_dispatch/own.json", nil), "refs/heads/main"), action.Inputs{}, nil)
	if err != nil || got.SHA != workflowSHA || !got.LooseVars || len(got.Vars) == 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestReadStepOutside(t *testing.T) {
	if _, err := action.ReadStep(env(nil)); err == nil || !strings.Contains(err.Error(), "use cromt run") {
		t.Errorf("outside of a workflow: %v", err)
	}
}

// act has no event to tell of. What decides on trust must be told.
func TestDecideWithoutEvent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "event.json")
	if err := os.WriteFile(path, []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := action.Decide(t.Context(), step("push", path, "refs/heads/main"), action.Inputs{}, nil); err != nil || got.SHA != workflowSHA {
		t.Errorf("push: %+v, %v", got, err)
	}
	for _, name := range []string{"pull_request", "pull_request_target", "issue_comment", "workflow_run", "merge_group"} {
		if got, err := action.Decide(t.Context(), step(name, path, "refs/heads/main"), action.Inputs{}, nil); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
