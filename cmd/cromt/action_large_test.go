//go:build unix

package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cromt/cromt/bot/githubtest"
	"github.com/cromt/cromt/cmd/cromt/action"
)

// A run on 300 hosts, of which 60 fail, is within GitHub's limits, and none of
// its log is missing.
func TestActionManyHosts(t *testing.T) {
	t.Parallel()
	const hosts, bad = 300, 60
	var jobs strings.Builder
	jobs.WriteString("projects:\n  app:\n    path: .\n    action: step\n    hosts:\n")
	for i := range hosts {
		fmt.Fprintf(&jobs, "      - {url: 'http://h%03d.test:4000', vars: {N: %d}}\n", i, i)
	}
	j := newReportedJob(t, "echo \"this is $N.\"; [ $((N % 5)) != 4 ]\n")
	j.env["GITHUB_SHA"] = j.commit(map[string]string{"jobs.yaml": jobs.String()})
	j.inputs(map[string]string{"ref": "merge"})
	r := j.run()
	r.expect(t, 1, "failure")
	if n := len(regexp.MustCompile(`(?m)^this is \d+\.$`).FindAllString(r.log, -1)); n != hosts {
		t.Errorf("%d of %d jobs are in the log", n, hosts)
	}
	if n := r.report.Count(); n.Failed != bad || n.Succeeded != hosts-bad {
		t.Errorf("count %+v", n)
	}
	if n := j.gh.WriteCount(); n > 120 {
		t.Errorf("%d writes", n)
	}
	runs := j.repo.CheckRuns()
	for _, k := range runs {
		if k.Status != "completed" || k.Conclusion != "failure" {
			t.Errorf("check run %s: %s %s", k.Name, k.Status, k.Conclusion)
		}
	}
	if len(runs) < 20 || len(r.summary) > action.SummaryLimit || len(annotationsIn(r.log, "error")) != 10 {
		t.Errorf("%d check runs, %d bytes of summary, %d annotations", len(runs), len(r.summary), len(annotationsIn(r.log, "error")))
	}
	expectIn(t, "summary", r.summary, "60 failed, 240 succeeded", "on 300 hosts")
}

// All of a long log is shown, that of the job that waits for its turn too. The
// summary has its end.
func TestActionLongLog(t *testing.T) {
	t.Parallel()
	const lines = 100_000 // of 100 bytes each
	j := newReportedJob(t, "yes $(printf '%098d' 7) | head -n "+strconv.Itoa(lines)+"\necho 'the end of it' >&2; exit 1\n")
	var peak atomic.Int64 // of the step's memory, which it asks GitHub about until its end
	var pid atomic.Int64
	j.gh.Fault(func(*http.Request, int) *githubtest.Fault {
		if n := peakMemory(int(pid.Load())); n > peak.Load() {
			peak.Store(n)
		}
		return nil
	})
	cmd, _, wait := j.start()
	pid.Store(int64(cmd.Process.Pid))
	r := wait()
	r.expect(t, 1, "failure")
	if n := strings.Count(r.log, strings.Repeat("0", 97)+"7\n"); n != 2*lines {
		t.Errorf("%d of %d lines are in the log", n, 2*lines)
	}
	if len(r.summary) > 64<<10 || strings.Count(r.summary, "the end of it") < 2 || strings.Count(r.summary, "00007") < 10 {
		t.Errorf("%d bytes of summary\n%.2000s", len(r.summary), r.summary)
	}
	if n := peak.Load() >> 20; n > 150 {
		t.Errorf("%d MiB of memory", n)
	}
}

// All the jobs of a large run are cancelled in the same time, and their hosts
// have said so.
func TestActionCancelManyJobs(t *testing.T) {
	t.Parallel()
	const n = 25
	_, agent := startAgentProcess(t, "--max-jobs", strconv.Itoa(n))
	dir := t.TempDir()
	started, never := filepath.Join(dir, "started"), filepath.Join(dir, "never")
	if err := syscall.Mkfifo(never, 0o600); err != nil {
		t.Fatal(err)
	}
	var jobs strings.Builder
	jobs.WriteString("projects:\n  app:\n    path: .\n    action: step\n    hosts:\n")
	for i := range n {
		fmt.Fprintf(&jobs, "      - {url: '%s', title: h%d, queue-id: q%d}\n", agent, i, i)
	}
	j := newWorkflowJob(t, map[string]string{"jobs.yaml": jobs.String(), ".tom/step.bash": "echo x >> " + started + "; read < " + never + "\n"})
	j.inputs(map[string]string{"local": "false", "checks": "per-host"})
	cmd, _, wait := j.start()
	waitFor(t, "the jobs", func() bool {
		data, _ := os.ReadFile(started)
		return len(data) == n*len("x\n")
	})
	r := interrupt(t, cmd, os.Interrupt, termAfter, wait)
	r.expect(t, 130, "cancelled")
	expectIn(t, "summary", r.summary, strconv.Itoa(n)+" cancelled")
	for i := range r.report.Jobs {
		if k := &r.report.Jobs[i]; !strings.HasSuffix(k.Error, "confirmed it") {
			t.Errorf("job %s: %q", k.Key, k.Error)
		}
	}
}

// peakMemory is what a process had in memory at most, in bytes; 0 where the
// system does not tell.
func peakMemory(pid int) int64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	m := regexp.MustCompile(`VmHWM:\s*(\d+) kB`).FindSubmatch(status)
	if m == nil {
		return 0
	}
	kib, _ := strconv.ParseInt(string(m[1]), 10, 64)
	return kib << 10
}
