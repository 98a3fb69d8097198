//go:build linux

package agent_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/agent"
)

// stubborn is a scenario that ignores TERM, and leaves a process in a session
// of its own as well that takes TERM as the time to start one more.
const stubborn = `trap '' TERM
setsid bash -c 'trap "setsid sleep 600 & echo \$! >>pids" TERM; echo $$ >>pids; while :; do sleep 0.05; done' &
echo $$ >>pids
while :; do sleep 0.05; done
`

// alive returns those of the processes named in the file that are not gone.
func alive(t testing.TB, path string) (left []string) {
	t.Helper()
	for _, s := range lines(t, path) {
		pid, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err == nil && !strings.Contains(string(stat), ") Z ") && syscall.Kill(pid, 0) == nil {
			left = append(left, s)
		}
	}
	return left
}

func TestKillTree(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Log("processes that leave their session are found on Linux only")
		return
	}
	t.Parallel()
	h := start(t, agent.Config{})
	for _, c := range []struct {
		name  string
		end   func(id string)
		spec  func(*sparky.Spec)
		state sparky.Code
		cause flow.Cause
		error string
	}{
		{"cancel", func(id string) { h.do("POST", "/cancel/project/cancel/"+id, "") }, func(*sparky.Spec) {}, sparky.CodeCancelled, flow.CauseCancelled, "cancelled"},
		{"timeout", func(string) {}, func(s *sparky.Spec) { s.Timeout = 1 }, sparky.CodeFailed, flow.CauseTimeout, "timed out after 1s"},
		{"lease", func(string) {}, func(s *sparky.Spec) { s.Lease = 1 }, sparky.CodeCancelled, flow.CauseCancelled, "orchestrator silent for 1s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := scenarios(t, "x", stubborn)
			pids := filepath.Join(dir, "pids")
			spec := inDir(dir, "x")
			c.spec(&spec)
			id := h.queue(c.name, spec)
			waitFor(t, func() bool { return len(lines(t, pids)) == 2 })
			at := time.Now()
			c.end(id)
			if c.name == "lease" { // be silent until it ended
				waitFor(t, func() bool { return len(alive(t, pids)) == 0 })
			}
			st, log := h.wait(c.name, id)
			if st.State != c.state || st.Cause != c.cause || st.Error != c.error || !strings.Contains(log, "meta: cancelled\n"+c.error) {
				t.Errorf("%+v %q", st, log)
			}
			if left := alive(t, pids); len(left) > 0 {
				t.Errorf("still there: %v", left)
			}
			if took := time.Since(at); took > sparky.KillGrace+10*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

// bomb is a scenario whose processes start two more each, down to 127 of them;
// those that are left over go on starting others, some of them a thousand. NEXT
// is what it does when a hundred are there.
const bomb = `bomb() {
	echo $BASHPID >>born
	if [ $1 -gt 0 ]; then bomb $(($1-1)) & bomb $(($1-1)) & wait; fi
	if [ $((BASHPID % 8)) = 0 ]; then for n in {1..1000}; do ( : ); done; fi
	exec sleep 600
}
bomb 6 &
until [ $(wc -l <born) -gt 100 ]; do sleep 0.01; done
eval "$NEXT"
`

// comet is a scenario with a process that starts another one, in a session of
// its own, and exits, and so on: none of them is there for long. It comes to
// nothing without its folder.
const comet = `cat >comet.sh <<'END'
echo x >>hops
setsid bash comet.sh &
END
bash comet.sh
until [ $(wc -l <hops) -gt 20 ]; do sleep 0.01; done
eval "$NEXT"
`

// carrying returns the processes that have a variable, which text writes as
// NAME=value, in their environment.
func carrying(t testing.TB, text string) (pids []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range all {
		data, err := os.ReadFile(name) // which is gone when the process is
		if err == nil && slices.Contains(strings.Split(string(data), "\x00"), text) {
			pids = append(pids, filepath.Base(filepath.Dir(name)))
		}
	}
	return pids
}

// TestForkBomb: however many processes a job has started, none is there when
// it has ended, and the agent goes on.
func TestForkBomb(t *testing.T) {
	t.Parallel()
	h := start(t, agent.Config{})
	for _, c := range []struct {
		name, script, next string
		state              sparky.Code
		cause              flow.Cause
	}{
		{"ends", bomb, "exit 0", sparky.CodeOK, ""},
		{"ends by a signal", bomb, "kill -9 $$", sparky.CodeFailed, flow.CauseTask},
		{"is cancelled", bomb, "touch there; wait", sparky.CodeCancelled, flow.CauseCancelled},
		{"takes too long", bomb, "touch there; wait", sparky.CodeFailed, flow.CauseTimeout},
		{"ends before a comet", comet, "exit 0", sparky.CodeOK, ""},
		{"is cancelled with a comet", comet, "touch there; exec sleep 600", sparky.CodeCancelled, flow.CauseCancelled},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := scenarios(t, "x", c.script)
			spec := inDir(dir, "x")
			spec.Env = env("NEXT", c.next, "BOMB", dir)
			if c.cause == flow.CauseTimeout {
				spec.Timeout = 1
			}
			id := h.queue("p", spec)
			if c.cause == flow.CauseCancelled {
				waitFor(t, func() bool { _, err := os.Stat(filepath.Join(dir, "there")); return err == nil })
				if n := len(carrying(t, "BOMB="+dir)); n < 50 && c.script == bomb {
					t.Errorf("%d processes: this proves little", n)
				}
				h.do("POST", "/cancel/project/p/"+id, "")
			}
			st, log := h.wait("p", id)
			if st.State != c.state || st.Cause != c.cause || (st.ExitCode == 0) != (c.state == sparky.CodeOK) {
				t.Errorf("%+v\n%s", st, log)
			}
			hops := lines(t, filepath.Join(dir, "hops"))
			if left := carrying(t, "BOMB="+dir); len(left) > 0 {
				t.Errorf("still there: %v", left)
			}
			if st, log := h.wait("p", h.queue("p", inDir(scenarios(t, "x", "sleep 0.1\n"), "x"))); st.State != sparky.CodeOK {
				t.Errorf("the next job: %+v\n%s", st, log)
			}
			if n := lines(t, filepath.Join(dir, "hops")); len(n) > len(hops) {
				t.Errorf("it went on: %d processes, then %d", len(hops), len(n))
			}
		})
	}
}

