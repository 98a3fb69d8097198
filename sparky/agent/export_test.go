//go:build unix

package agent

import (
	"io"
	"net"
	"os"
	"time"
)

// SetFreeDisk replaces the look at the disk.
func SetFreeDisk(a *Agent, free func() int64) {
	a.disk.mu.Lock()
	defer a.disk.mu.Unlock()
	a.disk.at, a.disk.free = time.Time{}, func(string) (int64, error) { return free(), nil }
}

// DecodeQueue checks the body of POST /queue and returns its names.
func DecodeQueue(data []byte) (project, id string, isJob bool, err error) {
	req, err := decodeQueue(data)
	if err != nil {
		return "", "", false, err
	}
	return req.project, req.id, req.spec != nil, nil
}

// Untar unpacks an archive into dir with the limits given.
func Untar(r io.Reader, dir string, entries int, bytes int64) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	disk := &diskGuard{dir: dir, free: freeBytes}
	return untar(r, &unpacker{root: root, disk: disk, entries: entries, bytes: bytes})
}

// PruneNow removes what is too old.
func PruneNow(a *Agent, project string, now time.Time) error {
	if err := a.pruneProject(project); err != nil {
		return err
	}
	return a.pruneOrphans(now)
}

// RakuString is rakuString.
func RakuString(s string) string { return rakuString(s) }

// NewPipe is newPipe.
func NewPipe() (a, b net.Conn) { return newPipe() }
