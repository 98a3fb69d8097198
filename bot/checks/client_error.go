package checks

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"
)

// answer is what GitHub said to a request; code 0: nothing.
type answer struct {
	code    int
	header  http.Header
	message string
}

// answerOf returns the answer that an error stands for.
func answerOf(err error) answer {
	var plain *github.ErrorResponse
	var rate *github.RateLimitError
	var abuse *github.AbuseRateLimitError
	var otp *github.TwoFactorAuthError
	switch {
	case errors.As(err, &plain):
		return newAnswer(plain.Response, message(plain))
	case errors.As(err, &rate):
		return newAnswer(rate.Response, rate.Message)
	case errors.As(err, &abuse):
		return newAnswer(abuse.Response, abuse.Message)
	case errors.As(err, &otp):
		return newAnswer(otp.Response, otp.Message)
	}
	return answer{}
}

func newAnswer(r *http.Response, message string) answer {
	return answer{r.StatusCode, r.Header, message}
}

// message is what GitHub says, with the first detail of it.
func message(e *github.ErrorResponse) string {
	if len(e.Errors) > 0 && e.Errors[0].Message != "" {
		return e.Message + ": " + e.Errors[0].Message
	}
	return e.Message
}

// status is the code of the answer, 0 when there was none.
func status(err error) int { return answerOf(err).code }

// limitOf reports whether err is GitHub's wish to be left alone, and for how
// long; 0 when it does not say. GitHub documents the order: Retry-After, else
// the reset time if nothing remains, else at least a minute.
func limitOf(err error, now time.Time) (limited bool, wait time.Duration) {
	a := answerOf(err)
	if a.code != http.StatusForbidden && a.code != http.StatusTooManyRequests {
		return false, 0
	}
	if s, err := strconv.Atoi(a.header.Get("Retry-After")); err == nil && s > 0 {
		return true, time.Duration(min(s, int(maxPause/time.Second))) * time.Second
	}
	// A request that go-github held back has no headers of its own.
	var rate *github.RateLimitError
	if errors.As(err, &rate) {
		return true, max(rate.Rate.Reset.Sub(now), 0)
	}
	if a.header.Get("X-Ratelimit-Remaining") == "0" {
		if s, err := strconv.ParseInt(a.header.Get("X-Ratelimit-Reset"), 10, 64); err == nil {
			return true, max(time.Unix(s, 0).Sub(now), 0)
		}
		return true, 0
	}
	var abuse *github.AbuseRateLimitError
	limited = a.code == http.StatusTooManyRequests || errors.As(err, &abuse) ||
		strings.Contains(strings.ToLower(a.message), "rate limit")
	return limited, 0
}

// refusal reports whether err is GitHub's last word on a request: the same
// one again would get the same answer.
func refusal(err error) bool {
	if errors.As(err, new(permanent)) {
		return true
	}
	if limited, _ := limitOf(err, time.Now()); limited {
		return false
	}
	s := status(err)
	return s >= 400 && s < 500 && s != http.StatusRequestTimeout
}

// The permissions of a workflow's job that requests need.
const (
	needChecks   = "checks: write"
	needPulls    = "pull-requests: read"
	needComments = "pull-requests: write"
	needMetadata = "metadata: read"
)

// StatusOf is the status of the answer that an error of a request stands for,
// 0 where there was none.
func StatusOf(err error) int { return status(err) }

// MessageOf is what GitHub said in that answer.
func MessageOf(err error) string { return answerOf(err).message }

// Refused reports whether err is GitHub's last word on a request: the same one
// again would get the same answer.
func Refused(err error) bool { return refusal(err) }

// permanent is an error that another attempt would meet again.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// Permanent is err as the last word on a request, though it is not GitHub's:
// what a transport refuses to send.
func Permanent(err error) error { return permanent{err} }

// explanation says for people, in one line, why GitHub could not be told or
// asked, and what to do about it; need is the permission that it takes.
func explanation(err error, need string) string {
	var known explained
	if errors.As(err, &known) {
		return known.text
	}
	return explainedTo(err, need, false)
}

func explainedTo(err error, need string, app bool) string {
	a := answerOf(err)
	msg := oneLine(a.message, maxReason)
	limited, _ := limitOf(err, time.Now())
	switch {
	case limited:
		return fmt.Sprintf("GitHub's rate limit is used up (%d %s)", a.code, msg)
	case app && advice(a, need) != "":
		return fmt.Sprintf("%s (%d %s)", advice(a, need), a.code, msg)
	case a.code == http.StatusUnauthorized:
		return fmt.Sprintf("GitHub does not accept the token (401 %s): it may have expired; installation tokens last an hour", msg)
	case a.code == http.StatusForbidden:
		return fmt.Sprintf("the token may not do it (403 %s): give the job `permissions: %s`; a fork's pull request can only read", msg, need)
	case a.code == http.StatusNotFound:
		return fmt.Sprintf("GitHub does not find it (404 %s): check the repository's name, and that the job has `permissions: %s`", msg, need)
	case a.code == http.StatusUnprocessableEntity:
		return fmt.Sprintf("GitHub refused it (422 %s): check that the commit is in the repository", msg)
	case a.code != 0:
		return fmt.Sprintf("GitHub answered %d %s", a.code, msg)
	case errors.Is(err, context.DeadlineExceeded):
		return "GitHub did not answer in time"
	case errors.Is(err, context.Canceled):
		return "there was no time left"
	}
	return "GitHub cannot be reached: " + oneLine(err.Error(), maxReason)
}

// advice is what who runs an App can do about an answer, "" for others.
func advice(a answer, need string) string {
	switch {
	case a.code == http.StatusUnauthorized:
		return "GitHub does not accept the App's signature: check the App's id and private key, and that this machine's clock is right"
	case a.code == http.StatusForbidden && strings.Contains(a.message, "suspended"):
		return "the App's installation is suspended: who owns the account can unsuspend it in its settings, below GitHub Apps"
	case a.code == http.StatusForbidden:
		return fmt.Sprintf("the App may not do it: give it the permission `%s`, and have who owns the account accept it", need)
	case a.code == http.StatusNotFound:
		return fmt.Sprintf("GitHub does not find it: it is gone, or taken out of the App's installation, or the App lacks the permission `%s`", need)
	}
	return ""
}

// explained is an error that says for people what to do.
type explained struct {
	error
	text string
}

func (e explained) Error() string { return e.text }
func (e explained) Unwrap() error { return e.error }

// Explained is err with a text that says more about it than its answer does.
func Explained(err error, text string) error { return explained{err, text} }

// Explain is err, of a request that takes the permission need, with a text
// that says what to do about it.
func (c *Client) Explain(err error, need string) error {
	if known := new(explained); errors.As(err, known) {
		return explained{err, known.text} // by who knew more about it
	}
	return explained{err, explainedTo(err, need, c.app)}
}
