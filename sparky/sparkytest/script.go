package sparkytest

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// RunSpec plays what cromt's program would do with a job, without git and
// tom. The names of the actions say what they do: "fail" or "fail=N" exits
// with N, "sleep=SECONDS" takes that long, "die" ends without a last word,
// "print=TEXT" prints TEXT; any other one says hello. Each output has the
// job-id as its content.
func RunSpec(j *FakeJob) int {
	spec, err := j.Spec()
	if err != nil {
		j.Printf("===SORRY!===\r\n")
		return 1
	}
	if j.Asked() {
		return end(j, "cancelled", "begin", 130)
	}
	j.Printf("\x1b[35m21:38:19\x1b[0m :: [repository] - index updated from file:///tmp/repo/api/v1/index\r\n")
	commit := spec.Source.Commit
	if commit == "" {
		commit = fmt.Sprintf("%040d", 7)
	}
	j.Printf("\r\nmeta: cromt step=clone\r\n\r\nmeta: cromt commit=%s\r\n\r\nmeta: cromt step=scenario\r\n", commit)
	deadline := time.Duration(spec.Timeout) * time.Second
	begun := time.Now()
	for _, action := range spec.Actions {
		name, value, _ := strings.Cut(action, "=")
		n, _ := strconv.Atoi(value)
		switch name {
		case "fail":
			j.Printf("[task run: task.bash - tasks/fail]\r\noops\r\n")
			return end(j, "failed", "scenario", max(n, 1))
		case "die":
			return max(n, 1)
		case "print":
			j.Printf("%s\r\n", value)
		case "sleep":
			d := time.Duration(n) * time.Second
			if deadline > 0 && d > deadline-time.Since(begun) {
				d = deadline - time.Since(begun)
			}
			if !j.Sleep(d) {
				return end(j, "cancelled", "scenario", 130)
			}
			if deadline > 0 && time.Since(begun) >= deadline {
				return end(j, "timeout", "scenario", 124)
			}
		default:
			j.Printf("[task run: task.bash - tasks/%s]\r\n[task stdout]\r\nHello\r\n", name)
		}
	}
	for _, o := range spec.Out {
		content := []byte(j.ID)
		j.Keep(o.File, content)
		j.Printf("\r\nmeta: cromt out=%s bytes=%d sha256=%x\r\n", o.File, len(content), sha256.Sum256(content))
	}
	return end(j, "ok", "scenario", 0)
}

func end(j *FakeJob, result, step string, exit int) int {
	j.Printf("\r\nmeta: cromt result=%s step=%s exit=%d\r\n", result, step, exit)
	return exit
}
