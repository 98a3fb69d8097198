//go:build unix

package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cromt/cromt/bot/githubtest"
)

// pull is a job of a workflow for pull request 3. As actions/checkout leaves
// it, the workspace has the merge commit alone; the head is in the origin.
type pull struct {
	*workflowJob
	base, head, merge string // commits
}

// newPull returns a job for a pull request of a branch of this repository, or
// of a fork. Each commit has a flow of its own, which prints the file that says
// which it is.
func newPull(t *testing.T, headRepo string) *pull {
	t.Helper()
	p := &pull{workflowJob: newWorkflowJob(t, pullFlow("base"))}
	server := t.TempDir()
	origin := filepath.Join(server, filepath.FromSlash(actionRepo))
	p.git("init", "-q", "--bare", origin)
	p.git("remote", "set-url", "origin", "file://"+origin)
	p.base = p.sha
	p.git("checkout", "-q", "-b", "topic")
	p.head = p.commit(pullFlow("head"))
	p.git("checkout", "-q", "main")
	p.git("merge", "-q", "--no-ff", "--no-commit", "topic")
	p.merge = p.commit(pullFlow("merge"))
	p.git("push", "-q", "origin", p.base+":refs/heads/main", p.head+":refs/heads/topic", p.head+":refs/pull/3/head", p.merge+":refs/pull/3/merge")
	p.env["GITHUB_SERVER_URL"] = "file://" + server
	p.repo.AddPull(githubtest.Pull{Number: 3, HeadSHA: p.head, HeadRef: "topic", HeadRepo: headRepo, BaseSHA: p.base})
	delete(p.env, "GITHUB_RUN_ID") // its page would be no https address
	p.inputs(map[string]string{"checks": "aggregate", "comment": "true", "projects": "app"})
	p.checkout(p.merge)
	p.pullEvent("pull_request", headRepo)
	return p
}

func pullFlow(which string) map[string]string {
	return map[string]string{
		"jobs.yaml": "projects:\n  app:\n    path: .\n    action: step\n    vars: {VERSION: none}\n    secrets: [TOKEN]\n" +
			"    hosts:\n      - url: http://a.test:4000\n  other:\n    path: .\n    action: step\n    vars: {VERSION: none}\n",
		".tom/step.bash": "echo \"runs $(cat which), version $VERSION, secret ${TOKEN:+given}.\"\n",
		"which":          which,
	}
}

// checkout makes the workspace what actions/checkout leaves of a commit.
func (p *pull) checkout(sha string) {
	p.t.Helper()
	origin := p.git("remote", "get-url", "origin")
	p.dir = p.t.TempDir()
	p.git("init", "-q", "-b", "main")
	p.git("remote", "add", "origin", origin)
	p.git("fetch", "-q", "--depth=1", "origin", sha)
	p.git("checkout", "-q", "--detach", sha)
	p.env["GITHUB_WORKSPACE"], p.env["GITHUB_SHA"], p.env["GITHUB_REF"] = p.dir, sha, "refs/pull/3/merge"
	p.inputs(map[string]string{"secrets": "TOKEN=xyzzy-secret"})
}

// pullEvent makes the event one of the pull request; a headRepo is the fork's.
func (p *pull) pullEvent(name, headRepo string) {
	head := map[string]any{"id": 1, "name": "app", "full_name": actionRepo, "owner": map[string]any{"login": "octo", "id": 1}}
	if headRepo != "" {
		head = map[string]any{"id": 2, "name": "app", "full_name": headRepo, "fork": true, "owner": map[string]any{"login": "stranger", "id": 2}}
	}
	p.event(name, map[string]any{
		"action": "synchronize", "number": 3, "pull_request": map[string]any{
			"number": 3, "title": "One", "state": "open", "user": map[string]any{"login": "stranger", "id": 2, "type": "User"},
			"head": map[string]any{"ref": "topic", "sha": p.head, "repo": head}, "base": map[string]any{"ref": "main", "sha": p.base},
			"merge_commit_sha": p.merge, "author_association": "NONE", "html_url": "https://github.com/" + actionRepo + "/pull/3",
		},
	})
}

