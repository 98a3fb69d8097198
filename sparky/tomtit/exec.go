//go:build unix

package tomtit

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Exec runs cmd in a session of its own, and returns when its process has
// exited and nothing of what it started is left. cmd must not be started, nor
// made by exec.CommandContext.
//
// When ctx ends, the whole tree gets TERM, and KILL after grace (0 is
// [DefaultGrace]); the error is then ctx.Err(). When the process exits by
// itself, what it left behind gets KILL at once, and the error is that of
// [exec.Cmd.Wait]; output in a pipe that an escaped process still holds is
// waited for no longer than half a second.
//
// On Linux the tree includes processes that left the session: those with a
// living ancestor in it, and, if cmd.Env has a variable CROMT_JOB, all that
// have inherited that.
func Exec(ctx context.Context, cmd *exec.Cmd, grace time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if grace <= 0 {
		grace = DefaultGrace
	}
	if cmd.WaitDelay == 0 {
		cmd.WaitDelay = drainTime
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Setsid = true
	if err := cmd.Start(); err != nil {
		return err
	}
	t := newTree(cmd.Process.Pid, jobMarker(cmd.Env))
	if ctx.Done() == nil {
		t.wait(cmd)
		return t.reap(cmd)
	}
	exited := make(chan struct{})
	go func() {
		t.wait(cmd)
		close(exited)
	}()
	select {
	case <-exited:
		return t.reap(cmd)
	case <-ctx.Done():
	}
	t.stop(exited, grace)
	<-exited
	err := t.reap(cmd)
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		return errors.Join(ctx.Err(), err)
	}
	return ctx.Err()
}

// waited turns the error of a Wait into that of Exec: output that was left in
// a pipe is no failure of the process.
func waited(err error) error {
	if errors.Is(err, exec.ErrWaitDelay) {
		return nil
	}
	return err
}

// stop sends TERM to the whole tree and gives it the time grace to end.
func (t *tree) stop(exited <-chan struct{}, grace time.Duration) {
	t.signal(syscall.SIGTERM)
	deadline := time.NewTimer(grace)
	defer deadline.Stop()
	pause := time.NewTicker(sweepPause)
	defer pause.Stop()
	for {
		select {
		case <-exited:
			if !t.alive() {
				return
			}
		case <-deadline.C:
			t.killAll()
			return
		}
		select {
		case <-pause.C:
		case <-deadline.C:
			t.killAll()
			return
		}
	}
}

// markerName is the variable by which processes of a job are known.
const markerName = "CROMT_JOB="

// jobMarker returns the marker of a job as it is in env, "" if it has none.
func jobMarker(env []string) string {
	for i := len(env) - 1; i >= 0; i-- {
		if strings.HasPrefix(env[i], markerName) && len(env[i]) > len(markerName) {
			return env[i]
		}
	}
	return ""
}
