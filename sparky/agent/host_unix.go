//go:build unix

package agent

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// openNonblock keeps an open from waiting for the other end of a pipe.
const openNonblock = syscall.O_NONBLOCK

// lockFolder makes sure that one agent uses the folder. The lock lasts until
// the file is closed, or the process ends in whatever way.
func lockFolder(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "agent.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	// A child of an agent that was killed holds its lock until it has called
	// exec, so the first attempt need not be the last word.
	for end := time.Now().Add(lockPatience); ; time.Sleep(lockPause) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("agent root %s: lock: %w", dir, err), f.Close())
		}
		if time.Now().After(end) {
			return nil, errors.Join(fmt.Errorf("agent root %s is in use by another agent; give it another --root", dir), f.Close())
		}
	}
}

// freeBytes returns what is free for this user on the file system of dir.
func freeBytes(dir string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil //nolint:unconvert // other types on other systems
}

// inode identifies a file, with the bytes that it takes on the disk.
type inode struct {
	dev, ino uint64
	links    uint64
	bytes    int64
}

func inodeOf(fi os.FileInfo) inode {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return inode{bytes: fi.Size()}
	}
	return inode{dev: uint64(st.Dev), ino: st.Ino, links: uint64(st.Nlink), bytes: st.Blocks * 512} //nolint:unconvert // other types on other systems
}

// isEmptyDir does by itself what os.File does with the poller, which costs more
// than the look.
func isEmptyDir(dir string) bool {
	fd, err := syscall.Open(dir, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer func() { _ = syscall.Close(fd) }() // it was only read
	var buf [512]byte                        // . and .., or a name besides
	n, err := syscall.ReadDirent(fd, buf[:])
	if err != nil {
		return false
	}
	_, count, _ := syscall.ParseDirent(buf[:n], -1, nil)
	return count == 0
}

// signalOf returns the number of the signal that ended a program.
func signalOf(exit *exec.ExitError) int {
	if st, ok := exit.Sys().(syscall.WaitStatus); ok && st.Signaled() {
		return int(st.Signal())
	}
	return 0
}
