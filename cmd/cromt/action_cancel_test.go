//go:build unix

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cromt/cromt/bot/githubtest"
	"github.com/cromt/cromt/flow"
)

// A step that is cancelled gets INT, after termAfter TERM, and after killAfter
// more KILL: https://docs.github.com/actions/reference/workflows-and-actions/workflow-cancellation.
const (
	termAfter = 7500 * time.Millisecond
	killAfter = 2500 * time.Millisecond
)

// waitingJob is a job of a workflow with a flow whose scenarios wait on real
// hosts until they are cancelled.
type waitingJob struct {
	*workflowJob
	shared string // folder of the hosts
	hosts  int
}

// newWaitingJob starts two agents; more are other hosts of the flow, which
// start nothing.
func newWaitingJob(t *testing.T, more ...string) *waitingJob {
	t.Helper()
	shared := t.TempDir()
	var jobs strings.Builder
	jobs.WriteString("projects:\n  app:\n    path: .\n    action: step\n    hosts:\n")
	w := &waitingJob{shared: shared, hosts: 2}
	for i := range w.hosts {
		_, url := startAgentProcess(t)
		fmt.Fprintf(&jobs, "      - {url: '%s', title: host%d, vars: {DIR: %s, NAME: %d}}\n", url, i, shared, i)
		if err := syscall.Mkfifo(w.path("started", i), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, url := range more {
		fmt.Fprintf(&jobs, "      - {url: '%s', title: silent, vars: {DIR: %s, NAME: none}}\n", url, shared)
	}
	if err := syscall.Mkfifo(filepath.Join(shared, "never"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.workflowJob = newWorkflowJob(t, map[string]string{
		"jobs.yaml":      jobs.String(),
		".tom/step.bash": "echo begun\ncat $DIR/never & echo $$ $! > $DIR/pids-$NAME\necho > $DIR/started-$NAME\nwait\n",
	})
	w.inputs(map[string]string{"local": "false", "checks": "per-host"})
	return w
}

func (w *waitingJob) path(name string, host int) string {
	return filepath.Join(w.shared, name+"-"+strconv.Itoa(host))
}

// running waits until the scenarios run.
func (w *waitingJob) running() {
	w.t.Helper()
	for i := range w.hosts {
		if _, err := os.ReadFile(w.path("started", i)); err != nil {
			w.t.Fatal(err)
		}
	}
}

// gone checks that the processes of the scenarios have ended.
func (w *waitingJob) gone() {
	w.t.Helper()
	for i := range w.hosts {
		data, err := os.ReadFile(w.path("pids", i))
		if err != nil {
			w.t.Fatal(err)
		}
		for _, f := range strings.Fields(string(data)) {
			pid, err := strconv.Atoi(f)
			if err != nil || pid < 2 {
				w.t.Fatalf("pids %q", data)
			}
			if isRunning(pid) {
				w.t.Errorf("process %d of host %d still runs", pid, i)
			}
		}
	}
}

// isRunning reports whether a process is there and no zombie.
func isRunning(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, ok := strings.Cut(string(stat), ") ")
	return err != nil || !ok || !strings.HasPrefix(state, "Z")
}

// confirmed checks that the two hosts say that they have cancelled their jobs.
func (w *waitingJob) confirmed(run *flow.Run) {
	w.t.Helper()
	for i := range w.hosts {
		j := &run.Jobs[i]
		if j.Conclusion != flow.Cancelled || !strings.HasSuffix(j.Error, "confirmed it") || len(j.Attempts) != 1 {
			w.t.Errorf("job %s: %s, %q, %d attempts", j.Key, j.Conclusion, j.Error, len(j.Attempts))
			continue
		}
		res, err := http.Get(j.Host + "/status/" + j.Queue + "/" + j.Attempts[0].JobID)
		if err != nil {
			w.t.Error(err)
			continue
		}
		answer := make([]byte, 8)
		n, _ := res.Body.Read(answer)
		res.Body.Close()
		if string(answer[:n]) != "-11" {
			w.t.Errorf("%s says %q of its job", j.Host, answer[:n])
		}
	}
}

// interrupt sends a signal, waits for the end and checks that it comes in time.
func interrupt(t *testing.T, cmd *exec.Cmd, sig os.Signal, limit time.Duration, wait func() stepResult) stepResult {
	t.Helper()
	sent := time.Now()
	if err := cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	r := wait()
	if took := time.Since(sent); took > limit {
		t.Errorf("it took %v, and GitHub allows %v\n%s", took, limit, r.log)
	}
	return r
}

// silentHost is a host that takes connections and says nothing.
func silentHost(t *testing.T) (url string, accepted <-chan struct{}) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	c := make(chan struct{}, 1)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			select {
			case c <- struct{}{}:
			default:
			}
		}
	}()
	return "http://" + ln.Addr().String(), c
}

// silentGitHub is a GitHub that answers nothing any more.
func (j *workflowJob) silentGitHub() (asked <-chan struct{}) {
	c := make(chan struct{}, 1)
	j.gh.Fault(func(*http.Request, int) *githubtest.Fault {
		select {
		case c <- struct{}{}:
		default:
		}
		return &githubtest.Fault{Delay: time.Hour}
	})
	return c
}

func TestActionCancel(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} { // GitHub's first one, and that of whoever ends the runner
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			j := newWaitingJob(t)
			cmd, _, wait := j.start()
			j.running()
			j.cancelled(interrupt(t, cmd, sig, termAfter, wait))
		})
	}
}

