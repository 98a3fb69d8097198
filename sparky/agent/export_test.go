//go:build unix

package agent

import (
	"context"
	"io"
	"net"
	"os"
	"strings"
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

// Routes returns the method and the path of every route.
func Routes() (all [][2]string) {
	for _, first := range []string{"status", "queue", "report", "report_jid", "file", "file_view", "stash", "trigger", "cancel", "build", "build-with-tags",
		"badge", "project", "cromt", "projects", "builds", "builds_latest", "about", "login", "default_login", "logout", "static", "healthz", ""} {
		for _, r := range routesUnder(first) {
			all = append(all, [2]string{r.method, r.path})
		}
	}
	return all
}

// SetLooks sets the time between looks at the folders of jobs that start from
// now on.
func SetLooks(a *Agent, d time.Duration) { a.looks = d }

// StartCron starts what is due at the minute.
func StartCron(a *Agent, minute time.Time) { a.startCron(context.Background(), minute) }

// NextCron is nextCron.
func NextCron(crontab string, now time.Time) time.Time { return nextCron(crontab, now) }

// PollSCM asks for the project's commit.
func PollSCM(a *Agent, project string) error {
	p, err := a.readFolder(project)
	if err != nil {
		return err
	}
	return a.pollSCM(context.Background(), p)
}

// ANSI converts the pieces of a log to HTML.
func ANSI(pieces ...string) string {
	var h ansiHTML
	var b strings.Builder
	for i, p := range pieces {
		b.WriteString(h.convert([]byte(p), i == len(pieces)-1))
	}
	return b.String()
}

// MayTry counts an attempt to sign in.
func MayTry(a *Agent, addr string, now time.Time) bool { return a.access.mayTry(addr, now) }

// ParseSettings reads a sparky.yaml and returns what its vars and tags are.
func ParseSettings(text string) (vars []string, tags map[string]string, err error) {
	var s settings
	err = s.read(text)
	for _, v := range s.Vars {
		vars = append(vars, v.Name+":"+v.Type+":"+v.Default+":"+strings.Join(v.Values, "|"))
	}
	return vars, s.Tags, err
}

// LocalPath is localPath.
func LocalPath(path string) string { return localPath(path) }

// MaxStreams is maxStreams.
const MaxStreams = maxStreams

// OwnerOf is ownerOf.
func OwnerOf(root string) string { return ownerOf(root) }