// Agents that share a machine leave each other's jobs alone, also those of the
// same id.
func TestKillOwn(t *testing.T) {
	t.Parallel()
	a, b := start(t, agent.Config{}), start(t, agent.Config{})
	dirs := [2]string{scenarios(t, "x", stubborn), scenarios(t, "x", stubborn)}
	id := newID()
	for i, h := range []*host{a, b} {
		if code, body := h.do("POST", "/queue", queueBody("p", id, inDir(dirs[i], "x"))); code != 200 {
			t.Fatal(body)
		}
		waitFor(t, func() bool { return len(lines(t, filepath.Join(dirs[i], "pids"))) == 2 })
	}
	a.do("POST", "/cancel/project/p/"+id, "")
	if st, log := a.wait("p", id); st.State != sparky.CodeCancelled || len(alive(t, filepath.Join(dirs[0], "pids"))) > 0 {
		t.Errorf("%+v %s", st, log)
	}
	if left := alive(t, filepath.Join(dirs[1], "pids")); len(left) != 2 {
		t.Errorf("the other agent's processes that are there: %v", left)
	}
	b.do("POST", "/cancel/project/p/"+id, "")
	b.wait("p", id)
}

func TestCancelQueued(t *testing.T) {
	h := start(t, agent.Config{})
	dir := scenarios(t, "gate", gate)
	first := h.queue("p", named(dir, "first"))
	second, third := h.queue("p", named(dir, "second")), h.queue("p", named(dir, "third"))
	if code, body := h.do("POST", "/cancel/project/p/"+second, ""); code != 200 || body != second+".terminate" {
		t.Errorf("%d %s", code, body)
	}
	if st := h.poll("p", second, ""); st.State != sparky.CodeCancelled || st.Cause != flow.CauseCancelled || !st.StartedAt.IsZero() {
		t.Errorf("%+v", st)
	}
	touch(t, filepath.Join(dir, "all.go"))
	for _, id := range []string{first, third} {
		if st, _ := h.wait("p", id); st.State != sparky.CodeOK {
			t.Errorf("%+v", st)
		}
	}
	// Of an ended job it changes nothing.
	h.do("POST", "/cancel/project/p/"+first, "")
	if st := h.poll("p", first, ""); st.State != sparky.CodeOK {
		t.Errorf("%+v", st)
	}
	if got := strings.Join(lines(t, filepath.Join(dir, "order")), " "); strings.Contains(got, "second") {
		t.Errorf("it ran: %s", got)
	}
}

// TestLeaseIsKeptByPolling asks for a job more often than its lease.
func TestLeaseIsKeptByPolling(t *testing.T) {
	h := start(t, agent.Config{})
	spec := inDir(scenarios(t, "x", "sleep 2.5\n"), "x")
	spec.Lease = 1
	if st, _ := h.wait("p", h.queue("p", spec)); st.State != sparky.CodeOK {
		t.Errorf("%+v", st)
	}
}
