//go:build unix

package main_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// usesAction is a workflow as a user has it, with CONFIG still to be filled in.
// A later step shows what the action's step left to it.
const usesAction = `on: push
jobs:
  test:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v6
      - id: cromt
        uses: ./
        with:
          config: CONFIG
          local: true
      - if: always()
        run: |
          echo "outcome: $OUTCOME"
          echo "conclusion: $CONCLUSION"
          echo "failed: $FAILED"
          echo "run-id: $RUN_ID"
          echo "report: $(tr -d '\n' <"$REPORT")"
          echo "junit: $(tr -d '\n' <"$JUNIT")"
        env:
          OUTCOME: ${{ steps.cromt.outcome }}
          CONCLUSION: ${{ steps.cromt.outputs.conclusion }}
          FAILED: ${{ steps.cromt.outputs.failed }}
          RUN_ID: ${{ steps.cromt.outputs.run-id }}
          REPORT: ${{ steps.cromt.outputs.report }}
          JUNIT: ${{ steps.cromt.outputs.junit }}
`

// pushEvent is the payload of the push that the workflow is for, with SHA still
// to be filled in: act has none of its own.
const pushEvent = `{
	"ref": "refs/heads/main", "before": "0000000000000000000000000000000000000000", "after": "SHA",
	"created": true, "deleted": false, "forced": false, "commits": [], "head_commit": {"id": "SHA", "message": "all"},
	"pusher": {"name": "octo"}, "sender": {"id": 1, "login": "octo", "type": "User"},
	"repository": {"id": 1, "name": "app", "full_name": "octo/app", "owner": {"id": 1, "login": "octo"}, "default_branch": "main"}
}`

// actRun is what came of a workflow.
type actRun struct {
	code    int
	summary string            // the action's step summary
	shown   map[string]string // by the later step
	log     string
}

// act runs the workflow with https://github.com/nektos/act as a runner on this
// machine: no container, no network, and nothing outside of the test's folders
// but Go's caches, from which the action builds itself.
func act(t *testing.T, config string) actRun {
	t.Helper()
	program, err := exec.LookPath("act")
	if err != nil {
		t.Fatal("act is not installed; make test does it, or: go install github.com/nektos/act@v0.2.89")
	}
	home := t.TempDir()
	dir := filepath.Join(home, "a repo")
	checkout(t, dir)
	workflows, event := filepath.Join(dir, ".github/workflows"), filepath.Join(home, "event.json")
	err = errors.Join(os.RemoveAll(workflows), os.Mkdir(workflows, 0o755),
		os.WriteFile(filepath.Join(workflows, "test.yml"), []byte(strings.Replace(usesAction, "CONFIG", config, 1)), 0o644))
	if err != nil {
		t.Fatal(err)
	}
	run := func(name string, args ...string) (string, int) {
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir, cmd.Env = dir, actEnv(t, home)
		out, err := cmd.CombinedOutput()
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	git := func(args ...string) string {
		out, code := run("git", args...)
		if code != 0 {
			t.Fatalf("git %s: exit %d\n%s", args, code, out)
		}
		return strings.TrimSpace(out)
	}
	git("init", "-q", "-b", "main")
	git("add", "-A")
	git("commit", "-q", "-m", "all")
	git("remote", "add", "origin", "https://github.com/octo/app.git")
	if err := os.WriteFile(event, []byte(strings.ReplaceAll(pushEvent, "SHA", git("rev-parse", "HEAD"))), 0o644); err != nil {
		t.Fatal(err)
	}
	out, code := run(program, "push", "--platform", "ubuntu-latest=-self-hosted", "--no-cache-server", "--container-daemon-socket", "-",
		"--json", "--workflows", filepath.Join(workflows, "test.yml"), "--eventpath", event)
	return readAct(code, out)
}

// actEnv is the environment of act, and through it of the workflow's steps.
func actEnv(t *testing.T, home string) []string {
	t.Helper()
	env := []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "GOPROXY=off", "GOTOOLCHAIN=local", "DOCKER_HOST=unix:///nonexistent",
		"GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=t", "GIT_AUTHOR_EMAIL=t@example.com",
		"GIT_COMMITTER_NAME=t", "GIT_COMMITTER_EMAIL=t@example.com"}
	for _, name := range []string{"GOCACHE", "GOMODCACHE"} {
		value, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		env = append(env, name+"="+strings.TrimSpace(string(value)))
	}
	return env
}

