//go:build linux

package agent_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
)

// TestLogFlood: however much a job prints, in one line or in a hundred
// million, the agent keeps the beginning and the end in memory that does not
// grow, and the exit code counts. CROMT_CHAOS=full is for 10 GB, else 0.3.
func TestLogFlood(t *testing.T) {
	size, within := 300<<20, time.Minute
	if os.Getenv("CROMT_CHAOS") == "full" {
		size, within = 10<<30, time.Hour
	}
	for _, c := range []struct {
		name, prints string // so many bytes
		size         int
		begins       string
	}{
		{"lines", "yes | head -c %d", size, "begin\ny\ny\n"},
		{"one line", "head -c %d /dev/zero | tr '\\0' x", size / 10, "begin\nxxxx"},
		{"binary", "head -c %d /dev/zero", size / 10, "begin\n\x00\x00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			h, _ := spawn(t, root)
			dir := scenarios(t, "x", "echo begin; "+fmt.Sprintf(c.prints, c.size)+"; printf '\\xff\\x00'; echo; echo $SECRET; echo end; exit 5\n", "first", "true\n")
			h.wait("p", h.queue("p", inDir(dir, "first"))) // what is loaded once is there
			spec := inDir(dir, "x")
			spec.Env, spec.Secrets = env("SECRET", "hunter2hunter2"), []string{"SECRET"}
			before, at := h.memory("VmRSS"), time.Now()
			id := h.queue("p", spec)
			st := h.poll("p", id, "?wait=50")
			for !st.State.Ended() && time.Since(at) < within {
				st = h.poll("p", id, fmt.Sprintf("?wait=50&state=%d&offset=%d", st.State, int64(1)<<60))
			}
			took := time.Since(at)
			if st.ExitCode != 5 || st.Cause != flow.CauseTask || st.State != sparky.CodeFailed || st.LogSize > 17<<20 {
				t.Errorf("%+v", st)
			}
			_, log := h.do("GET", "/report/raw/p/"+id, "")
			if int64(len(log)) != st.LogSize || !strings.HasPrefix(log, "meta: step=tom-x\n"+c.begins) ||
				!strings.HasSuffix(log, "\n***\nend\nmeta: result=failed step=tom-x exit=5\n") ||
				!strings.Contains(log, " bytes are cut here: the log is longer than 16777216 bytes ---\n") {
				t.Errorf("%d bytes, %.100q … %.100q", len(log), log, log[max(0, len(log)-100):])
			}
			if fi, err := os.Stat(filepath.Join(root, "logs", id+".log")); err != nil || fi.Size() != st.LogSize {
				t.Errorf("%v %v", fi, err)
			}
			grown := h.memory("VmHWM") - before
			t.Logf("%d MiB in %.1f s; the agent's memory grew by %d KiB at most, from %d", c.size>>20, took.Seconds(), grown, before)
			if grown > floodMemory {
				t.Errorf("the agent grew by %d KiB", grown)
			}
		})
	}
}

// memory returns what /proc says about the memory of the agent's process, by
// its name there, in KiB.
func (h *host) memory(name string) (kib int) {
	h.t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", h.pid))
	if err != nil {
		h.t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(data), name+":")
	if _, err := fmt.Sscan(after, &kib); err != nil {
		h.t.Fatal(err)
	}
	return kib
}
