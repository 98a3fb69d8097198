//go:build unix

package tomtit

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// JobMarker is the name of the environment variable by which processes of a
// job are recognized after they have left its process group.
const JobMarker = "CROMT_JOB"

// Exec runs cmd in a process group of its own. When ctx is done, the group
// and, on Linux, every process that carries the same JobMarker are sent TERM,
// and KILL after grace. Exec returns when the process has exited, even where
// another one still holds its output; what is left of its group is killed.
// The error is that of cmd.Wait, or the cause of ctx.
func Exec(ctx context.Context, cmd *exec.Cmd, grace time.Duration) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	drains, err := pipeOutput(cmd)
	if err != nil {
		return err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		for _, d := range drains {
			d.finish(0)
		}
		return err
	}
	for _, d := range drains {
		d.w.Close()
	}
	exited := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case <-exited:
		case <-ctx.Done():
			stopTree(cmd, grace, exited)
		}
	}()
	err = cmd.Wait()
	close(exited)
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	<-stopped
	if ctx.Err() != nil {
		killMarked(marker(cmd.Env), syscall.SIGKILL)
	}
	for _, d := range drains {
		d.finish(DrainTime)
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// stopTree asks the processes to end, and after grace ends them.
func stopTree(cmd *exec.Cmd, grace time.Duration, exited <-chan struct{}) {
	mark := marker(cmd.Env)
	signal := func(sig syscall.Signal) {
		_ = syscall.Kill(-cmd.Process.Pid, sig)
		killMarked(mark, sig)
	}
	signal(syscall.SIGTERM)
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-exited:
	case <-t.C:
		signal(syscall.SIGKILL)
	}
}

// drain copies what a process prints, in a goroutine that can be ended while
// the other end of the pipe is still open.
type drain struct {
	r, w *os.File
	done chan struct{}
}

// pipeOutput replaces writers that are not files: exec.Cmd would wait for
// their end, which a background process may hold off for ever.
func pipeOutput(cmd *exec.Cmd) ([]*drain, error) {
	var drains []*drain
	replace := func(w io.Writer) (io.Writer, error) {
		if _, ok := w.(*os.File); ok || w == nil {
			return w, nil
		}
		r, pw, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		d := &drain{r: r, w: pw, done: make(chan struct{})}
		drains = append(drains, d)
		go func() {
			defer close(d.done)
			_, _ = io.Copy(writerOnly{w}, r)
			_, _ = io.Copy(io.Discard, r) // the writer failed: do not block the process
		}()
		return pw, nil
	}
	same := cmd.Stdout == cmd.Stderr
	out, err := replace(cmd.Stdout)
	if err != nil {
		return nil, err
	}
	cmd.Stdout = out
	if same {
		cmd.Stderr = out
		return drains, nil
	}
	if cmd.Stderr, err = replace(cmd.Stderr); err != nil {
		for _, d := range drains {
			d.finish(0)
		}
		return nil, err
	}
	return drains, nil
}

// writerOnly hides ReadFrom, so that io.Copy uses its own buffer.
type writerOnly struct{ io.Writer }

// finish waits for the rest of the output, at most for d.
func (d *drain) finish(limit time.Duration) {
	d.w.Close()
	_ = d.r.SetReadDeadline(time.Now().Add(limit))
	<-d.done
	d.r.Close()
}

func marker(env []string) string {
	for _, e := range env {
		if strings.HasPrefix(e, JobMarker+"=") {
			return e
		}
	}
	return ""
}

// KillJob kills every process that carries the marker of a job. It does
// nothing where there is no /proc.
func KillJob(id string) { killMarked(JobMarker+"="+id, syscall.SIGKILL) }

func killMarked(mark string, sig syscall.Signal) {
	if mark == "" {
		return
	}
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, f := range files {
		env, err := os.ReadFile(f)
		if err != nil || !bytes.Contains(append([]byte{0}, env...), []byte("\x00"+mark+"\x00")) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		if err == nil && pid != os.Getpid() {
			_ = syscall.Kill(pid, sig)
		}
	}
}

// exitCode is what a shell would say of how a process ended.
func exitCode(err error) (int, bool) {
	var e *exec.ExitError
	if !errors.As(err, &e) {
		return 0, err == nil
	}
	if ws, ok := e.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal()), true
	}
	return e.ExitCode(), true
}
