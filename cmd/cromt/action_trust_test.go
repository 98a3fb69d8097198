//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/sparkytest"
)

// newCloneJob returns a job whose flow is a scenario of a private repository of
// the same server, which an agent clones with the input clone-token.
func newCloneJob(t *testing.T) (*workflowJob, *sparkytest.GitServer, string) {
	t.Helper()
	bare, work := t.TempDir(), t.TempDir()
	if err := os.Mkdir(filepath.Join(work, ".tom"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(work, ".tom", "step.bash"), []byte("echo private code\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"init", "-q", "-b", "main"}, {"add", "-A"}, {"commit", "-q", "-m", "one"}, {"clone", "-q", "--bare", ".", filepath.Join(bare, "octo", "private.git")},
	} {
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-c", "user.name=t", "-c", "user.email=t@example.org"}, args...)...)
		cmd.Dir = work
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	server := sparkytest.NewGitServer(t, bare, sparky.CloneCredential{Token: cloneSecret}.Basic())
	home := t.TempDir()
	t.Setenv("HOME", home)
	server.Trust(t, home)
	_, agent := startAgentProcess(t)
	j := newReportedJob(t, "")
	j.git("remote", "set-url", "origin", server.URL+"/"+actionRepo)
	j.env["GITHUB_SERVER_URL"] = server.URL
	j.env["GITHUB_SHA"] = j.commit(map[string]string{
		"jobs.yaml": "projects:\n  app:\n    path: " + server.URL + "/octo/private.git\n    action: step\n    hosts: [{url: '" + agent + "', title: host}]\n",
	})
	j.inputs(map[string]string{"ref": "merge", "local": "false", "checks": "off", "comment": "false", "clone-token": cloneSecret})
	return j, server, agent
}

// Hosts clone other repositories of this GitHub with the token.
func TestActionCloneToken(t *testing.T) {
	j, server, _ := newCloneJob(t)
	r := j.run()
	r.expect(t, 0, "success")
	expectIn(t, "log", r.log, "private code")
	basic := sparky.CloneCredential{Token: cloneSecret}.Basic()
	if shown := server.Shown(); !slices.Contains(shown, "Basic "+basic) || len(server.Argv()) != 0 {
		t.Errorf("shown %q, in the arguments of %q", shown, server.Argv())
	}
}

// A fork's flow names what it likes: the token, which some settings give to
// workflows of forks, is not for it.
func TestActionCloneTokenOfFork(t *testing.T) {
	j, server, agent := newCloneJob(t)
	j.fork()
	j.inputs(map[string]string{"hosts": "hosts: [{url: '" + agent + "', forks: true}]\n"})
	cmd, _, wait := j.start()
	var shown []string
	waitFor(t, "the clone", func() bool {
		shown = append(shown, server.Shown()...)
		return len(shown) > 0
	})
	r := interrupt(t, cmd, os.Interrupt, termAfter, wait) // it would be tried again
	if shown = append(shown, server.Shown()...); strings.Join(shown, "") != "" || strings.Contains(r.log, "private code") {
		t.Errorf("shown %q\n%s", shown, r.log)
	}
}

// fork makes the event one of a fork's pull request.
func (j *workflowJob) fork() {
	j.t.Helper()
	j.event("pull_request", map[string]any{
		"action": "opened", "number": 3, "pull_request": map[string]any{
			"number": 3, "title": "One", "state": "open", "user": map[string]any{"login": "stranger", "id": 2, "type": "User"},
			"head": map[string]any{"ref": "topic", "sha": j.env["GITHUB_SHA"], "repo": map[string]any{
				"id": 2, "name": "app", "full_name": "stranger/app", "fork": true, "owner": map[string]any{"login": "stranger", "id": 2},
			}},
			"base": map[string]any{"ref": "main", "sha": strings.Repeat("1", 40)}, "author_association": "NONE", "html_url": "https://github.com/" + actionRepo + "/pull/3",
		},
	})
}

// The host that keeps the artifacts is one that the flow names, like any other.
func TestActionStorageHost(t *testing.T) {
	flow := map[string]string{"jobs.yaml": "storage: http://files.test:4000\n" + okFlow["jobs.yaml"], ".tom/step.bash": okFlow[".tom/step.bash"]}
	t.Run("of another repository", func(t *testing.T) {
		t.Parallel()
		j := newWorkflowJob(t, flow)
		j.inputs(map[string]string{"local": "false", "hosts": "hosts: [{url: 'http://files.test:4000', repos: [other/*]}]\n"})
		j.refused("::error col=10,file=jobs.yaml,line=1,title=cromt::host http://files.test:4000 is not for octo/app")
	})
	t.Run("not for forks", func(t *testing.T) {
		t.Parallel()
		j := newWorkflowJob(t, flow)
		j.fork()
		j.env["GITHUB_REF"] = "refs/pull/3/merge"
		j.inputs(map[string]string{"local": "false", "hosts": "hosts: [{url: 'http://files.test:4000'}, {url: 'http://a.test:4000', forks: true}]\n"})
		j.refused("::error col=10,file=jobs.yaml,line=1,title=cromt::host http://files.test:4000 is not for the code of stranger/app, a fork")
	})
}

// And so are those of a pool.
func TestActionPoolHost(t *testing.T) {
	t.Parallel()
	j := newWorkflowJob(t, map[string]string{
		"jobs.yaml":      "projects: {a: {pool: p, action: step}}\npools: {p: {hosts: [{url: 'http://a.test:4000'}, {url: 'http://b.test:4000'}]}}\n",
		".tom/step.bash": "echo hello\n",
	})
	j.fork()
	j.env["GITHUB_REF"] = "refs/pull/3/merge"
	j.inputs(map[string]string{"local": "false", "hosts": "hosts: [{url: 'http://a.test:4000', forks: true}, {url: 'http://b.test:4000'}]\n"})
	j.refused("::error col=50,file=jobs.yaml,line=2,title=cromt::host http://b.test:4000 is not for the code of stranger/app, a fork")
}

// In a container the step's user is not the one that owns the workspace.
func TestActionInContainer(t *testing.T) {
	t.Parallel()
	j := newWorkflowJob(t, map[string]string{"jobs.yaml": twoHosts, ".tom/step.bash": "echo hello\n"})
	j.env["GIT_TEST_ASSUME_DIFFERENT_OWNER"] = "1" // git's own way to test this
	r := j.run()
	r.expect(t, 0, "success")
}
