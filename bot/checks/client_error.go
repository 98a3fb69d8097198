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

// answer returns GitHub's answer that an error stands for, or nil when there
// was none, and what it says.
func answer(err error) (*http.Response, string) {
	var plain *github.ErrorResponse
	var rate *github.RateLimitError
	var abuse *github.AbuseRateLimitError
	var otp *github.TwoFactorAuthError
	switch {
	case errors.As(err, &plain):
		return plain.Response, message(plain)
	case errors.As(err, &rate):
		return rate.Response, rate.Message
	case errors.As(err, &abuse):
		return abuse.Response, abuse.Message
	case errors.As(err, &otp):
		return otp.Response, otp.Message
	}
	return nil, ""
}

// message is what GitHub says, with the first detail of it.
func message(e *github.ErrorResponse) string {
	if len(e.Errors) > 0 && e.Errors[0].Message != "" {
		return e.Message + ": " + e.Errors[0].Message
	}
	return e.Message
}

func status(err error) int {
	if resp, _ := answer(err); resp != nil {
		return resp.StatusCode
	}
	return 0
}

// limitOf reports whether err is GitHub's wish to be left alone, and for how
// long; 0 when it does not say. GitHub documents the order: Retry-After, else
// the reset time if nothing remains, else at least a minute.
func limitOf(err error, now time.Time) (limited bool, wait time.Duration) {
	resp, msg := answer(err)
	if resp == nil || resp.StatusCode != http.StatusForbidden && resp.StatusCode != http.StatusTooManyRequests {
		return false, 0
	}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
		return true, time.Duration(min(s, int(maxPause/time.Second))) * time.Second
	}
	// A request that go-github held back has no headers of its own.
	var rate *github.RateLimitError
	if errors.As(err, &rate) {
		return true, max(rate.Rate.Reset.Sub(now), 0)
	}
	if resp.Header.Get("X-Ratelimit-Remaining") == "0" {
		if s, err := strconv.ParseInt(resp.Header.Get("X-Ratelimit-Reset"), 10, 64); err == nil {
			return true, max(time.Unix(s, 0).Sub(now), 0)
		}
		return true, 0
	}
	var abuse *github.AbuseRateLimitError
	limited = resp.StatusCode == http.StatusTooManyRequests || errors.As(err, &abuse) ||
		strings.Contains(strings.ToLower(msg), "rate limit")
	return limited, 0
}

// refusal reports whether err is GitHub's last word on a request: the same
// one again would get the same answer.
func refusal(err error) bool {
	if limited, _ := limitOf(err, time.Now()); limited {
		return false
	}
	s := status(err)
	return s >= 400 && s < 500 && s != http.StatusRequestTimeout
}

// why says for people, in one line, why GitHub could not be told, and what to
// do about it.
func why(err error) string {
	code := status(err)
	_, msg := answer(err)
	msg = oneLine(msg)
	limited, _ := limitOf(err, time.Now())
	switch {
	case limited:
		return fmt.Sprintf("GitHub's rate limit is used up (%d %s)", code, msg)
	case code == http.StatusUnauthorized:
		return fmt.Sprintf("GitHub does not accept the token (401 %s): it may have expired; installation tokens last an hour", msg)
	case code == http.StatusForbidden:
		return fmt.Sprintf("the token may not do it (403 %s): give the job `permissions: checks: write`; a fork's pull request cannot have it", msg)
	case code == http.StatusNotFound:
		return fmt.Sprintf("GitHub does not find it (404 %s): check the repository's name, and that the token has `permissions: checks: write` for it", msg)
	case code == http.StatusUnprocessableEntity:
		return fmt.Sprintf("GitHub refused it (422 %s): check that the commit is in the repository", msg)
	case code != 0:
		return fmt.Sprintf("GitHub answered %d %s", code, msg)
	case errors.Is(err, context.DeadlineExceeded):
		return "GitHub did not answer in time"
	case errors.Is(err, context.Canceled):
		return "there was no time left"
	}
	return "GitHub cannot be reached: " + oneLine(err.Error())
}

// oneLine makes a short line of what GitHub or the network says.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	return clip(s, 200)
}

// clip cuts s to at most limit bytes, at the border of a character.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	s = s[:limit]
	for len(s) > 0 && s[len(s)-1]&0xC0 == 0x80 {
		s = s[:len(s)-1]
	}
	if len(s) > 0 && s[len(s)-1] >= 0x80 {
		s = s[:len(s)-1]
	}
	return s
}