// cancelled checks that a step was, on all hosts, and says so everywhere.
func (w *waitingJob) cancelled(r stepResult) {
	t := w.t
	t.Helper()
	r.expect(t, 130, "cancelled")
	w.gone()
	w.confirmed(&r.report)
	if r.outputs["failed"] != `["app@host0","app@host1"]` {
		t.Errorf("failed: %s", r.outputs["failed"])
	}
	expectIn(t, "summary", r.summary, "2 cancelled", "host0", "host1")
	runs := w.repo.CheckRuns()
	if len(runs) != 3 {
		t.Errorf("%d check runs", len(runs))
	}
	for _, k := range runs {
		if k.Status != "completed" || k.Conclusion != "cancelled" {
			t.Errorf("check run %s: %s %s", k.Name, k.Status, k.Conclusion)
		}
	}
	if n := len(annotationsIn(r.log, "error")) + len(annotationsIn(r.log, "notice")); n != 0 {
		t.Errorf("%d annotations of what somebody wanted\n%s", n, r.log)
	}
}

// Neither a host that says nothing nor a GitHub that does not answer keep the
// others from being cancelled, and the summary from being there, in time.
func TestActionCancelWhenNobodyAnswers(t *testing.T) {
	t.Parallel()
	silent, connected := silentHost(t)
	j := newWaitingJob(t, silent)
	j.silentGitHub()
	cmd, _, wait := j.start()
	j.running()
	<-connected
	r := interrupt(t, cmd, os.Interrupt, termAfter, wait)
	r.expect(t, 130, "cancelled")
	j.gone()
	j.confirmed(&r.report)
	expectIn(t, "summary", r.summary, "3 cancelled", "silent", "check run cromt (action) could not be concluded")
	if n := len(annotationsIn(r.log, "notice")); n != 1 {
		t.Errorf("%d notices\n%s", n, r.log)
	}
}

// Jobs that do not end when they are asked to are killed with the step, where
// it is the host; elsewhere by their hosts, and the summary says which.
func TestActionCancelStubborn(t *testing.T) {
	for _, local := range []bool{true, false} {
		t.Run("local="+strconv.FormatBool(local), func(t *testing.T) {
			t.Parallel()
			j := newWaitingJob(t)
			j.env["GITHUB_SHA"] = j.commit(map[string]string{
				".tom/step.bash": "trap '' TERM\necho $$ > $DIR/pids-$NAME\necho > $DIR/started-$NAME\nwhile :; do read < $DIR/never; done\n",
			})
			j.inputs(map[string]string{"local": strconv.FormatBool(local), "checks": "off"})
			cmd, _, wait := j.start()
			j.running()
			r := interrupt(t, cmd, os.Interrupt, termAfter+killAfter, wait)
			r.expect(t, 130, "cancelled")
			expectIn(t, "summary", r.summary, "2 cancelled", "did not confirm it")
			if local {
				j.gone()
			}
		})
	}
}

