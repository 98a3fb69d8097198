//go:build unix

package sparky

import (
	"net"
	"syscall"
)

// quiet reports whether the host has neither closed a connection that was kept
// nor said anything on it. One in memory has no descriptor to ask: writing to
// it fails at once if it is closed.
func quiet(c net.Conn) bool {
	conn, ok := c.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	var n int
	var readErr error
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		n, readErr = syscall.Read(int(fd), b[:]) // does not wait
		return true
	})
	return err == nil && n <= 0 && readErr == syscall.EAGAIN
}
