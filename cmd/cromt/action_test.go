//go:build unix

package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// twoHosts is a flow whose job runs .tom/step.bash on two hosts.
const twoHosts = `projects:
  app:
    path: .
    action: step
    hosts:
      - url: http://a.test:4000
      - url: http://b.test:4000
`

func TestActionSuccess(t *testing.T) {
	j := newWorkflowJob(t, map[string]string{"jobs.yaml": twoHosts, ".tom/step.bash": "echo hello; cat file\n", "file": "content\n"})
	r := j.run()
	if r.code != 0 || r.outputs["conclusion"] != "success" || r.outputs["failed"] != "[]" || r.outputs["run-id"] != r.report.ID ||
		r.outputs["summary-url"] != "https://github.com/octo/app/actions/runs/17/attempts/2" {
		t.Errorf("exit %d, outputs %v\n%s", r.code, r.outputs, r.log)
	}
	if r.report.SHA != j.sha || r.report.Repo != "https://github.com/octo/app" || len(r.report.Jobs) != 2 || r.report.WorkingTree {
		t.Errorf("report %+v", r.report)
	}
	if _, err := os.Stat(r.outputs["junit"]); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"2 succeeded", "app", "a.test", "b.test"} {
		if !strings.Contains(r.summary, want) {
			t.Errorf("%q is not in the summary\n%s", want, r.summary)
		}
	}
	if n := strings.Count(r.log, "\ncontent\n") + strings.Count(r.log, ":: content\n"); n != 2 {
		t.Errorf("the log has the file %d times\n%s", n, r.log)
	}
	if n := len(j.repo.CheckRuns()); n != 0 {
		t.Errorf("%d check runs that nobody asked for", n)
	}
}

func TestActionFailure(t *testing.T) {
	j := newWorkflowJob(t, map[string]string{"jobs.yaml": twoHosts, "src/x.go": "package x\n", ".tom/step.bash": "echo 'src/x.go:1:9: error: broken'; exit 3\n"})
	j.inputs(map[string]string{"checks": "per-host"})
	r := j.run()
	var failed []string
	if err := json.Unmarshal([]byte(r.outputs["failed"]), &failed); err != nil {
		t.Fatal(err)
	}
	if r.code != 1 || r.outputs["conclusion"] != "failure" || strings.Join(failed, " ") != "app@a.test app@b.test" {
		t.Errorf("exit %d, outputs %v\n%s", r.code, r.outputs, r.log)
	}
	errs := annotationsIn(r.log, "error")
	if len(errs) == 0 || !strings.Contains(errs[0], "file=src/x.go") || !strings.Contains(errs[0], "line=1") || !strings.HasSuffix(errs[0], "broken") {
		t.Errorf("annotations %q", errs)
	}
	runs := j.repo.CheckRuns()
	if len(runs) != 3 || runs[0].Name != "cromt (action)" {
		t.Fatalf("check runs %+v", runs)
	}
	for _, k := range runs {
		if k.Status != "completed" || k.Conclusion != "failure" || k.HeadSHA != j.sha {
			t.Errorf("%+v", k)
		}
	}
	if !strings.Contains(r.summary, "broken") {
		t.Errorf("the summary does not say why\n%s", r.summary)
	}
}

// A workflow that a fork has set off may have checked the fork out: it has
// secrets, and runs nothing of it.
func TestActionRefusesAnotherRepositoryFromAFork(t *testing.T) {
	j := newWorkflowJob(t, map[string]string{"jobs.yaml": twoHosts, ".tom/step.bash": "echo ran\n"})
	j.git("remote", "set-url", "origin", "https://github.com/stranger/app")
	j.event("workflow_run", map[string]any{"action": "completed", "workflow_run": map[string]any{
		"id": 3, "head_sha": j.sha, "head_branch": "x", "event": "pull_request", "status": "completed", "conclusion": "success",
		"head_repository": map[string]any{"id": 5, "name": "app", "full_name": "stranger/app", "fork": true},
		"repository":      map[string]any{"id": 1, "name": "app", "full_name": actionRepo},
	}})
	r := j.run()
	if r.code != 2 || !strings.Contains(r.log, "so nothing but octo/app runs") || strings.Contains(r.log, "\nran\n") {
		t.Errorf("exit %d\n%s", r.code, r.log)
	}
}