// ran checks what a step ran, and where it is shown.
func (p *pull) ran(r stepResult, which, sha string) {
	p.t.Helper()
	r.expect(p.t, 0, "success")
	expectIn(p.t, "log", r.log, "runs "+which+",")
	if strings.Count(r.log, "runs ") != 1 || r.report.SHA != sha {
		p.t.Errorf("report of %s, want %s\n%s", r.report.SHA, sha, r.log)
	}
	runs := p.repo.CheckRuns()
	if len(runs) != 1 || runs[0].HeadSHA != p.head || runs[0].Conclusion != "success" {
		p.t.Errorf("check runs %+v", runs)
	}
	comments := p.repo.Comments(3)
	if len(comments) != 1 || !strings.Contains(comments[0].Body, "1 succeeded") {
		p.t.Errorf("comments %+v", comments)
	}
}

// Of a pull request the head runs with its own flow, whatever is checked out.
func TestActionPullRequest(t *testing.T) {
	t.Parallel()
	p := newPull(t, "")
	if out, err := os.ReadFile(filepath.Join(p.dir, "which")); err != nil || string(out) != "merge" {
		t.Fatalf("the workspace is at %s, %v", out, err)
	}
	r := p.run()
	p.ran(r, "head", p.head)
	expectIn(t, "log", r.log, "version none, secret given.")
}

// With ref: merge the merge commit runs, and is shown at the head.
func TestActionPullRequestMerge(t *testing.T) {
	t.Parallel()
	p := newPull(t, "")
	p.inputs(map[string]string{"ref": "merge"})
	p.ran(p.run(), "merge", p.merge)
}

// A head that cannot be fetched is told with what to do about it.
func TestActionPullRequestWithoutOrigin(t *testing.T) {
	t.Parallel()
	p := newPull(t, "")
	p.env["GITHUB_SERVER_URL"] += "/gone"
	p.git("remote", "set-url", "origin", p.env["GITHUB_SERVER_URL"]+"/"+actionRepo)
	p.refused("have actions/checkout check it out, with ref: ${{ github.event.pull_request.head.sha }}")
}

// A flow and its project may lie below the workspace, and the checkout too.
func TestActionPullRequestInFolder(t *testing.T) {
	t.Parallel()
	p := newPull(t, "")
	workspace := t.TempDir()
	if err := os.Rename(p.dir, filepath.Join(workspace, "src")); err != nil {
		t.Fatal(err)
	}
	p.dir, p.env["GITHUB_WORKSPACE"] = workspace, workspace
	p.inputs(map[string]string{"config": "src/jobs.yaml"})
	p.ran(p.run(), "head", p.head)
}

// A fork's code runs in the step itself, without secrets, and what its token
// may not do is no failure.
func TestActionForkLocal(t *testing.T) {
	t.Parallel()
	p := newPull(t, "stranger/app")
	p.token(map[string]string{"checks": "read", "pull_requests": "read", "contents": "read", "metadata": "read"})
	r := p.run()
	r.expect(t, 0, "success")
	expectIn(t, "log", r.log, "runs head, version none, secret .")
	expectIn(t, "summary", r.summary, "1 succeeded", "a fork's pull request can only read")
	if n := annotationsIn(r.log, "notice"); len(n) != 1 {
		t.Errorf("notices %q", n)
	}
	if r.report.SHA != p.head || len(p.repo.CheckRuns()) != 0 || len(p.repo.Comments(3)) != 0 {
		t.Errorf("report of %s, check runs %v", r.report.SHA, p.repo.CheckRuns())
	}
}

