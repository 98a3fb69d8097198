//go:build unix

package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cromt/cromt/flow"
)

// closedHost is the URL of a host that is not there.
func closedHost(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return "http://" + ln.Addr().String()
}

// A host that is not there is no failure of the code, and says so by its exit
// code; what waits for it is skipped, and has not failed.
func TestActionInfrastructure(t *testing.T) {
	t.Parallel()
	host := closedHost(t)
	j := newWorkflowJob(t, map[string]string{
		"jobs.yaml": "projects:\n  build:\n    path: .\n    action: step\n    url: " + host + "\n    title: build\n" +
			"  deploy:\n    path: .\n    action: step\n    url: " + host + "\n    before: [{name: build}]\n",
		".tom/step.bash": "echo hello\n",
	})
	j.inputs(map[string]string{"local": "false", "checks": "per-host"})
	r := j.run()
	r.expect(t, 3, "failure")
	key := r.report.Jobs[0].Key
	if r.outputs["failed"] != `["`+key+`"]` || r.report.Count().Skipped != 1 {
		t.Errorf("failed %s, want %s; count %+v", r.outputs["failed"], key, r.report.Count())
	}
	errs := annotationsIn(r.log, "error")
	if len(errs) != 1 || !strings.Contains(errs[0], "file=jobs.yaml,line=2") || !strings.Contains(errs[0], "connection refused") {
		t.Errorf("annotations %q", errs)
	}
	expectIn(t, "summary", r.summary, "1 failed, 1 skipped", "connection refused")
	var got []string
	for _, k := range j.repo.CheckRuns() {
		got = append(got, k.Name+": "+k.Status+" "+k.Conclusion)
	}
	slices.Sort(got)
	want := []string{
		"cromt (action) / " + key + ": completed failure",
		"cromt (action) / " + r.report.Jobs[1].Key + ": completed skipped",
		"cromt (action): completed failure",
	}
	if !slices.Equal(got, want) {
		t.Errorf("check runs %q, want %q", got, want)
	}
}

// A job that failed by itself goes before a host that is no such host.
func TestActionFailureBeforeInfrastructure(t *testing.T) {
	t.Parallel()
	_, agent := startAgentProcess(t)
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
	})) // it is not tried again, unlike one that is not there
	t.Cleanup(refusing.Close)
	j := newWorkflowJob(t, map[string]string{
		"jobs.yaml":      "projects:\n  app:\n    path: .\n    action: step\n    hosts:\n      - url: " + refusing.URL + "\n      - url: " + agent + "\n",
		".tom/step.bash": "echo 'no such thing' >&2; exit 4\n",
	})
	j.inputs(map[string]string{"local": "false"})
	r := j.run()
	r.expect(t, 1, "failure")
	if n := len(annotationsIn(r.log, "error")); n != 2 || r.report.Jobs[0].Cause != flow.CauseInfrastructure {
		t.Errorf("%d annotations, %s\n%s", n, r.report.Jobs[0].Cause, r.log)
	}
}

// okFlow is a flow of one job that would succeed.
var okFlow = map[string]string{
	"jobs.yaml":      "projects:\n  app:\n    path: .\n    action: step\n    hosts: [{url: 'http://a.test:4000'}]\n",
	".tom/step.bash": "echo never shown\n",
}

