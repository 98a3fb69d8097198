//go:build unix

package tomtit_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cromt/cromt/sparky/tomtit"
)

func bash(script string, args ...string) *exec.Cmd {
	return exec.Command("bash", append([]string{"-c", script, "bash"}, args...)...)
}

// gone reports whether the process ends; it waits a little, for a killed
// process is seen until its new parent has collected it.
func gone(pid int) bool {
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
		if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || zombie(pid) {
			return true
		}
		runtime.Gosched()
	}
	return false
}

func zombie(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && bytes.Contains(b, []byte(") Z "))
}

func readPid(t *testing.T, file string) int {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func TestExecExitCode(t *testing.T) {
	var out bytes.Buffer
	cmd := bash("echo a; echo b >&2; exit 3")
	cmd.Stdout, cmd.Stderr = &out, &out
	err := tomtit.Exec(t.Context(), cmd, 0)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 || out.String() != "a\nb\n" {
		t.Errorf("got %v, output %q", err, out.String())
	}
	if err := tomtit.Exec(context.Background(), bash("exit 0"), 0); err != nil {
		t.Error(err)
	}
}

// The end of a process is its exit, not that of its output.
func TestExecWaitsForTheExit(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	var out bytes.Buffer
	cmd := bash(`echo a; exec >&- 2>&-; sleep 0.3; : >"$1"; exit 3`, file)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := tomtit.Exec(t.Context(), cmd, 0)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 || out.String() != "a\n" {
		t.Errorf("%v, output %q", err, out.String())
	}
	if _, err := os.Stat(file); err != nil {
		t.Error("it was not waited for")
	}
}

func TestExecKeepsAllOutput(t *testing.T) {
	var out bytes.Buffer
	cmd := bash("head -c 3000000 /dev/zero | tr '\\0' x")
	cmd.Stdout = &out
	if err := tomtit.Exec(t.Context(), cmd, 0); err != nil || out.Len() != 3000000 {
		t.Errorf("%v, %d bytes", err, out.Len())
	}
}

// What a process leaves behind must not keep Exec from returning, nor stay.
func TestExecEndsWhatIsLeft(t *testing.T) {
	tests := map[string]string{
		"background child with stdout": `sleep 600 & echo $! >"$1"`,
		"ignores TERM":                 `(trap "" TERM; echo $BASHPID >"$1"; while :; do sleep 600; done) & while ! test -s "$1"; do :; done`,
	}
	if runtime.GOOS == "linux" {
		tests["own session"] = `setsid bash -c 'echo $$ >"$1"; exec sleep 600' x "$1" & while ! test -s "$1"; do :; done`
		tests["own session, without output"] = `setsid bash -c 'echo $$ >"$1"; exec sleep 600' x "$1" </dev/null >/dev/null 2>&1 & while ! test -s "$1"; do :; done`
		tests["after many processes"] = `setsid bash -c 'echo $$ >"$1"; exec sleep 600' x "$1" & while ! test -s "$1"; do :; done; for i in {1..1100}; do (:); done`
	}
	for name, script := range tests {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "pid")
			var out bytes.Buffer
			cmd := bash(script+"; echo done", file)
			cmd.Stdout = &out
			cmd.Env = append(os.Environ(), "CROMT_JOB="+t.Name()+strconv.Itoa(os.Getpid()))
			start := time.Now()
			if err := tomtit.Exec(t.Context(), cmd, 0); err != nil || out.String() != "done\n" {
				t.Errorf("%v, output %q", err, out.String())
			}
			if d := time.Since(start); d > 10*time.Second {
				t.Errorf("took %v", d)
			}
			if pid := readPid(t, file); !gone(pid) {
				t.Errorf("process %d is left", pid)
			}
		})
	}
}

