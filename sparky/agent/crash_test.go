//go:build linux

package agent_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/agent"
)

// rootVariable makes this program an agent instead of a test.
const rootVariable = "AGENT_TEST_ROOT"

func TestMain(m *testing.M) {
	if root := os.Getenv(rootVariable); root != "" {
		fmt.Fprintln(os.Stderr, beAgent(root))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// beAgent serves until the process is killed.
func beAgent(root string) error {
	a, err := agent.Open(agent.Config{Root: root})
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	return agent.Serve(context.Background(), ln, a, nil)
}

// spawn starts an agent in a process of its own.
func spawn(t testing.TB, root string) (h *host, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), rootVariable+"="+root)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	t.Cleanup(kill)
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return &host{t: t, url: "http://" + strings.TrimSpace(addr), pid: cmd.Process.Pid}, kill
}

func TestKilledAgent(t *testing.T) {
	root := t.TempDir()
	h, kill := spawn(t, root)
	dir := scenarios(t, "x", "echo printed; "+stubborn, "gate", gate)
	running := h.queue("p", inDir(dir, "x"))
	queued := h.queue("p", named(dir, "queued"))
	cancelled := h.queue("p", named(dir, "cancelled"))
	h.do("POST", "/cancel/project/p/"+cancelled, "")
	ended := h.queue("q", named(dir, "ended"))
	touch(t, filepath.Join(dir, "ended.go"))
	h.wait("q", ended)
	pids := filepath.Join(dir, "pids")
	waitFor(t, func() bool { return len(lines(t, pids)) == 2 })
	timer := time.NewTimer(1500 * time.Millisecond) // until the log of a running job is in its file
	<-timer.C
	kill()
	if len(alive(t, pids)) == 0 {
		t.Fatal("the job died with the agent, so the test shows nothing")
	}

	h = start(t, agent.Config{Root: root})
	if left := alive(t, pids); len(left) > 0 {
		t.Errorf("processes of the lost job: %v", left)
	}
	st, log := h.wait("p", running)
	if st.State != sparky.CodeFailed || !st.Lost || st.Cause != "infrastructure" || st.Error != "agent restarted while the job was running" || !strings.Contains(log, "printed\n") {
		t.Errorf("running: %+v %q", st, log)
	}
	touch(t, filepath.Join(dir, "queued.go"))
	if st, _ := h.wait("p", queued); st.State != sparky.CodeOK {
		t.Errorf("queued: %+v", st)
	}
	if st, _ := h.wait("q", ended); st.State != sparky.CodeOK || st.Lost {
		t.Errorf("ended: %+v", st)
	}
	if st, _ := h.wait("p", cancelled); st.State != sparky.CodeCancelled {
		t.Errorf("cancelled: %+v", st)
	}
	if code, body := h.do("POST", "/queue", queueBody("p", running, inDir(dir, "x"))); code != 200 || !strings.Contains(body, `"attached":true`) {
		t.Errorf("posted again: %d %s", code, body)
	}
	if n := len(lines(t, pids)); n != 2 {
		t.Errorf("the lost job ran again: %d", n)
	}
}

// TestJobKillsAgent: a job may do what the agent's user may. It has lost its
// own end by that, even if it goes on and succeeds, and nothing of it is left
// when the agent is back.
func TestJobKillsAgent(t *testing.T) {
	root := t.TempDir()
	h, _ := spawn(t, root)
	dir := scenarios(t, "x", strings.Replace(comet, `eval "$NEXT"`, "echo x >>ran; kill -9 $PPID; echo x >>done; exit 0", 1))
	spec := inDir(dir, "x")
	spec.Env = env("BOMB", dir)
	id := h.queue("p", spec)
	waitFor(t, func() bool { return len(lines(t, filepath.Join(dir, "done"))) > 0 })

	h = start(t, agent.Config{Root: root})
	hops := lines(t, filepath.Join(dir, "hops"))
	if st, log := h.wait("p", id); st.State != sparky.CodeFailed || !st.Lost || st.Cause != "infrastructure" {
		t.Errorf("%+v\n%s", st, log)
	}
	if st, log := h.wait("p", h.queue("p", inDir(scenarios(t, "x", "sleep 0.1\n"), "x"))); st.State != sparky.CodeOK {
		t.Errorf("the next job: %+v\n%s", st, log)
	}
	if left := carrying(t, "BOMB="+dir); len(left) > 0 {
		t.Errorf("still there: %v", left)
	}
	if n := lines(t, filepath.Join(dir, "hops")); len(n) > len(hops) {
		t.Errorf("it went on: %d processes, then %d", len(hops), len(n))
	}
	if n := len(lines(t, filepath.Join(dir, "ran"))); n != 1 {
		t.Errorf("it ran %d times", n)
	}
}

