//go:build linux

package agent_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/agent"
)

// TestDiskQuota ends a job that fills the disk, though it ignores TERM.
func TestDiskQuota(t *testing.T) {
	h := start(t, agent.Config{MaxDisk: 4 << 20})
	agent.SetLooks(h.a, 20*time.Millisecond)
	dir := scenarios(t, "x", "trap '' TERM\necho $$ >>"+"pids"+"\ni=0; while :; do i=$(((i+1) % 30)); head -c 1M /dev/zero >$TMPDIR/f$i; sleep 0.02; done\n",
		"links", "head -c 1M /dev/zero >$TMPDIR/f; for i in $(seq 40); do ln $TMPDIR/f $TMPDIR/l$i; done; sleep 0.3\n")
	begun := time.Now()
	st, log := h.wait("p", h.queue("p", inDir(dir, "x")))
	if st.State != sparky.CodeFailed || st.Cause != flow.CauseTask || !strings.HasPrefix(st.Error, "the job's folder has ") || !strings.Contains(st.Error, "more than the 4 MiB") || !strings.Contains(log, st.Error) {
		t.Errorf("%+v\n%s", st, log)
	}
	if took := time.Since(begun); took > sparky.KillGrace {
		t.Errorf("took %s", took)
	}
	if left := alive(t, filepath.Join(dir, "pids")); len(left) > 0 {
		t.Errorf("still there: %v", left)
	}
	// Hard links take no space.
	if st, log := h.wait("p", h.queue("p", inDir(dir, "links"))); st.State != sparky.CodeOK {
		t.Errorf("%+v\n%s", st, log)
	}
	script := program(t, "cromt", "while :; do i=$(((i+1) % 30)); head -c 1M /dev/zero >$TMPDIR/f$i; sleep 0.02; done\n")
	h.post(map[string]any{"config": map[string]any{"project": "p", "job-id": "quota.1"}, "trigger": map[string]any{}, "sparrowfile": directLine(t, "/", script)})
	if st, log := h.wait("p", "quota.1"); st.State != sparky.CodeFailed || !strings.Contains(log, "more than the 4 MiB") {
		t.Errorf("%+v\n%s", st, log)
	}
}
