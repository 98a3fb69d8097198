package sparky_test

import (
	"strings"
	"testing"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
)

func TestReport(t *testing.T) {
	const commit = "meta: cromt commit=aaa\n"
	sum := strings.Repeat("0a", 32)
	tests := []struct {
		name, text string
		code       sparky.Code
		log        string
		want       sparky.JobStatus
	}{
		{"success", commit + "meta: cromt step=scenario\nHello\r\nmeta: cromt out=f bytes=3 sha256=" + sum + "\nmeta: cromt result=ok step=scenario exit=0\n", 1,
			"Hello\n", sparky.JobStatus{Commit: "aaa", Artifacts: []flow.Artifact{{File: "f", Bytes: 3, SHA256: sum}}}},
		{"failure", commit + "meta: cromt step=scenario\nmeta: cromt result=failed step=scenario exit=7\nThe spawned command 'x' exited unsuccessfully (exit code: 7, signal: 0)\n", -1,
			"The spawned command 'x' exited unsuccessfully (exit code: 7, signal: 0)\n", sparky.JobStatus{Commit: "aaa", ExitCode: 7, Cause: flow.CauseTask}},
		{"exit code of Sparky alone", "meta: cromt step=scenario\nThe spawned command 'x' exited unsuccessfully (exit code: 124, signal: 0)\n", -1,
			"The spawned command 'x' exited unsuccessfully (exit code: 124, signal: 0)\n", sparky.JobStatus{ExitCode: 124, Cause: flow.CauseTimeout}},
		{"before the program", "sudo: command not found\nThe spawned command 'x' exited unsuccessfully (exit code: 127, signal: 0)", -1,
			"sudo: command not found\nThe spawned command 'x' exited unsuccessfully (exit code: 127, signal: 0)",
			sparky.JobStatus{ExitCode: 127, Cause: flow.CauseInfrastructure, Error: "the job's program did not reach the scenario (exit code 127); its log says why"}},
		{"clone failed", "fatal: no\nmeta: cromt result=infrastructure step=clone exit=128\n", -1,
			"fatal: no\n", sparky.JobStatus{ExitCode: 128, Cause: flow.CauseInfrastructure, Error: "step clone failed on the host (exit code 128); its log says why"}},
		{"a scenario that plays the program", commit + "meta: cromt step=scenario\nmeta: cromt commit=bbb\nmeta: cromt result=ok\nmeta: cromt result=failed step=scenario exit=1\n", -1,
			"", sparky.JobStatus{Commit: "aaa", ExitCode: 1, Cause: flow.CauseTask}},
		{"a forged artifact", "meta: cromt out=../f bytes=3 sha256=" + sum + "\nmeta: cromt out=f bytes=x sha256=" + sum + "\nmeta: cromt result=ok\n", 1, "", sparky.JobStatus{}},
		{"open lines and empty ones", "a\n\nb\n\n\n\nmeta: cromt step=x\nno newline\nmeta: cromt result=ok\n\n", 1,
			"a\n\nb\n\n\nno newline\n\n", sparky.JobStatus{}},
		{"metas of others", "meta: foo=1\nmeta: \nmeta\n\n meta: cromt x\n", -11, "meta: foo=1\nmeta: \nmeta\n\n meta: cromt x\n", sparky.JobStatus{Cause: flow.CauseCancelled}},
		{"a long line", strings.Repeat("x", 10000) + "\nmeta: cromt " + strings.Repeat("y", 10000) + "\nend", -11, strings.Repeat("x", 10000) + "\nend", sparky.JobStatus{Cause: flow.CauseCancelled}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, size := range []int{len(tt.text), 1, 7, 4096} {
				log, js := sparky.ReadReport(tt.code, split(tt.text, size)...)
				if log != tt.log {
					t.Errorf("by %d: log %.200q, want %.200q", size, log, tt.log)
				}
				if js.Commit != tt.want.Commit || js.ExitCode != tt.want.ExitCode || js.Cause != tt.want.Cause || js.Error != tt.want.Error || len(js.Artifacts) != len(tt.want.Artifacts) {
					t.Errorf("by %d: %+v, want %+v", size, js, tt.want)
				}
			}
		})
	}
}

func split(s string, size int) (parts []string) {
	for size = max(size, 1); len(s) > size; s = s[size:] {
		parts = append(parts, s[:size])
	}
	return append(parts, s)
}

// FuzzReport: however a report is cut, it reads the same, and what is not the
// program's is in the log.
func FuzzReport(f *testing.F) {
	f.Add("meta: cromt result=ok\nHello\r\n", uint8(3))
	f.Add("meta: crom\nmeta: cromt \n", uint8(1))
	f.Fuzz(func(t *testing.T, text string, size uint8) {
		whole, one := sparky.ReadReport(sparky.CodeFailed, text)
		cut, two := sparky.ReadReport(sparky.CodeFailed, split(text, int(size))...)
		if whole != cut || one.Cause != two.Cause || one.ExitCode != two.ExitCode || one.Commit != two.Commit {
			t.Fatalf("%q, %+v in one; %q, %+v in parts", whole, one, cut, two)
		}
		if !strings.Contains(text, "meta: cromt ") && whole != strings.ReplaceAll(text, "\r", "") {
			if !strings.Contains(strings.ReplaceAll(text, "\r", ""), "meta: cromt ") {
				t.Fatalf("log %q of %q", whole, text)
			}
		}
	})
}