// A host takes the code of forks only where its entry says so.
func TestActionForkOnHosts(t *testing.T) {
	t.Parallel()
	p := newPull(t, "stranger/app")
	_, agent := startAgentProcess(t)
	p.inputs(map[string]string{"local": "false", "hosts": "hosts: [{url: 'http://b.test:4000', forks: true}]\n"})
	p.refused("::error col=9,file=jobs.yaml,line=8,title=cromt::host http://a.test:4000 is not for the code of stranger/app, a fork; set forks: true on it in the input hosts")

	p.commitFork(agent)
	p.inputs(map[string]string{"hosts": "hosts: [{url: '" + agent + "', forks: true}]\n"})
	r := p.run()
	r.expect(t, 0, "success")
	expectIn(t, "log", r.log, "runs fork, version none, secret .")
}

// commitFork gives the pull request a new head, whose flow names a host.
func (p *pull) commitFork(host string) {
	p.t.Helper()
	files := pullFlow("fork")
	files["jobs.yaml"] = strings.ReplaceAll(files["jobs.yaml"], "http://a.test:4000", host)
	p.head = p.commit(files)
	p.git("push", "-q", "origin", p.head+":refs/heads/topic2")
	p.checkout(p.merge)
	p.pullEvent("pull_request", "stranger/app")
	for _, name := range []string{"GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"} {
		p.env[name] += "2" // a step has its own
	}
}

// pull_request_target has secrets, which a fork's code must not get.
func TestActionForkTarget(t *testing.T) {
	t.Parallel()
	p := newPull(t, "stranger/app")
	p.checkout(p.base)
	p.env["GITHUB_REF"] = "refs/heads/main"
	p.pullEvent("pull_request_target", "stranger/app")
	p.refused("the code is that of the fork stranger/app, so nothing of it runs")
}

// newComment returns a job for a comment on the pull request, whose workspace
// is the default branch.
func newComment(t *testing.T, body, headRepo, permission string) *pull {
	t.Helper()
	p := newPull(t, headRepo)
	p.checkout(p.base)
	p.env["GITHUB_REF"] = "refs/heads/main"
	p.comment(body)
	p.repo.SetPermission("octo", permission)
	return p
}

// A comment of somebody who may push runs the head with what it says.
func TestActionComment(t *testing.T) {
	t.Parallel()
	p := newComment(t, "looks good\n/cromt run other VERSION=\"1 2\"", "", "write")
	p.inputs(map[string]string{"vars": "VERSION=0"})
	r := p.run()
	p.ran(r, "head", p.head)
	expectIn(t, "log", r.log, "version 1 2, secret .")
	if len(r.report.Jobs) != 1 || r.report.Jobs[0].Project != "other" {
		t.Errorf("jobs %+v", r.report.Jobs)
	}
}

func TestActionCommentRefused(t *testing.T) {
	for name, c := range map[string]struct{ body, fork, permission, want string }{
		"reader":           {"/cromt run", "", "read", "octo has no write access to octo/app, and so may not run it"},
		"fork":             {"/cromt run", "stranger/app", "admin", "the code is that of the fork stranger/app, so nothing of it runs"},
		"unknown verb":     {"/cromt rnu", "", "write", "run"},
		"unknown project":  {"/cromt run ap", "", "write", `did you mean "app"?`},
		"unknown variable": {"/cromt run VERSION_2=1", "", "write", `VERSION_2`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newComment(t, c.body, c.fork, c.permission).refused(c.want)
		})
	}
}

