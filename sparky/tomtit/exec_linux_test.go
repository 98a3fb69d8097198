package tomtit_test

import (
	"path/filepath"
	"testing"
	"time"
)

func TestExecCancelFindsOtherSessions(t *testing.T) {
	dir := t.TempDir()
	// One without the marker, known by its parent, and one without a parent, known by its marker.
	script := `
env -u CROMT_JOB setsid bash -c 'trap "" TERM; echo $$ >"$1/a"; while :; do sleep 600; done' x "$1" &
(setsid bash -c 'trap "" TERM; echo $$ >"$1/b"; while :; do sleep 600; done' x "$1" &)
while ! test -s "$1/a" || ! test -s "$1/b"; do :; done; echo ready; wait`
	_, took := cancelWhenReady(t, 200*time.Millisecond, script, dir)
	if took > 10*time.Second {
		t.Errorf("took %v", took)
	}
	for _, name := range []string{"a", "b"} {
		if pid := readPid(t, filepath.Join(dir, name)); !gone(pid) {
			t.Errorf("process %s, %d, is left", name, pid)
		}
	}
}
