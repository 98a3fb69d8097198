//go:build unix

package agent_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/agent"
)

// gate is a scenario that says its NAME, then waits until the file NAME.go
// or all.go is there.
const gate = `echo "$NAME" >>order; until [ -e "$NAME.go" ] || [ -e all.go ]; do sleep 0.01; done; echo "-$NAME" >>order` + "\n"

func named(dir, name string) sparky.Spec {
	s := inDir(dir, "gate")
	s.Env = env("NAME", name)
	return s
}

func lines(t testing.TB, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Fields(string(data))
}

func touch(t testing.TB, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOneAtATimeInOrder(t *testing.T) {
	h := start(t, agent.Config{MaxJobs: 2})
	dir := scenarios(t, "gate", gate)
	ids := map[string]string{}
	for _, name := range []string{"a1", "a2", "a3"} {
		ids[name] = h.queue("a", named(dir, name))
	}
	order := filepath.Join(dir, "order")
	waitFor(t, func() bool { return len(lines(t, order)) == 1 })
	ids["b1"] = h.queue("b", named(dir, "b1"))
	ids["c1"] = h.queue("c", named(dir, "c1")) // waits for one of two slots
	waitFor(t, func() bool { return len(lines(t, order)) == 2 })
	for name, want := range map[string]string{"a1": "0", "a2": "-2", "a3": "-2", "b1": "0", "c1": "-2"} {
		if _, body := h.do("GET", "/status/"+name[:1]+"/"+ids[name], ""); body != want {
			t.Errorf("%s: %s, want %s", name, body, want)
		}
	}
	if _, body := h.do("GET", "/report/raw/a/"+ids["a2"], ""); body != "build is queued, wait till it gets run\n" {
		t.Errorf("report of a queued job: %q", body)
	}
	touch(t, filepath.Join(dir, "b1.go"))
	waitFor(t, func() bool { return len(lines(t, order)) == 4 }) // c1 takes its slot
	touch(t, filepath.Join(dir, "all.go"))
	for name, id := range ids {
		if st, _ := h.wait(name[:1], id); st.State != sparky.CodeOK {
			t.Errorf("%s: %+v", name, st)
		}
	}
	got := strings.Join(lines(t, order), " ")
	if !strings.HasPrefix(got, "a1 b1 -b1 c1 ") {
		t.Errorf("order %s", got)
	}
	a := strings.Join(strings.FieldsFunc(got, func(r rune) bool { return r == ' ' }), " ")
	for _, name := range []string{"b1", "c1"} {
		a = strings.ReplaceAll(strings.ReplaceAll(a, "-"+name, ""), name, "")
	}
	if got := strings.Join(strings.Fields(a), " "); got != "a1 -a1 a2 -a2 a3 -a3" {
		t.Errorf("order of a: %s", got)
	}
}

// TestDuplicatesRunOnce posts every job from several connections at once, and
// once more when it has ended.
func TestDuplicatesRunOnce(t *testing.T) {
	h := start(t, agent.Config{KeepBuilds: 1, MaxJobs: 3})
	dir := scenarios(t, "count", `echo "$SPARKY_JOB_ID" >>count`+"\n")
	var wg sync.WaitGroup
	const jobs, posts = 20, 5
	for n := range jobs {
		project, id := fmt.Sprintf("p%d", n%4), fmt.Sprintf("dup.%d", n)
		body := queueBody(project, id, inDir(dir, "count"))
		for range posts {
			wg.Go(func() {
				if code, answer := h.do("POST", "/queue", body); code != 200 || strings.Contains(answer, "error") {
					t.Errorf("%d %s", code, answer)
				}
			})
		}
		wg.Go(func() {
			if code, answer := h.do("POST", "/queue", queueBody("other-"+project, id+".x", inDir(dir, "count"))); code != 200 {
				t.Errorf("%d %s", code, answer)
			}
		})
	}
	wg.Wait()
	for n := range jobs {
		h.wait(fmt.Sprintf("p%d", n%4), fmt.Sprintf("dup.%d", n))
		h.wait(fmt.Sprintf("other-p%d", n%4), fmt.Sprintf("dup.%d.x", n))
	}
	for n := range 4 {
		if err := agent.PruneNow(h.a, fmt.Sprintf("p%d", n), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	for n := range jobs {
		id := fmt.Sprintf("dup.%d", n)
		if code, answer := h.do("POST", "/queue", queueBody(fmt.Sprintf("p%d", n%4), id, inDir(dir, "count"))); code != 200 || !strings.Contains(answer, `"attached":true`) {
			t.Errorf("again: %d %s", code, answer)
		}
		if code, answer := h.do("POST", "/queue", queueBody("another", id, inDir(dir, "count"))); code != 409 || !strings.Contains(answer, `"error"`) {
			t.Errorf("in another project: %d %s", code, answer)
		}
		if code, body := h.do("GET", fmt.Sprintf("/status/p%d/%s", n%4, id), ""); code != 200 || body != "1" {
			t.Errorf("state after all: %d %s", code, body)
		}
	}
	seen := map[string]int{}
	for _, id := range lines(t, filepath.Join(dir, "count")) {
		if seen[id]++; seen[id] > 1 {
			t.Errorf("%s ran twice", id)
		}
	}
	if len(seen) != 2*jobs {
		t.Errorf("%d jobs ran, want %d", len(seen), 2*jobs)
	}
}

func TestPrune(t *testing.T) {
	root := t.TempDir()
	h := start(t, agent.Config{Root: root, KeepBuilds: 2})
	dir := scenarios(t, "x", "head -c 100000 /dev/zero | tr '\\0' x; echo out >out\n")
	spec := inDir(dir, "x")
	spec.Out = []sparky.SpecOutput{{File: "o", Path: "out"}}
	var ids []string
	for range 4 {
		ids = append(ids, h.queue("p", spec))
		h.wait("p", ids[len(ids)-1])
	}
	if code, _ := h.do("PUT", "/file/project/q/job/early/filename/src", "x"); code != 200 {
		t.Fatal(code)
	}
	if err := agent.PruneNow(h.a, "p", time.Now()); err != nil {
		t.Fatal(err)
	}
	for n, id := range ids {
		kept := n >= 2
		_, fileErr := os.Stat(filepath.Join(root, "files", "p", id, "o"))
		_, logErr := os.Stat(filepath.Join(root, "logs", id+".log"))
		code, _ := h.do("GET", "/report/raw/p/"+id, "")
		if (fileErr == nil) != kept || (logErr == nil) != kept || (code == 200) != kept {
			t.Errorf("build %d: %v, %v, %d", n, fileErr, logErr, code)
		}
		if st := h.poll("p", id, "?wait=5&state=-2"); st.State != sparky.CodeOK {
			t.Errorf("build %d: %+v", n, st)
		}
	}
	if code, _ := h.do("GET", "/file/q/early/src", ""); code != 200 {
		t.Errorf("file of a job to come: %d", code)
	}
	if err := agent.PruneNow(h.a, "p", time.Now().Add(30*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if code, _ := h.do("GET", "/file/q/early/src", ""); code != 404 {
		t.Errorf("file of a job that never came: %d", code)
	}
	if code, _ := h.do("GET", "/file/p/"+ids[3]+"/o", ""); code != 200 {
		t.Errorf("file of a kept build: %d", code)
	}
}

// TestPolls looks at how many answers a job costs, and when they come.
func TestPolls(t *testing.T) {
	h := start(t, agent.Config{})
	dir := scenarios(t, "gate", gate, "talk", "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.02; done; sleep 60\n", "x", "echo x\n")
	id := h.queue("p", named(dir, "w"))
	h.until("p", id, func(st sparky.JobStatus, log string) bool {
		return st.State == 0 && strings.Contains(log, "step=tom-gate")
	})
	size := h.poll("p", id, "").LogSize
	done := make(chan sparky.JobStatus)
	go func() { done <- h.poll("p", id, fmt.Sprintf("?wait=30&state=0&offset=%d", size)) }()
	touch(t, filepath.Join(dir, "w.go"))
	if st := <-done; st.State != sparky.CodeOK || !strings.Contains(string(st.Log), "result=ok") {
		t.Errorf("end: %+v %q", st, st.Log)
	}
	// News of the log is gathered.
	id = h.queue("p", inDir(dir, "talk"))
	answers := 0
	h.until("p", id, func(_ sparky.JobStatus, log string) bool { answers++; return strings.Contains(log, "\n8\n") })
	if answers > 5 {
		t.Errorf("%d answers for 8 lines in 160 ms", answers)
	}
	// Nothing new: the answer comes when the time is over.
	at, st := time.Now(), h.poll("p", id, "")
	st = h.poll("p", id, fmt.Sprintf("?wait=1&state=0&offset=%d", st.LogSize))
	if took := time.Since(at); st.State != 0 || took < time.Second || took > 10*time.Second {
		t.Errorf("%+v after %s", st, took)
	}
	h.do("POST", "/cancel/project/p/"+id, "")
	if st, _ := h.wait("p", id); st.State != sparky.CodeCancelled {
		t.Errorf("%+v", st)
	}
	// A real client's plain status with our query.
	id = h.queue("p", inDir(dir, "x"))
	if code, body := h.do("GET", "/status/p/"+id+"?wait=30&state=-2", ""); code != 200 || body != "1" {
		t.Errorf("plain: %d %q", code, body)
	}
	if code, body := h.do("GET", "/report/raw/p/"+id+"?offset=17", ""); code != 200 || !strings.HasPrefix(body, "x\n") {
		t.Errorf("report from an offset: %d %q", code, body)
	}
}

// TestPostBringsNews: the answer to a post may wait for news of its job.
func TestPostBringsNews(t *testing.T) {
	h := start(t, agent.Config{})
	dir := scenarios(t, "gate", gate)
	post := func(id, query string) (a sparky.QueueAnswer) {
		code, body := h.do("POST", "/queue"+query, queueBody("p", id, named(dir, id)))
		if err := json.Unmarshal([]byte(body), &a); err != nil || code != 200 || a.JobID != id {
			t.Errorf("%d %s", code, body)
		}
		return a
	}
	if a := post("a.1", "?wait=30"); a.Status == nil || a.Status.State != sparky.CodeRunning || len(a.Status.Log) == 0 {
		t.Errorf("a job that runs: %+v", a.Status)
	}
	if a := post("a.2", "?wait=1"); a.Status == nil || a.Status.State != sparky.CodeQueued {
		t.Errorf("a job that waits for it: %+v", a.Status)
	}
	if a := post("a.2", ""); a.Status != nil || !a.Attached {
		t.Errorf("nobody asked: %+v", a)
	}
	if code, body := h.do("POST", "/queue?wait=-1", queueBody("p", "a.3", named(dir, "a.3"))); code != 400 {
		t.Errorf("%d %s", code, body)
	}
	ended := make(chan sparky.QueueAnswer)
	go func() { ended <- post("a.1", "?wait=30") }()
	touch(t, filepath.Join(dir, "a.1.go"))
	touch(t, filepath.Join(dir, "a.2.go"))
	a := <-ended
	for a.Status == nil || !a.Status.State.Ended() { // the gate opens in its own time
		a = post("a.1", "?wait=30")
	}
	if a.Status.State != sparky.CodeOK || !strings.Contains(string(a.Status.Log), "result=ok") {
		t.Errorf("a job that has ended: %+v", a.Status)
	}
}

// TestManyWaiters has a thousand clients wait for one job each.
func TestManyWaiters(t *testing.T) {
	const n = 1000
	h := start(t, agent.Config{})
	dir := scenarios(t, "gate", gate)
	first := h.queue("p", named(dir, "first"))
	h.until("p", first, func(st sparky.JobStatus, _ string) bool { return st.State == 0 })
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: n}}
	defer client.CloseIdleConnections()
	var wg sync.WaitGroup
	begun := make(chan bool, n)
	var ids []string
	for range n {
		id := h.queue("p", named(dir, "first"))
		ids = append(ids, id)
		wg.Go(func() {
			req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, h.url+"/status/p/"+id+"?wait=40&state=-2", nil)
			if err != nil {
				t.Error(err)
				return
			}
			begun <- true
			res, err := client.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			if got := string(drain(res)); got != "-11" {
				t.Errorf("%s: %s", id, got)
			}
		})
	}
	for range n {
		<-begun
	}
	for _, id := range ids {
		h.do("POST", "/cancel/project/p/"+id, "")
	}
	wg.Wait()
	touch(t, filepath.Join(dir, "all.go"))
	h.wait("p", first)
}

func FuzzQueue(f *testing.F) {
	f.Add([]byte(queueBody("p1", "raw.1", inDir("/x", "a"))))
	f.Add([]byte(`{"config":{"project":5,"job-id":"l.1","tags":{"n":3}},"trigger":{},"sparrowdo-config":{"cromt":1}}`))
	f.Add([]byte(`{"config":{"project":"p","job-id":"l"},"trigger":{},"sparrowdo-config":{"cromt":1,"source":{"kind":"git","url":"x"}}}`))
	f.Add([]byte(`{"config":{"project":"p","job-id":"l"},"trigger":{},"sparrowdo-config":{"cromt":1,"source":{"kind":"git","url":"https://h/r","auth":"eDp5"}}}`))
	f.Add([]byte(`{"config":null,"trigger":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		project, id, _, err := agent.DecodeQueue(data)
		if err == nil && (!sparky.ProjectName.MatchString(project) || !sparky.JobID.MatchString(id)) {
			t.Errorf("accepted %q %q", project, id)
		}
		if err != nil && strings.ContainsRune(err.Error(), '\n') {
			t.Errorf("error of several lines: %q", err)
		}
	})
}