// TestKilledAtRandom kills the agent again and again while jobs run, and
// looks whether any was forgotten, ran twice or passed without having run.
func TestKilledAtRandom(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	root := t.TempDir()
	dir := scenarios(t, "x", `echo "$SPARKY_JOB_ID" >>ran; sleep 0.01; echo "$SPARKY_JOB_ID" >>done`+"\n")
	client := &http.Client{Timeout: 5 * time.Second}
	type posted struct{ project, id string }
	var accepted []posted
	for range 12 {
		h, kill := spawn(t, root)
		timer := time.AfterFunc(time.Duration(10+rnd.IntN(150))*time.Millisecond, kill)
		for n := range 40 {
			project, id := fmt.Sprintf("p%d", n%5), newID()
			res, err := client.Post(h.url+"/queue", "application/json", strings.NewReader(queueBody(project, id, inDir(dir, "x"))))
			if err != nil {
				break
			}
			var answer sparky.QueueAnswer
			if json.Unmarshal(drain(res), &answer) == nil && answer.JobID == id {
				accepted = append(accepted, posted{project, id})
			}
		}
		timer.Stop()
		kill()
		client.CloseIdleConnections()
	}
	h := start(t, agent.Config{Root: root})
	doneBefore := strings.Join(lines(t, filepath.Join(dir, "done")), " ") + " "
	ok, lost := 0, 0
	var lostIDs []string
	passed := map[string]bool{}
	for _, p := range accepted {
		switch st, _ := h.wait(p.project, p.id); {
		case st.State == sparky.CodeOK:
			ok++
			passed[p.id] = true
		case st.State == sparky.CodeFailed && st.Lost:
			lost++
			lostIDs = append(lostIDs, p.id)
		default:
			t.Errorf("%s: %+v", p.id, st)
		}
	}
	ran, done := map[string]int{}, map[string]bool{}
	for _, id := range lines(t, filepath.Join(dir, "ran")) {
		if ran[id]++; ran[id] > 1 {
			t.Errorf("%s ran twice", id)
		}
	}
	for _, id := range lines(t, filepath.Join(dir, "done")) {
		done[id] = true
	}
	for _, id := range lostIDs {
		if done[id] && !strings.Contains(doneBefore, id+" ") {
			t.Errorf("%s went on after it was declared lost", id)
		}
	}
	for id := range passed {
		if !done[id] {
			t.Errorf("%s passed and did not run to its end", id)
		}
	}
	t.Logf("%d accepted, %d passed, %d lost", len(accepted), ok, lost)
	if len(accepted) == 0 || ok == 0 {
		t.Error("nothing was tried")
	}
}

func TestClose(t *testing.T) {
	root := t.TempDir()
	h := start(t, agent.Config{Root: root})
	dir := scenarios(t, "x", "echo $$ >pids; sleep 600\n", "gate", gate)
	if _, err := agent.Open(agent.Config{Root: root}); err == nil || !strings.Contains(err.Error(), "in use by another agent") {
		t.Errorf("second agent: %v", err)
	}
	running, queued := h.queue("p", inDir(dir, "x")), h.queue("p", named(dir, "n"))
	waitFor(t, func() bool { return len(lines(t, filepath.Join(dir, "pids"))) == 1 })
	h.stop()
	if left := alive(t, filepath.Join(dir, "pids")); len(left) > 0 {
		t.Errorf("still there: %v", left)
	}
	touch(t, filepath.Join(dir, "all.go"))
	h = start(t, agent.Config{Root: root})
	if st, _ := h.wait("p", running); !st.Lost || st.State != sparky.CodeFailed || st.Error != "agent stopped while the job was running" {
		t.Errorf("running: %+v", st)
	}
	if st, _ := h.wait("p", queued); st.State != sparky.CodeOK {
		t.Errorf("queued: %+v", st)
	}
}

// TestImpatientClose gives a job that ignores TERM no time.
func TestImpatientClose(t *testing.T) {
	a, err := agent.Open(agent.Config{Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- agent.Serve(ctx, ln, a, nil) }()
	h := &host{t: t, a: a, url: "http://" + ln.Addr().String()}
	dir := scenarios(t, "x", stubborn)
	h.queue("p", inDir(dir, "x"))
	pids := filepath.Join(dir, "pids")
	waitFor(t, func() bool { return len(lines(t, pids)) == 2 })
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	at := time.Now()
	if err := a.Close(ctx); err != nil {
		t.Error(err)
	}
	if took := time.Since(at); took > sparky.KillGrace/2 {
		t.Errorf("took %s", took)
	}
	if left := alive(t, pids); len(left) > 0 {
		t.Errorf("still there: %v", left)
	}
}

func request(t testing.TB, method, url, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	return r
}