// Other events run their own commits.
func TestActionEvents(t *testing.T) {
	for _, c := range []struct {
		name, event string
		payload     func(j *workflowJob) map[string]any
		inputs      map[string]string
		version     string // that the job sees
		skip        string // why nothing runs
	}{
		{name: "push", event: "push", version: "none", payload: func(j *workflowJob) map[string]any {
			return map[string]any{"ref": "refs/heads/main", "before": strings.Repeat("0", 40), "after": j.sha, "commits": []any{}}
		}},
		{name: "deletion", event: "push", skip: "refs/heads/topic was deleted", payload: func(j *workflowJob) map[string]any {
			return map[string]any{"ref": "refs/heads/topic", "before": j.sha, "after": strings.Repeat("0", 40), "deleted": true, "commits": []any{}}
		}},
		{name: "merge group", event: "merge_group", version: "none", payload: func(j *workflowJob) map[string]any {
			return map[string]any{"action": "checks_requested", "merge_group": map[string]any{
				"head_sha": j.sha, "head_ref": "refs/heads/gh-readonly-queue/main/pr-3", "base_sha": strings.Repeat("1", 40), "base_ref": "refs/heads/main",
			}}
		}},
		{name: "schedule", event: "schedule", version: "none", payload: func(*workflowJob) map[string]any { return map[string]any{"schedule": "0 3 * * *"} }},
		{name: "dispatch", event: "workflow_dispatch", version: "1.0 rc", inputs: map[string]string{"vars": "VERSION=0"}, payload: func(*workflowJob) map[string]any {
			return map[string]any{"ref": "refs/heads/main", "workflow": ".github/workflows/ci.yml", "inputs": map[string]any{"VERSION": "1.0 rc", "dry-run": true, "UNKNOWN": "x"}}
		}},
		{name: "comment without a command", event: "issue_comment", skip: "the comment has no line that begins with /cromt", payload: func(j *workflowJob) map[string]any {
			return map[string]any{"action": "created", "issue": map[string]any{"number": 3, "pull_request": map[string]any{}}, "comment": map[string]any{
				"id": 5, "body": "nice", "user": map[string]any{"login": "octo", "id": 1, "type": "User"}, "created_at": "2026-01-02T03:04:05Z",
				"html_url": "https://github.com/octo/app/pull/3#issuecomment-5", "author_association": "NONE",
			}}
		}},
		{name: "unknown", event: "page_build", version: "none", payload: func(*workflowJob) map[string]any { return map[string]any{"build": 1} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			j := newWorkflowJob(t, pullFlow("own"))
			j.event(c.event, c.payload(j))
			j.inputs(map[string]string{"checks": "aggregate", "projects": "app", "comment": "true", "secrets": "TOKEN=xyzzy-secret"})
			j.inputs(c.inputs)
			r := j.run()
			if c.skip != "" {
				j.skipped(r, c.skip)
				return
			}
			r.expect(t, 0, "success")
			expectIn(t, "log", r.log, "runs own, version "+c.version+",")
			if runs := j.repo.CheckRuns(); r.report.SHA != j.sha || len(runs) != 1 || runs[0].HeadSHA != j.sha {
				t.Errorf("report of %s, check runs %+v", r.report.SHA, runs)
			}
		})
	}
}

func (j *workflowJob) skipped(r stepResult, why string) {
	j.t.Helper()
	r.expect(j.t, 0, "skipped")
	notices := annotationsIn(r.log, "notice")
	if len(notices) != 1 || !strings.HasSuffix(notices[0], "nothing to run: "+why) || strings.Contains(r.log, "runs ") {
		j.t.Errorf("notices %q\n%s", notices, r.log)
	}
	if names := slices.Sorted(maps.Keys(r.outputs)); len(names) != 3 || len(j.repo.CheckRuns()) != 0 {
		j.t.Errorf("outputs %v, %d check runs", r.outputs, len(j.repo.CheckRuns()))
	}
}

// A merge group's commit runs, and not the one that is checked out.
func TestActionMergeGroupCommit(t *testing.T) {
	t.Parallel()
	p := newPull(t, "")
	p.env["GITHUB_REF"] = "refs/heads/gh-readonly-queue/main/pr-3"
	p.event("merge_group", map[string]any{"action": "checks_requested", "merge_group": map[string]any{
		"head_sha": p.head, "head_ref": "refs/heads/gh-readonly-queue/main/pr-3", "base_sha": p.base, "base_ref": "refs/heads/main",
	}})
	r := p.run()
	r.expect(t, 0, "success")
	expectIn(t, "log", r.log, "runs head,")
	if runs := p.repo.CheckRuns(); len(runs) != 1 || runs[0].HeadSHA != p.head || len(p.repo.Comments(3)) != 0 {
		t.Errorf("check runs %+v", runs)
	}
}
