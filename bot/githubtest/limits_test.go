package githubtest_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/cromt/cromt/bot/githubtest"
)

const commentsPath = "/repos/octo/app/issues/7/comments"

// until sends requests, each after a pause, until one is refused, and returns
// how many were served.
func until(t *testing.T, s *githubtest.Server, token, method string, pause time.Duration) (int, http.Header, string) {
	t.Helper()
	body := ""
	if method == "POST" {
		body = `{"body":"x"}`
	}
	for n := range 6000 {
		status, header, answer := send(t, s, token, method, commentsPath, body)
		if status >= 400 {
			return n, header, answer
		}
		time.Sleep(pause)
	}
	t.Fatal("never refused")
	return 0, nil, ""
}

func TestLimits(t *testing.T) {
	for name, tc := range map[string]struct {
		method string
		pause  time.Duration
		limit  int // of the token
		want   int
		why    string
		retry  string
	}{
		"content a minute": {"POST", 0, 5000, 80, "80 content-creating requests a minute", "60"},
		"content an hour":  {"POST", time.Second, 5000, 500, "500 content-creating requests an hour", "60"},
		"points":           {"GET", 0, 5000, 900, "900 points a minute", "60"},
		"primary":          {"GET", 100 * time.Millisecond, githubtest.GitHubTokenHourLimit, 1000, "API rate limit exceeded", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, _, _ := world(t)
				token := s.Token(githubtest.Token{App: true, Permissions: all(), HourLimit: tc.limit})
				n, header, body := until(t, s, token, tc.method, tc.pause)
				if n != tc.want || header.Get("Retry-After") != tc.retry || !strings.Contains(body, tc.why) {
					t.Errorf("refused after %d requests, Retry-After %q: %s", n, header.Get("Retry-After"), body)
				}
				takeOne(t, s, "") // to be refused is no violation, to go on is
				time.Sleep(time.Second)
				send(t, s, token, tc.method, "/repos/octo/app/pulls/7", "")
				if got := s.Violations(); !s.Banned() || len(got) == 0 || !strings.Contains(got[0].Problem, "says to wait until") {
					t.Errorf("banned %v, violations %v", s.Banned(), got)
				}
			})
		})
	}
}

// A program that waits as it is told goes on without a violation.
func TestLimitsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, _ := world(t)
		token := s.Token(githubtest.Token{App: true, Permissions: all(), HourLimit: 100})
		c := client(s, token)
		var err error
		for range 101 {
			_, _, err = c.PullRequests.Get(t.Context(), "octo", "app", 7)
		}
		var limited *github.RateLimitError
		if !errors.As(err, &limited) {
			t.Fatalf("error %v, want a rate limit's", err)
		}
		time.Sleep(time.Until(limited.Rate.Reset.Time))
		if _, _, err := c.PullRequests.Get(t.Context(), "octo", "app", 7); err != nil || s.Banned() {
			t.Errorf("after the reset: %v, banned %v", err, s.Banned())
		}
		for range 81 {
			_, _, err = c.Issues.CreateComment(t.Context(), "octo", "app", 7, &github.IssueComment{Body: github.String("x")})
		}
		var abuse *github.AbuseRateLimitError
		if !errors.As(err, &abuse) || abuse.GetRetryAfter() != time.Minute {
			t.Fatalf("error %v, want a secondary limit's", err)
		}
		time.Sleep(abuse.GetRetryAfter())
		if _, _, err := c.Issues.CreateComment(t.Context(), "octo", "app", 7, &github.IssueComment{Body: github.String("x")}); err != nil {
			t.Errorf("after a minute: %v", err)
		}
	})
}

func TestConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, token := world(t)
		s.Fault(func(*http.Request, int) *githubtest.Fault { return &githubtest.Fault{Delay: time.Second} })
		var wg sync.WaitGroup
		var mu sync.Mutex
		count := map[int]int{}
		for range 103 {
			wg.Go(func() {
				status, _, _ := send(t, s, token, "GET", commentsPath, "")
				mu.Lock()
				defer mu.Unlock()
				count[status]++
			})
		}
		wg.Wait()
		if count[200] != 100 || count[403] != 3 || s.Banned() {
			t.Errorf("answers %v, banned %v", count, s.Banned())
		}
	})
}

func TestWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, token := world(t)
		for _, pause := range []time.Duration{0, 10 * time.Second, 40 * time.Second, 5 * time.Second, 5 * time.Second} {
			time.Sleep(pause)
			send(t, s, token, "POST", commentsPath, `{"body":"x"}`)
			send(t, s, token, "GET", commentsPath, "")
		}
		for window, want := range map[time.Duration]int{time.Second: 1, 10 * time.Second: 2, 11 * time.Second: 3, time.Minute: 4, time.Minute + time.Second: 5} {
			if got := s.Writes(window); got != want {
				t.Errorf("writes in %v: %d, want %d", window, got, want)
			}
		}
		if s.WriteCount() != 5 {
			t.Errorf("%d writes", s.WriteCount())
		}
	})
}

func TestTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, _ := world(t)
		s.AddRepo("octo/secret")
		read := map[string]string{"checks": "read", "pull_requests": "read", "issues": "read"}
		here := []string{"octo/app"}
		for name, tc := range map[string]struct {
			token        string
			method, path string
			status       int
			message      string
		}{
			"none":            {"", "GET", commentsPath, 401, "Requires authentication"},
			"unknown":         {"ghs_x", "GET", commentsPath, 401, "Bad credentials"},
			"expired":         {s.Token(githubtest.Token{Expires: time.Now()}), "GET", commentsPath, 401, "Bad credentials"},
			"read":            {s.Token(githubtest.Token{App: true, Permissions: read}), "GET", commentsPath, 200, ""},
			"read, writes":    {s.Token(githubtest.Token{App: true, Permissions: read}), "POST", commentsPath, 403, "not accessible by integration"},
			"person's check":  {s.Token(githubtest.Token{Permissions: all()}), "POST", run, 403, "must authenticate via a GitHub App"},
			"no permission":   {s.Token(githubtest.Token{}), "GET", commentsPath, 403, "not accessible by personal access token"},
			"other repo":      {s.Token(githubtest.Token{Repos: here, Permissions: all()}), "GET", "/repos/octo/secret", 404, "Not Found"},
			"own repo":        {s.Token(githubtest.Token{Repos: here}), "GET", "/repos/Octo/App", 200, ""},
			"unknown repo":    {s.Token(githubtest.Token{}), "GET", "/repos/octo/nothing", 404, "Not Found"},
			"any role reader": {s.Token(githubtest.Token{}), "GET", "/repos/octo/app/collaborators/x/permission", 200, ""},
		} {
			body := ""
			if tc.method == "POST" {
				body = check(nil)
			}
			if tc.path == commentsPath && tc.method == "POST" {
				body = `{"body":"x"}`
			}
			if status, _, answer := send(t, s, tc.token, tc.method, tc.path, body); status != tc.status || !strings.Contains(answer, tc.message) {
				t.Errorf("%s: status %d, want %d: %s", name, status, tc.status, answer)
			}
		}
	})
}

func TestFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r, token := world(t)
		var faults []githubtest.Fault
		s.Fault(func(_ *http.Request, n int) *githubtest.Fault {
			if n <= len(faults) {
				return &faults[n-1]
			}
			return nil
		})
		faults = []githubtest.Fault{
			{DropBefore: true},
			{DropAfter: true},
			{Garbage: true},
			{Truncated: true},
			{Status: 502, Body: "bad gateway"},
			{Delay: time.Minute},
			{Delay: time.Second},
			{Status: 429, Header: http.Header{"Retry-After": {"30"}}},
		}
		for i, want := range []struct {
			text     string
			comments int
		}{{"closed by the server", 0}, {"closed by the server", 1}, {"invalid character '<'", 2}, {"closed by the server", 3}, {"502", 3}, {"deadline", 3}, {"", 4}, {"429", 4}} {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			_, _, err := client(s, token).Issues.CreateComment(ctx, "octo", "app", 7, &github.IssueComment{Body: github.String("x")})
			cancel()
			if want.text == "" && err != nil || want.text != "" && (err == nil || !strings.Contains(err.Error(), want.text)) {
				t.Errorf("fault %d: %v, want %q", i, err, want.text)
			}
			if got := len(r.Comments(7)); got != want.comments {
				t.Errorf("fault %d: %d comments, want %d", i, got, want.comments)
			}
		}
		time.Sleep(29 * time.Second)
		send(t, s, token, "GET", commentsPath, "") // too early
		takeOne(t, s, "says to wait until")
		status := func(i int) int { return s.Requests()[i].Status }
		if status(0) != 0 || status(1) != 0 || status(4) != 502 || status(7) != 429 {
			t.Errorf("requests %+v", s.Requests())
		}
	})
}
