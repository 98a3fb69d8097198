package githubtest

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// limiter keeps GitHub's limits for one token, or for all tokens of one
// installation. The server's lock guards it.
type limiter struct {
	perHour int

	used      int       // requests of the hour that goes on
	resets    time.Time // its end
	running   int       // requests under way
	points    []spent   // of the last minute
	contents  []time.Time
	refusedAt time.Time // when the last refusal was answered
	until     time.Time // until when it says to wait
}

type spent struct {
	at     time.Time
	points int
}

// admit counts a request that was sent at now. An answer: it is refused.
func (l *limiter) admit(now time.Time, r *http.Request) *answer {
	if !now.Before(l.resets) {
		l.used, l.resets = 0, now.Add(primaryWindow)
	}
	if now.Before(l.until) {
		return secondary(l.until.Sub(now), "a Retry-After is in force")
	}
	free := r.URL.Path == "/rate_limit" // documented not to count
	if !free && l.used >= l.perHour {
		return refusal(http.StatusForbidden, "API rate limit exceeded for installation.")
	}
	l.points = after(l.points, now.Add(-time.Minute), func(s spent) time.Time { return s.at })
	l.contents = after(l.contents, now.Add(-time.Hour), func(t time.Time) time.Time { return t })
	if why := l.exceeded(now, r.Method); why != "" {
		return secondary(secondaryRetry, why)
	}
	if !free {
		l.used++
	}
	l.points = append(l.points, spent{now, pointsOf(r.Method)})
	if isContent(r.Method) {
		l.contents = append(l.contents, now)
	}
	return nil
}

// exceeded says which secondary limit one more request would break.
func (l *limiter) exceeded(now time.Time, method string) string {
	points := pointsOf(method)
	for _, s := range l.points {
		points += s.points
	}
	minute := after(l.contents, now.Add(-time.Minute), func(t time.Time) time.Time { return t })
	switch {
	case l.running >= maxConcurrent:
		return fmt.Sprintf("more than %d concurrent requests", maxConcurrent)
	case points > maxPointsMinute:
		return fmt.Sprintf("more than %d points a minute", maxPointsMinute)
	case isContent(method) && len(minute) >= maxContentMinute:
		return fmt.Sprintf("more than %d content-creating requests a minute", maxContentMinute)
	case isContent(method) && len(l.contents) >= maxContentHour:
		return fmt.Sprintf("more than %d content-creating requests an hour", maxContentHour)
	}
	return ""
}

// inForce reports whether a request that was sent at now ignores what an
// earlier answer said. One sent before that answer was given does not.
func (l *limiter) inForce(now time.Time) bool {
	return now.After(l.refusedAt) && now.Before(l.until)
}

// obey takes from an answer how long the program has to be quiet: Retry-After,
// else the reset header, else one minute.
func (l *limiter) obey(now time.Time, status int, h http.Header) {
	limited := status == http.StatusTooManyRequests ||
		status == http.StatusForbidden && (h.Get("Retry-After") != "" || h.Get("X-RateLimit-Remaining") == "0")
	if !limited {
		return
	}
	until := now.Add(defaultRetry)
	if seconds, err := strconv.Atoi(h.Get("Retry-After")); err == nil {
		until = now.Add(time.Duration(seconds) * time.Second)
	} else if unix, err := strconv.ParseInt(h.Get("X-RateLimit-Reset"), 10, 64); err == nil && h.Get("X-RateLimit-Remaining") == "0" {
		until = time.Unix(unix, 0)
	}
	if until.After(l.until) {
		l.until, l.refusedAt = until, now
	}
}

// headers are those of every answer.
func (l *limiter) headers(h http.Header) {
	set := func(name, value string) {
		if h.Get(name) == "" { // a fault may say something else
			h.Set(name, value)
		}
	}
	set("X-RateLimit-Limit", strconv.Itoa(l.perHour))
	set("X-RateLimit-Remaining", strconv.Itoa(l.perHour-l.used))
	set("X-RateLimit-Used", strconv.Itoa(l.used))
	set("X-RateLimit-Reset", strconv.FormatInt(l.reset(), 10))
	set("X-RateLimit-Resource", "core")
}

// reset is the end of the hour in Unix seconds, rounded up.
func (l *limiter) reset() int64 {
	return l.resets.Add(time.Second - 1).Unix()
}

func pointsOf(method string) int {
	if isWrite(method) {
		return pointsWrite
	}
	return pointsRead
}

// isContent reports whether a request counts as content-creating. GitHub does
// not list them; every POST, PATCH and PUT is the strictest reading.
func isContent(method string) bool {
	return method == http.MethodPost || method == http.MethodPatch || method == http.MethodPut
}

// after is what of list, which is in order of time, is later than t.
func after[T any](list []T, t time.Time, at func(T) time.Time) []T {
	for i, e := range list {
		if at(e).After(t) {
			return list[i:]
		}
	}
	return nil
}

// secondary is the answer to a program that is too fast.
func secondary(wait time.Duration, why string) *answer {
	a := refusal(http.StatusForbidden, "You have exceeded a secondary rate limit. Please wait a few minutes before you try again. ("+why+")")
	a.body.(object)["documentation_url"] = docsURL + "/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"
	a.header = http.Header{"Retry-After": {strconv.Itoa(int((wait + time.Second - 1) / time.Second))}}
	return a
}