// cancelWhenReady starts Exec and cancels it when the script has printed a line.
func cancelWhenReady(t *testing.T, grace time.Duration, script string, args ...string) (output string, took time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, w := io.Pipe()
	cmd := bash(script, args...)
	cmd.Env = append(os.Environ(), "CROMT_JOB="+t.Name()+strconv.Itoa(os.Getpid()))
	cmd.Stdout, cmd.Stderr = w, w
	result := make(chan error, 1)
	go func() {
		result <- tomtit.Exec(ctx, cmd, grace)
		_ = w.Close()
	}()
	in := bufio.NewReader(r)
	if _, err := in.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	cancel()
	start := time.Now()
	rest, _ := io.ReadAll(in)
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	return string(rest), time.Since(start)
}

func TestExecCancelIsPolite(t *testing.T) {
	out, took := cancelWhenReady(t, time.Minute, `trap 'echo cleaned; exit 0' TERM; sleep 600 & echo ready; wait`)
	if out != "cleaned\n" || took > 20*time.Second {
		t.Errorf("output %q after %v", out, took)
	}
}

func TestExecCancelKillsAfterGrace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	script := `trap "" TERM; (echo $BASHPID >"$1"; while :; do sleep 600; done) & while ! test -s "$1"; do :; done; echo ready; while :; do wait; done`
	_, took := cancelWhenReady(t, 300*time.Millisecond, script, file)
	if took < 300*time.Millisecond || took > 10*time.Second {
		t.Errorf("took %v", took)
	}
	if pid := readPid(t, file); !gone(pid) {
		t.Errorf("process %d is left", pid)
	}
}

func TestExecDoesNotStartLate(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tomtit.Exec(ctx, bash("exit 0"), 0); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := tomtit.Exec(t.Context(), exec.Command("/nonexistent"), 0); err == nil {
		t.Error("no error")
	}
}

func BenchmarkExec(b *testing.B) {
	path, err := exec.LookPath("bash")
	if err != nil {
		b.Fatal(err)
	}
	script := filepath.Join(b.TempDir(), "x.bash")
	if err := os.WriteFile(script, []byte("exit 0\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	command := func(out io.Writer) *exec.Cmd {
		return &exec.Cmd{Path: path, Args: []string{"bash", script}, Stdout: out, Stderr: out, Env: []string{"PATH=/usr/bin:/bin", "CROMT_JOB=x"}}
	}
	b.Run("plain", func(b *testing.B) {
		for b.Loop() {
			if err := command(&bytes.Buffer{}).Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("exec", func(b *testing.B) {
		for b.Loop() {
			if err := tomtit.Exec(ctx, command(&bytes.Buffer{}), 0); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("runner", func(b *testing.B) {
		dir := b.TempDir()
		_ = os.Mkdir(filepath.Join(dir, ".tom"), 0o700)
		_ = os.WriteFile(filepath.Join(dir, ".tom/x.bash"), []byte("exit 0\n"), 0o600)
		for b.Loop() {
			r := &tomtit.Runner{Dir: dir, Env: []string{"PATH=/usr/bin:/bin", "CROMT_JOB=x"}, Out: &bytes.Buffer{}}
			if code, err := r.Run(ctx, "x", nil); code != 0 || err != nil {
				b.Fatal(code, err)
			}
		}
	})
	b.Run("task", func(b *testing.B) {
		dir := b.TempDir()
		_ = os.MkdirAll(filepath.Join(dir, ".tom"), 0o700)
		_ = os.MkdirAll(filepath.Join(dir, "t"), 0o700)
		_ = os.WriteFile(filepath.Join(dir, ".tom/x.raku"), []byte(`task-run "t", %( k => "v" );`), 0o600)
		_ = os.WriteFile(filepath.Join(dir, "t/task.bash"), []byte("echo $(config k)\n"), 0o600)
		for b.Loop() {
			r := &tomtit.Runner{Dir: dir, Env: []string{"PATH=/usr/bin:/bin", "CROMT_JOB=x"}, Out: &bytes.Buffer{}, Cache: dir}
			if code, err := r.Run(ctx, "x", nil); code != 0 || err != nil {
				b.Fatal(code, err)
			}
		}
	})
}