// A step that can be told to be wrong before anything is dispatched ends with
// exit code 2, an annotation for every problem at its place, and a summary.
func TestActionRefusals(t *testing.T) {
	with := func(jobs string) map[string]string {
		return map[string]string{"jobs.yaml": jobs, ".tom/step.bash": okFlow[".tom/step.bash"]}
	}
	for _, c := range []struct {
		name   string
		files  map[string]string
		inputs map[string]string
		change func(t *testing.T, j *workflowJob)
		want   []string // annotations, by a part of each
	}{
		{name: "invalid flow", files: with("projects:\n  app:\n    path: .\n    acton: step\n    hosts:\n      - url: 17\n        titel: x\n"), want: []string{
			`::error col=5,file=jobs.yaml,line=4,title=cromt::unknown key "acton"; did you mean "action"?`,
			`::error col=14,file=jobs.yaml,line=6,title=cromt::"url" must be an http or https URL`,
			`::error col=9,file=jobs.yaml,line=7,title=cromt::unknown key "titel"`,
		}},
		{name: "flow that is no YAML", files: with("projects: [\n"), want: []string{"file=jobs.yaml,line="}},
		{name: "no flow", files: map[string]string{"README": "x"}, want: []string{"::error title=cromt::no flow file: the workspace has neither jobs.yaml nor cromtit.yaml"}},
		{name: "no named flow", files: okFlow, inputs: map[string]string{"config": "ci/other.yaml"}, want: []string{"::error title=cromt::flow file: "}},
		{name: "flow elsewhere", files: okFlow, inputs: map[string]string{"config": "../../etc/passwd"}, want: []string{"input config: ../../etc/passwd is not a path below the workspace"}},
		{name: "unknown project", files: okFlow, inputs: map[string]string{"projects": "ap"}, want: []string{`did you mean "app"?`}},
		{name: "unknown variable", files: okFlow, inputs: map[string]string{"vars": "A=1"}, want: []string{`no job of the plan has a variable "A"`}},
		{name: "missing secrets", files: with("projects:\n  app:\n    path: .\n    action: step\n    secrets:\n      - ONE\n      - TWO\n      - THREE\n    hosts: [{url: 'http://a.test:4000'}]\n"),
			inputs: map[string]string{"secrets": "TWO=have-it"}, want: []string{
				"::error col=9,file=jobs.yaml,line=6,title=cromt::secret \"ONE\" of app@a.test has no value; add the line ONE=${{ secrets.ONE }} to the input secrets",
				"::error col=9,file=jobs.yaml,line=8,title=cromt::secret \"THREE\" of app@a.test has no value; add the line THREE=${{ secrets.THREE }} to the input secrets",
			}},
		{name: "inputs", files: okFlow, inputs: map[string]string{"local": "maybe", "checks": "all", "timeout": "soon", "secrets": "GOOD=1\nhunter2 is no pair", "ref": "base"}, want: []string{
			`input secrets: line 2 is not NAME=value%0Ainput local: "maybe" is neither true nor false%0Ainput checks: "all" is none of off, aggregate, per-host%0Ainput timeout: "soon" is no time; write it like 90s or 1h30m%0Ainput ref: "base" is none of head, merge`,
		}},
		{name: "hosts", files: okFlow, inputs: map[string]string{"hosts": "hosts:\n  - url: http://a.test:4000\n    tokenfile: x\n"}, want: []string{"tokenfile"}},
		{name: "host of another repository", files: okFlow, inputs: map[string]string{"local": "false", "hosts": "hosts:\n  - url: http://a.test:4000\n    repos: [other/*]\n"}, want: []string{
			"::error col=13,file=jobs.yaml,line=5,title=cromt::host http://a.test:4000 is not for octo/app",
		}},
		{name: "no checkout", files: okFlow, change: func(t *testing.T, j *workflowJob) { j.env["GITHUB_WORKSPACE"] = t.TempDir() }, want: []string{
			"is there a step with actions/checkout before this one?",
		}},
		{name: "no git checkout", files: okFlow, change: func(t *testing.T, j *workflowJob) {
			if err := os.RemoveAll(filepath.Join(j.dir, ".git")); err != nil {
				t.Fatal(err)
			}
		}, want: []string{"the workspace is no git checkout; add a step with actions/checkout before this one"}},
		{name: "no event file", files: okFlow, change: func(_ *testing.T, j *workflowJob) { j.env["GITHUB_EVENT_PATH"] = "/nonexistent" }, want: []string{"event file: "}},
		{name: "event that is not JSON", files: okFlow, change: func(t *testing.T, j *workflowJob) {
			if err := os.WriteFile(j.env["GITHUB_EVENT_PATH"], []byte("{\n::error::x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, want: []string{"read push payload"}},
		{name: "API address", files: okFlow, change: func(_ *testing.T, j *workflowJob) { j.env["GITHUB_API_URL"] = "not a URL" }, want: []string{"is not the URL of an API"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			j := newWorkflowJob(t, c.files)
			j.inputs(map[string]string{"checks": "per-host", "comment": "true"})
			j.inputs(c.inputs)
			if c.change != nil {
				c.change(t, j)
			}
			j.refused(c.want...)
		})
	}
}

// refused runs a step that refuses to run anything, and checks how it says so.
func (j *workflowJob) refused(want ...string) stepResult {
	j.t.Helper()
	r := j.run()
	r.expect(j.t, 2, "failure")
	if r.outputs["failed"] != "[]" || r.outputs["run-id"] != "" {
		j.t.Errorf("outputs %v", r.outputs)
	}
	errs := annotationsIn(r.log, "error")
	for i, w := range want {
		if i >= len(errs) || !strings.Contains(errs[i], w) {
			j.t.Errorf("annotations\n%s\nwant number %d with\n%s", strings.Join(errs, "\n"), i+1, w)
		}
	}
	if len(errs) > len(want) {
		j.t.Errorf("more annotations than %d: %q", len(want), errs)
	}
	expectIn(j.t, "summary", r.summary, "cromt ran nothing")
	for _, line := range strings.Split(want[0], "::") { // what the annotation says is in the summary, too
		if !strings.Contains(line, "=") && line != "" && !strings.Contains(line, "%0A") {
			expectIn(j.t, "summary", r.summary, strings.SplitN(line, ";", 2)[0])
		}
	}
	if strings.Contains(r.log, "never shown") || strings.Contains(r.log+r.summary, "hunter2") {
		j.t.Errorf("a job ran, or a secret is shown\n%s", r.log)
	}
	if n := len(j.repo.CheckRuns()); n != 0 {
		j.t.Errorf("%d check runs", n)
	}
	return r
}

// Outside of a workflow the step says what to use instead.
func TestActionOutsideOfWorkflow(t *testing.T) {
	t.Parallel()
	j := newWorkflowJob(t, okFlow)
	for name := range j.env {
		if strings.HasPrefix(name, "GITHUB_") {
			delete(j.env, name)
		}
	}
	r := j.run()
	if r.code != 2 || !strings.Contains(r.log, "elsewhere, use cromt run") {
		t.Errorf("exit %d\n%s", r.code, r.log)
	}
}
