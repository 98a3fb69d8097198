//go:build unix && !linux

package tomtit

import (
	"context"
	"os"
	"os/exec"
	"syscall"
)

// tree is a process that leads its own session, and all that came from it and
// did not leave its group.
type tree struct {
	cmd    *exec.Cmd
	leader int
	exited chan struct{} // closed when the leader has been collected
	err    error
}

func newTree(cmd *exec.Cmd) *tree {
	t := &tree{cmd: cmd, leader: cmd.Process.Pid, exited: make(chan struct{})}
	go func() {
		t.err = waited(cmd.Wait())
		close(t.exited)
	}()
	return t
}

// wait reports whether the leader has exited, and been collected, before ctx
// ended: there is no way here to wait without collecting that works for
// stopped processes too.
func (t *tree) wait(ctx context.Context) bool {
	select {
	case <-t.exited:
		return true
	case <-ctx.Done():
		return false
	}
}

// reap ends what the leader left behind. The group's id is not given out
// again while the group has a member.
func (t *tree) reap() error {
	t.killAll()
	return t.err
}

// openPipe returns a pipe whose end for reading has deadlines.
func openPipe() (r, w *os.File, err error) { return os.Pipe() }

func (t *tree) signal(sig syscall.Signal) { _ = syscall.Kill(-t.leader, sig) }

// alive reports whether a process of the group is left.
func (t *tree) alive() bool { return syscall.Kill(-t.leader, 0) == nil }

func (t *tree) killAll() { t.signal(syscall.SIGKILL) }
