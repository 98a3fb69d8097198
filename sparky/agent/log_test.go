//go:build linux

package agent_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/agent"
)

func TestLogFlood(t *testing.T) {
	root := t.TempDir()
	h := start(t, agent.Config{Root: root})
	const mb = 300
	dir := scenarios(t, "x", fmt.Sprintf("echo begin; yes | head -c %d; printf '\\xff\\x00'; echo; echo end; exit 5\n", mb<<20))
	id := h.queue("p", inDir(dir, "x"))
	var before, peak runtime.MemStats
	runtime.ReadMemStats(&before)
	h.until("p", id, func(st sparky.JobStatus, _ string) bool {
		var now runtime.MemStats
		runtime.ReadMemStats(&now)
		if now.HeapInuse > peak.HeapInuse {
			peak = now
		}
		return st.State.Ended()
	})
	if grown := int64(peak.HeapInuse) - int64(before.HeapInuse); grown > 96<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
	st := h.poll("p", id, "")
	if st.ExitCode != 5 || st.Cause != flow.CauseTask || st.LogSize > 17<<20 {
		t.Errorf("%+v", st)
	}
	_, log := h.do("GET", "/report/raw/p/"+id, "")
	if int64(len(log)) != st.LogSize || !strings.HasPrefix(log, "meta: step=tom-x\nbegin\ny\n") || !strings.HasSuffix(log, "\nend\nmeta: result=failed step=tom-x exit=5\n") ||
		!strings.Contains(log, " bytes are cut here: the log is longer than 16777216 bytes ---\n") {
		t.Errorf("%d bytes, %.100q … %.100q", len(log), log, log[max(0, len(log)-100):])
	}
	if fi, err := os.Stat(filepath.Join(root, "logs", id+".log")); err != nil || fi.Size() != st.LogSize {
		t.Errorf("%v %v", fi, err)
	}
}
