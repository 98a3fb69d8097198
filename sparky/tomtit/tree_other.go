//go:build unix && !linux

package tomtit

import (
	"os/exec"
	"syscall"
)

// tree is a process that leads its own session, and all that came from it and
// did not leave its group.
type tree struct {
	leader int
	err    error
}

func newTree(leader int, _ string) *tree { return &tree{leader: leader} }

// wait returns when the leader has exited and been collected: there is no way
// here to wait without collecting that works for stopped processes too.
func (t *tree) wait(cmd *exec.Cmd) { t.err = waited(cmd.Wait()) }

// reap ends what the leader left behind. The group's id is not given out
// again while the group has a member.
func (t *tree) reap(*exec.Cmd) error {
	t.killAll()
	return t.err
}

func (t *tree) signal(sig syscall.Signal) { _ = syscall.Kill(-t.leader, sig) }

// alive reports whether a process of the group is left.
func (t *tree) alive() bool { return syscall.Kill(-t.leader, 0) == nil }

func (t *tree) killAll() { t.signal(syscall.SIGKILL) }
