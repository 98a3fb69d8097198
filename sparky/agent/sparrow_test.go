//go:build unix

package agent_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/agent"
)

// program writes a script and returns its path.
func program(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte("#!/bin/bash\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// folder makes a project's folder below the root.
func folder(t testing.TB, root, name, sparrowfile, settings string) string {
	t.Helper()
	dir := filepath.Join(root, "projects", name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{"sparrowfile": sparrowfile, "sparky.yaml": settings} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func directLine(t testing.TB, dir string, argv ...string) string {
	t.Helper()
	line, err := sparky.Direct{Argv: argv, Dir: dir}.Line()
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// post queues the body of a POST /queue.
func (h *host) post(body map[string]any) {
	h.t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		h.t.Fatal(err)
	}
	if code, answer := h.do("POST", "/queue", string(data)); code != 200 || strings.Contains(answer, "error") {
		h.t.Fatalf("POST /queue: %d %s", code, answer)
	}
}

const fakeSparrowdo = `printf 'arg %s\n' "$@"
echo "cwd $(cat sparrowfile)"
cat config.raku
echo "job $SPARKY_PROJECT/$SPARKY_JOB_ID $SP6_FORMAT_COLOR"
exit ${EXIT:-0}
`

// TestSparrowdo runs a foreign sparrowfile as a Sparky's runner does.
func TestSparrowdo(t *testing.T) {
	h := start(t, agent.Config{Sparrowdo: program(t, "sparrowdo", fakeSparrowdo), Listen: "127.0.0.1:4321", TLS: true, Token: "long-lived-token"})
	h.post(map[string]any{
		"config": map[string]any{"project": "p1", "job-id": "f.1", "tags": map[string]any{"a": "x,y=z w\n1", "n": 3},
			"sparrowdo": map[string]any{"no_sudo": true, "repo": "file:///tmp/r", "no_index_update": true, "sudo": false}},
		"trigger":     map[string]any{"sparrowdo": map[string]any{"tags": "parent=1", "verbose": true, "docker": "alpine", "localhost": false}},
		"sparrowfile": "say 42;", "sparrowdo-config": map[string]any{"worker": 1, "list": []any{nil, true, "it's $HOME"}, "e": map[string]any{}},
	})
	st, log := h.wait("p1", "f.1")
	if st.State != sparky.CodeOK || st.ExitCode != 0 {
		t.Fatalf("%+v\n%s", st, log)
	}
	for _, want := range []string{
		"arg --prefix=p1\narg --docker=alpine\narg --repo=file:///tmp/r\narg --conf=config.raku\narg --no_sudo\narg --no_index_update\narg --verbose\narg --tags=",
		"SPARKY_JOB_ID=f.1,SPARKY_PROJECT=p1,SPARKY_TCP_PORT=4321,SPARKY_USE_TLS=1,SPARKY_WORKER=docker,a=x___comma___y___eq___z___space___w___nl___1,n=3\narg --color\n",
		"SPARKY_HOST=127.0.0.1,", "cwd say 42;\n", `${"e" => ${}, "list" => $[Any, Bool::True, "it\x[27]s \x[24]HOME", ], "worker" => 1, }`, "job p1/f.1 1\n",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("no %q in\n%s", want, log)
		}
	}
	if strings.Contains(log, "parent=1") || strings.Contains(log, "long-lived-token") || strings.Contains(log, "meta:") {
		t.Errorf("%s", log)
	}
}

// TestLentToken: a sparrowfile may speak to its host, while it runs.
func TestLentToken(t *testing.T) {
	out := filepath.Join(t.TempDir(), "token")
	h := start(t, agent.Config{Token: "long-lived-token", Sparrowdo: program(t, "sparrowdo", fmt.Sprintf(
		"echo \"$@\"; for a; do case $a in --tags=*) a=${a#*SPARKY_API_TOKEN=}; echo -n ${a%%%%,*} >%s.new; mv %[1]s.new %[1]s; esac; done; until [ -e %[1]s.end ]; do sleep 0.02; done\n", out))})
	h.post(map[string]any{"config": map[string]any{"project": "p", "job-id": "t.1"}, "trigger": map[string]any{}, "sparrowfile": "say 1"})
	waitFor(t, func() bool { _, err := os.Stat(out); return err == nil })
	lent, err := os.ReadFile(out)
	if err != nil || len(lent) < 20 || string(lent) == "long-lived-token" {
		t.Fatalf("%q %v", lent, err)
	}
	if code, body := h.do("GET", "/status/p/t.1", "", "token", string(lent)); code != 200 || body != "0" {
		t.Errorf("while it runs: %d %s", code, body)
	}
	touch(t, out+".end")
	if _, log := h.wait("p", "t.1"); strings.Contains(log, string(lent)) {
		t.Errorf("the token is in the log: %s", log)
	}
	if code, _ := h.do("GET", "/status/p/t.1", "", "token", string(lent)); code != 403 {
		t.Errorf("after its end: %d", code)
	}
}

// TestSparrowdoRefusals has what sparrowdo would give to a shell.
func TestSparrowdoRefusals(t *testing.T) {
	h := start(t, agent.Config{Sparrowdo: program(t, "sparrowdo", "echo RAN\n")})
	for name, config := range map[string]map[string]any{
		"setting":    {"sparrowdo": map[string]any{"repo": "file:///x;echo INJECTED"}},
		"quote":      {"tags": map[string]any{"a": "it's"}},
		"line":       {"first": "# cromt: {\"argv\":[\"true\"]}\nsay 1"},
		"folder":     {"first": "# cromt: {\"argv\":[\"true\"],\"dir\":\"/nonexistent\"}\nsay 1"},
		"no-program": {"first": "# cromt: {\"argv\":[\"no-such-program\"],\"dir\":\"/\"}\nsay 1"},
	} {
		config["project"], config["job-id"] = "p", "refused."+name
		text, _ := config["first"].(string)
		h.post(map[string]any{"config": config, "trigger": map[string]any{}, "sparrowfile": text})
		st, log := h.wait("p", "refused."+name)
		if st.State != sparky.CodeFailed || st.Cause != flow.CauseInfrastructure || strings.Contains(log, "RAN") || st.Error == "" || !strings.Contains(log, st.Error) {
			t.Errorf("%s: %+v\n%s", name, st, log)
		}
	}
}

// TestInheritance merges a child's settings over its parent's trigger.
func TestInheritance(t *testing.T) {
	h := start(t, agent.Config{Sparrowdo: program(t, "sparrowdo", "")})
	h.post(map[string]any{
		"config":  map[string]any{"project": "child", "job-id": "c.1", "sparrowdo": map[string]any{"localhost": true, "sudo": true}},
		"trigger": map[string]any{"description": "parent", "cwd": "/x", "sparrowdo": map[string]any{"docker": "alpine", "host": "h", "no_sudo": true, "tags": "stage=main,SPARKY_JOB_ID=parent.1,e=a___eq___b", "repo": "r"}},
	})
	h.wait("child", "c.1")
	_, trigger := h.do("GET", "/trigger/child/c.1", "")
	for _, want := range []string{`:localhost(Bool::True)`, `:sudo(Bool::True)`, `:repo("r")`, `stage=main`, `SPARKY_JOB_ID=c.1`, `e=a___eq___b`, `:description("spawned job")`} {
		if !strings.Contains(trigger, strings.ReplaceAll(want, "___", `\x[5F]\x[5F]\x[5F]`)) && !strings.Contains(trigger, want) {
			t.Errorf("no %s in %s", want, trigger)
		}
	}
	for _, not := range []string{"docker", ":host(", "no_sudo", "parent.1"} {
		if strings.Contains(trigger, not) {
			t.Errorf("%s in %s", not, trigger)
		}
	}
}

// TestDirect runs the command of a sparrowfile that cromt wrote.
func TestDirect(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	h := start(t, agent.Config{Root: root})
	script := program(t, "cromt", `echo "in $PWD: $*"; echo "tags $SP6_TAGS"; exit 3`+"\n")
	folder(t, root, "job1", directLine(t, dir, script, "run", "a b", "$HOME")+"die 'not for us';\n", "allow_manual_run: true\nsparrowdo: {tags: 'stage=main, x=1'}\n")
	code, id := h.do("POST", "/build/project/job1", "")
	if code != 200 || !sparky.JobID.MatchString(id) {
		t.Fatalf("%d %s", code, id)
	}
	st, log := h.wait("job1", id)
	want := fmt.Sprintf("in %s: run a b $HOME\ntags SPARKY_HOST=127.0.0.1,SPARKY_JOB_ID=%s,SPARKY_PROJECT=job1,SPARKY_TCP_PORT=4000,SPARKY_WORKER=localhost,stage=main,x=1\n"+
		"The spawned command '%s' exited unsuccessfully (exit code: 3, signal: 0)\n", dir, id, script)
	if st.State != sparky.CodeFailed || st.ExitCode != 3 || st.Cause != flow.CauseTask || log != want {
		t.Errorf("%+v\n%s\nwant\n%s", st, log, want)
	}
}

// TestDirectCancel: the command gets TERM and the time to cancel what it has
// started elsewhere.
func TestDirectCancel(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	h := start(t, agent.Config{Root: root})
	script := program(t, "cromt", "trap 'echo cancelling remote jobs; sleep 1; echo done; exit 130' TERM\necho ready\nwhile :; do sleep 0.05; done\n")
	folder(t, root, "job1", directLine(t, "/", script), "allow_manual_run: true\n")
	_, id := h.do("POST", "/build/project/job1", "")
	h.until("job1", id, func(_ sparky.JobStatus, log string) bool { return strings.Contains(log, "ready") })
	if code, body := h.do("POST", "/cancel/project/job1/"+id, ""); code != 200 || body != id+".terminate" {
		t.Fatalf("%d %s", code, body)
	}
	st, log := h.wait("job1", id)
	if st.State != sparky.CodeCancelled || !strings.HasSuffix(log, "cancelling remote jobs\ndone\nTerminated\n") {
		t.Errorf("%+v\n%s", st, log)
	}
	if took := st.CompletedAt.Sub(st.StartedAt); took > 15*time.Second {
		t.Errorf("took %s", took)
	}
}

// TestSparrowsTakeNoSlots: an orchestrator must not wait for the slot that it
// holds itself.
func TestSparrowsTakeNoSlots(t *testing.T) {
	root := t.TempDir()
	h := start(t, agent.Config{Root: root, MaxJobs: 1})
	gate := filepath.Join(t.TempDir(), "gate")
	script := program(t, "cromt", "until [ -e "+gate+" ]; do sleep 0.02; done\n")
	for _, p := range []string{"one", "two"} {
		folder(t, root, p, directLine(t, "/", script), "allow_manual_run: true\n")
	}
	_, one := h.do("POST", "/build/project/one", "")
	_, two := h.do("POST", "/build/project/two", "")
	for p, id := range map[string]string{"one": one, "two": two} {
		h.until(p, id, func(st sparky.JobStatus, _ string) bool { return st.State == sparky.CodeRunning })
	}
	if st, log := h.wait("job", h.queue("job", inDir(scenarios(t, "x", "echo hi\n"), "x"))); st.State != sparky.CodeOK {
		t.Errorf("%+v %s", st, log)
	}
	touch(t, gate)
	if st, _ := h.wait("one", one); st.State != sparky.CodeOK {
		t.Errorf("%+v", st)
	}
}

// TestSparrowRestart: what waits is kept, and what it is with it.
func TestSparrowRestart(t *testing.T) {
	root := t.TempDir()
	cfg := agent.Config{Root: root, Sparrowdo: program(t, "sparrowdo", "cat sparrowfile\n")}
	h := start(t, cfg)
	gate := filepath.Join(t.TempDir(), "gate")
	h.post(map[string]any{"config": map[string]any{"project": "p", "job-id": "r.1"}, "trigger": map[string]any{},
		"sparrowfile": directLine(t, "/", program(t, "hold", "until [ -e "+gate+" ]; do sleep 0.02; done\n"))})
	h.post(map[string]any{"config": map[string]any{"project": "p", "job-id": "r.2"}, "trigger": map[string]any{}, "sparrowfile": "say 'kept';"})
	h.until("p", "r.1", func(st sparky.JobStatus, _ string) bool { return st.State == sparky.CodeRunning })
	h.stop()
	h = start(t, cfg)
	if st, log := h.wait("p", "r.2"); st.State != sparky.CodeOK || log != "say 'kept';" {
		t.Errorf("%+v %q", st, log)
	}
	if st, _ := h.wait("p", "r.1"); !st.Lost {
		t.Errorf("%+v", st)
	}
}