// readAct reads act's log, one JSON object a line.
func readAct(code int, out string) actRun {
	run := actRun{code: code, shown: map[string]string{}}
	for line := range strings.Lines(out) {
		var event struct {
			Msg, Command, Content string
			Raw                   bool `json:"raw_output"`
		}
		if json.Unmarshal([]byte(line), &event) != nil {
			run.log += line
			continue
		}
		run.log += strings.TrimSuffix(event.Msg, "\n") + "\n"
		if event.Command == "summary" {
			run.summary = event.Content
		}
		if name, value, ok := strings.Cut(strings.TrimSuffix(event.Msg, "\n"), ": "); ok && event.Raw {
			run.shown[name] = value
		}
	}
	return run
}

// jobs returns the conclusions in the JSON report, by job.
func (r actRun) jobs(t *testing.T) map[string]string {
	t.Helper()
	var report struct {
		Jobs []struct{ Key, Conclusion string }
	}
	if err := json.Unmarshal([]byte(r.shown["report"]), &report); err != nil {
		t.Fatalf("report %q: %v\n%s", r.shown["report"], err, r.log)
	}
	jobs := map[string]string{}
	for _, j := range report.Jobs {
		jobs[j.Key] = j.Conclusion
	}
	return jobs
}

// The action as a runner runs it. One after the other: both build it from its
// source, which the second takes from Go's cache.
func TestAct(t *testing.T) {
	t.Parallel()
	t.Run("hello", testActHello)
	t.Run("failure", testActFailure)
}

func testActHello(t *testing.T) {
	run := act(t, "testdata/hello/jobs.yaml")
	if run.code != 0 || run.shown["outcome"] != "success" || run.shown["conclusion"] != "success" || run.shown["failed"] != "[]" || run.shown["run-id"] == "" {
		t.Fatalf("act ends with %d, the step with %q\n%s", run.code, run.shown, run.log)
	}
	jobs := run.jobs(t)
	for _, job := range []string{"job1@hostA", "job1@hostB", "job1@hostC"} {
		if jobs[job] != "success" {
			t.Errorf("%s: %q in the report", job, jobs[job])
		}
		if !strings.Contains(run.summary, job) && !strings.Contains(run.summary, strings.TrimPrefix(job, "job1@")) {
			t.Errorf("%s is not in the summary:\n%s", job, run.summary)
		}
	}
	for _, text := range []string{"Hello worker A!", "Hello worker B!", "Hello worker C!"} {
		if !strings.Contains(strings.Join(strings.Fields(run.log), " "), text) {
			t.Errorf("the log says nothing of %q:\n%s", text, run.log)
		}
	}
	if !strings.Contains(run.shown["junit"], "<testsuite") {
		t.Errorf("junit: %q", run.shown["junit"])
	}
}

// The step and with it the workflow fail; what it found out is there for the
// steps after it.
func testActFailure(t *testing.T) {
	run := act(t, ".github/action/testdata/fail/jobs.yaml")
	if run.code == 0 || run.shown["outcome"] != "failure" || run.shown["conclusion"] != "failure" {
		t.Fatalf("act ends with %d, the step with %q\n%s", run.code, run.shown, run.log)
	}
	var failed []string
	if err := json.Unmarshal([]byte(run.shown["failed"]), &failed); err != nil || !slices.Equal(failed, []string{"build@hostB"}) {
		t.Errorf("failed: %q (%v)", run.shown["failed"], err)
	}
	jobs := run.jobs(t)
	if jobs["build@hostA"] != "success" || jobs["build@hostB"] != "failure" || jobs["ship@hostA"] != "skipped" {
		t.Errorf("in the report: %q", jobs)
	}
	if !strings.Contains(run.summary, "main.c:3:4: error: this one fails") {
		t.Errorf("the summary lacks the first failing line:\n%s", run.summary)
	}
}
