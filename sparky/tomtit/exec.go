//go:build unix

package tomtit

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
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
	if cmd.Stdin == nil {
		if null, err := devNull(); err == nil { // else Start opens it, or says why not
			cmd.Stdin = null
		}
	}
	out, err := openOutput(cmd)
	if err != nil {
		return err
	}
	err = cmd.Start()
	out.started()
	if err == nil {
		err = finish(ctx, newTree(cmd), grace)
	}
	if copied := out.drain(); err == nil {
		err = copied
	}
	return err
}

// finish waits for the end of the tree, and brings it about when ctx ends.
func finish(ctx context.Context, t *tree, grace time.Duration) error {
	if t.wait(ctx) {
		return t.reap()
	}
	exited := make(chan struct{})
	go func() {
		t.wait(context.WithoutCancel(ctx))
		close(exited)
	}()
	t.stop(exited, grace)
	<-exited
	err := t.reap()
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		return errors.Join(ctx.Err(), err)
	}
	return ctx.Err()
}

// devNull is what programs read that are given nothing to read.
var devNull = sync.OnceValues(func() (*os.File, error) { return os.Open(os.DevNull) })

// output is the pipe of a program whose stdout and stderr go to the same
// Writer: package os/exec would make it at twice the cost.
type output struct {
	r, w   *os.File
	copied chan error
}

// openOutput gives cmd such a pipe, if it is to have one; else it returns nil,
// of which the methods do nothing.
func openOutput(cmd *exec.Cmd) (*output, error) {
	if _, isFile := cmd.Stdout.(*os.File); cmd.Stdout == nil || isFile || !same(cmd.Stdout, cmd.Stderr) {
		return nil, nil //nolint:nilnil // documented
	}
	r, w, err := openPipe()
	if err != nil {
		return nil, err
	}
	o, to := &output{r: r, w: w, copied: make(chan error, 1)}, cmd.Stdout
	cmd.Stdout, cmd.Stderr = w, w
	go func() { o.copied <- copyTo(to, r) }()
	return o, nil
}

// same reports whether both are one Writer; values that cannot be compared are not.
func same(a, b io.Writer) bool {
	defer func() { _ = recover() }() // of the comparison
	return a == b
}

var copyBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// copyTo copies until nobody has the pipe any more. What w does not take is
// read nonetheless, so that the program can end.
func copyTo(w io.Writer, r *os.File) (failed error) {
	buf := copyBuffers.Get().(*[32 << 10]byte) //nolint:forcetypeassert // nothing else is in it
	defer copyBuffers.Put(buf)
	for {
		n, err := r.Read(buf[:])
		if n > 0 && failed == nil {
			_, failed = w.Write(buf[:n])
		}
		if err != nil {
			return failed
		}
	}
}

// started closes this process's end for writing.
func (o *output) started() {
	if o != nil {
		_ = o.w.Close()
	}
}

// drain returns when all has been copied that the tree, which is gone, has
// written, with the error of the Writer. What an escaped process still holds
// is waited for only so long.
func (o *output) drain() error {
	if o == nil {
		return nil
	}
	defer func() { _ = o.r.Close() }()
	select {
	case err := <-o.copied:
		return err
	default:
	}
	_ = o.r.SetReadDeadline(time.Now().Add(drainTime))
	return <-o.copied
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