// The second signal leaves the hosts, and still a summary.
func TestActionSecondSignal(t *testing.T) {
	t.Parallel()
	silent, connected := silentHost(t)
	j := newWaitingJob(t, silent)
	j.silentGitHub()
	cmd, log, wait := j.start()
	j.running()
	<-connected
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the first signal", func() bool { return strings.Contains(log.String(), "cancelling the remote jobs") })
	r := interrupt(t, cmd, syscall.SIGTERM, killAfter, wait)
	r.expect(t, 130, "cancelled")
	expectIn(t, "summary", r.summary, "3 cancelled", "before all hosts confirmed", "when its lease of 2m0s is over")
}

// waitFor waits until something is so, which another process makes so.
func waitFor(t *testing.T, what string, so func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: waited for in vain", what)
		}
	}
}

// A step that has run everything and waits for GitHub ends in time as well,
// with the run's own result.
func TestActionCancelWhileReporting(t *testing.T) {
	t.Parallel()
	j := newWorkflowJob(t, okFlow)
	j.inputs(map[string]string{"checks": "aggregate"})
	j.silentGitHub()
	cmd, log, wait := j.start()
	waitFor(t, "the job's end", func() bool { return strings.Contains(log.String(), "✓ success") })
	r := interrupt(t, cmd, os.Interrupt, termAfter, wait)
	r.expect(t, 0, "success")
	expectIn(t, "summary", r.summary, "1 succeeded", "check run cromt (action) could not be concluded")
}

// A step that is cancelled before it runs anything says so.
func TestActionCancelBeforeItRuns(t *testing.T) {
	t.Parallel()
	j := newWorkflowJob(t, okFlow)
	j.repo.AddPull(githubtest.Pull{Number: 3, HeadSHA: j.sha, HeadRef: "topic"})
	j.comment("/cromt run")
	asked := j.silentGitHub()
	cmd, _, wait := j.start()
	<-asked
	r := interrupt(t, cmd, os.Interrupt, termAfter, wait)
	r.expect(t, 130, "cancelled")
	expectIn(t, "summary", r.summary, "cromt ran nothing", "cancelled")
	if n := len(annotationsIn(r.log, "error")); n != 0 {
		t.Errorf("%d annotations\n%s", n, r.log)
	}
}

// A step that is killed leaves a job running, which a later step of the same
// job cancels.
func TestActionCancelAfterKill(t *testing.T) {
	t.Parallel()
	j := newWaitingJob(t)
	cmd, _, wait := j.start()
	j.running()
	_ = cmd.Process.Kill()
	wait()
	r := j.run("cancel")
	if r.code != 0 || !strings.Contains(r.log, "2 cancelled") {
		t.Errorf("exit %d\n%s", r.code, r.log)
	}
	j.gone()
	j.nothingLeft("cancel")
	j.inputs(map[string]string{"command": "cancel"})
	j.nothingLeft()
}

// nothingLeft runs a step that has nothing to cancel.
func (j *workflowJob) nothingLeft(args ...string) {
	j.t.Helper()
	r := j.run(args...)
	if r.code != 0 || !strings.Contains(r.log, "no step of this job has left anything running") {
		j.t.Errorf("exit %d\n%s", r.code, r.log)
	}
}

// After a run that has ended there is nothing to cancel.
func TestActionCancelAfterRun(t *testing.T) {
	t.Parallel()
	_, agent := startAgentProcess(t)
	j := newWorkflowJob(t, map[string]string{
		"jobs.yaml": "projects: {app: {path: ., action: step, url: '" + agent + "'}}\n", ".tom/step.bash": "echo hello\n",
	})
	j.inputs(map[string]string{"local": "false"})
	j.nothingLeft("cancel")
	r := j.run()
	r.expect(t, 0, "success")
	j.nothingLeft("cancel")
	if _, err := os.Stat(r.outputs["report"]); err != nil {
		t.Error(err)
	}
}
