//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// newEndlessJob returns a job whose flow fails on one host, and on another
// waits for what never comes, so that only the step itself can end it.
func newEndlessJob(t *testing.T) *workflowJob {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"waits", "never"} {
		if err := syscall.Mkfifo(filepath.Join(dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return newWorkflowJob(t, map[string]string{
		"jobs.yaml": "projects:\n  app:\n    path: .\n    action: step\n    vars: {DIR: " + dir + "}\n    hosts:\n" +
			"      - {url: 'http://a.test:4000', vars: {WAIT: ''}}\n      - {url: 'http://b.test:4000', vars: {WAIT: 'yes'}}\n",
		".tom/step.bash": "[ -z \"$WAIT\" ] || { echo > $DIR/waits; cat $DIR/never; }\ncat $DIR/waits\necho 'src/x.go:1:1: error: broken'\nexit 1\n",
		"src/x.go":       "package x\n",
	})
}

// With fail-fast the first failed job cancels the others.
func TestActionFailFast(t *testing.T) {
	t.Parallel()
	j := newEndlessJob(t)
	j.inputs(map[string]string{"fail-fast": "true"})
	r := j.run()
	r.expect(t, 1, "failure")
	expectIn(t, "summary", r.summary, "1 failed, 1 cancelled")
	if r.outputs["failed"] != `["app@a.test","app@b.test"]` {
		t.Errorf("failed: %s", r.outputs["failed"])
	}
}

// A run that takes longer than the input timeout is cancelled.
func TestActionTimeout(t *testing.T) {
	t.Parallel()
	j := newEndlessJob(t)
	j.inputs(map[string]string{"timeout": "3s"})
	r := j.run()
	r.expect(t, 1, "timed_out")
	expectIn(t, "summary", r.summary, "timed out")
}

// The report is where the input says, with the other one beside it, and the
// outputs name them. Without annotations the log has none.
func TestActionReportAndAnnotations(t *testing.T) {
	t.Parallel()
	j := newWorkflowJob(t, map[string]string{"jobs.yaml": twoHosts, "src/x.go": "package x\n", ".tom/step.bash": "echo 'src/x.go:1:1: error: broken'; exit 1\n"})
	path := filepath.Join(t.TempDir(), "out", "a report.json")
	j.inputs(map[string]string{"report": path, "annotations": "false"})
	r := j.run()
	r.expect(t, 1, "failure")
	if r.outputs["report"] != path || len(r.report.Jobs) != 2 || r.outputs["junit"] != strings.TrimSuffix(path, ".json")+".junit.xml" {
		t.Errorf("outputs %v", r.outputs)
	}
	if _, err := os.Stat(r.outputs["junit"]); err != nil {
		t.Error(err)
	}
	if n := len(annotationsIn(r.log, "error")) + len(annotationsIn(r.log, "warning")); n != 0 {
		t.Errorf("%d annotations\n%s", n, r.log)
	}
}
