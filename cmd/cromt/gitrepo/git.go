package gitrepo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// git runs one git command in dir and returns what it printed.
func git(ctx context.Context, limit time.Duration, dir string, args ...string) (string, error) {
	return gitAs(ctx, limit, dir, nil, args...)
}

// gitCommand is a git command in dir, with settings of its own.
func gitCommand(ctx context.Context, dir string, settings []setting, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "git", append([]string{
		"-c", "protocol.ext.allow=never", // a URL must not name a command
		"-c", "core.fsmonitor=false", // nor may a repository's own settings
	}, args...)...)
	cmd.Dir = dir
	cmd.Env = withSettings(environment(os.Environ()), settings)
	cmd.WaitDelay = time.Second // an ssh that outlives git holds its output open
	return cmd
}

// gitAs is git with settings of its own.
func gitAs(ctx context.Context, limit time.Duration, dir string, settings []setting, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := gitCommand(ctx, dir, settings, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &limitedWriter{w: &stderr, left: 64 << 10}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("git: %w", err)
	}
	data, readErr := io.ReadAll(io.LimitReader(out, maxOutput+1))
	if len(data) > maxOutput {
		cancel()
		readErr = fmt.Errorf("more than %d MiB of output", maxOutput>>20)
	}
	err = cmd.Wait()
	if ctx.Err() != nil && readErr == nil {
		err = fmt.Errorf("no answer within %v", limit)
		if cause := context.Cause(ctx); !errors.Is(cause, context.DeadlineExceeded) {
			err = cause
		}
	}
	if err = errors.Join(readErr, err); err != nil {
		return "", &gitError{command: args[0], stderr: lastLine(stderr.String()), err: err}
	}
	return string(data), nil
}

// gitError is a git command that failed.
type gitError struct {
	command, stderr string
	err             error
}

func (e *gitError) Error() string {
	if e.stderr != "" {
		return "git " + e.command + ": " + e.stderr
	}
	return fmt.Sprintf("git %s: %v", e.command, e.err)
}

func (e *gitError) Unwrap() error { return e.err }

// lastLine is what a git that failed said, in a line.
func lastLine(s string) string {
	lines := strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' })
	for _, l := range slices.Backward(lines) {
		if strings.HasPrefix(l, "fatal: ") || strings.HasPrefix(l, "error: ") {
			return strings.TrimPrefix(strings.TrimPrefix(l, "fatal: "), "error: ")
		}
	}
	if len(lines) > 0 {
		return lines[len(lines)-1]
	}
	return ""
}

// environment is env without what ties git to another repository (a hook
// runs us with these), and with nobody to ask for passwords.
func environment(env []string) []string {
	out := make([]string, 0, len(env)+8)
	ssh := false
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		switch name {
		case "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR",
			"GIT_NAMESPACE", "GIT_PREFIX", "GIT_TERMINAL_PROMPT", "GIT_ASKPASS", "SSH_ASKPASS", "LC_ALL":
			continue
		case "GIT_SSH_COMMAND", "GIT_SSH":
			ssh = true
		}
		out = append(out, kv)
	}
	out = append(out, "GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=true", "SSH_ASKPASS=true", "GCM_INTERACTIVE=never", "GIT_OPTIONAL_LOCKS=0", "LC_ALL=C")
	if !ssh {
		out = append(out, "GIT_SSH_COMMAND=ssh -o BatchMode=yes -o ConnectTimeout=20")
	}
	return out
}

// limitedWriter keeps the first bytes and drops the rest.
type limitedWriter struct {
	w    io.Writer
	left int
}

func (l *limitedWriter) Write(p []byte) (int, error) {
	n := min(len(p), l.left)
	l.left -= n
	if _, err := l.w.Write(p[:n]); err != nil {
		return 0, err
	}
	return len(p), nil
}
