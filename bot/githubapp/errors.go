package githubapp

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/cromt/cromt/bot/checks"
)

// What callers tell apart.
var (
	// ErrNotFound is wrapped by errors for what a repository does not have: a
	// file, a comment.
	ErrNotFound = errors.New("not found")
	// ErrNotFile is wrapped by errors for a path that is a folder, a symbolic
	// link or a repository of its own.
	ErrNotFile = errors.New("not a file")
	// ErrTooLarge is wrapped by errors for a file of more than MaxFile bytes.
	ErrTooLarge = errors.New("too large")
	// ErrGone is wrapped by errors for an installation, repository or commit
	// that is not there, or not for the App any more.
	ErrGone = errors.New("gone")
	// ErrSuspended is wrapped by errors for an installation that is suspended.
	ErrSuspended = errors.New("suspended")
)

// The permissions that requests need, as people know them.
const (
	needContents = "contents: read"
	needPulls    = "pull_requests: read"
	needComments = "pull_requests: write"
	needMetadata = "metadata: read"
)

// told is an error of a kind that callers tell apart.
type told struct {
	error
	kind error
}

func (t told) Unwrap() []error { return []error{t.error, t.kind} }

// explain says what to do about the error of a request, and of what kind it is.
func explain(c *checks.Client, err error, need string) error {
	return classified(c.Explain(err, need))
}

// classified is err with the kind that its answer shows.
func classified(err error) error {
	switch {
	case errors.Is(err, ErrGone), errors.Is(err, ErrSuspended):
		return err
	case isSuspended(err):
		return told{err, ErrSuspended}
	case checks.StatusOf(err) == http.StatusNotFound:
		return told{err, ErrGone}
	}
	return err
}

func isSuspended(err error) bool {
	return checks.StatusOf(err) == http.StatusForbidden && strings.Contains(checks.MessageOf(err), "suspended")
}

// errTooMany is a list that is longer than it may be.
func errTooMany(what string, most int) error {
	return fmt.Errorf("more than %d %s", most, what)
}
