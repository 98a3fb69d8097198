//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/bot/githubtest"
)

// TestChaosGitHub has 1,000 requests to GitHub go wrong, in all ways in which
// it says no, or nothing, while its limits are in force: every commit ends with
// the right conclusion, nothing is left in progress, no limit is exceeded.
func TestChaosGitHub(t *testing.T) {
	p := chaosPlan{replicas: 1, repos: 4, commits: 3, letters: 12, senders: 2, faults: 8, limits: true}
	faults := newFaults(false)
	if share := chaosShare(t); share > 0 {
		p.repos, p.commits = int(60*share), 25
		p.letters, p.pace, p.faults, p.limit = p.repos*p.commits, 20*time.Millisecond, 11, time.Hour
		faults = newFaults(true)
	}
	p.fault = faults.next
	c := newChaos(t, p)
	c.deliver()
	c.check()
	c.checkLimits()
	for kind, n := range faults.count {
		t.Logf("GitHub fault %s: %d", kind, n)
	}
	if want := int(1000 * chaosShare(t)); len(c.faults) < want {
		t.Errorf("%d requests went wrong, want %d", len(c.faults), want)
	}
}

// gitHubFaults are those that GitHub documents, and what networks add.
type gitHubFaults struct {
	slow    bool            // those too that take a minute to pass
	refused map[string]bool // check runs of which one request was answered 422
	count   map[string]int
}

func newFaults(slow bool) *gitHubFaults {
	return &gitHubFaults{slow: slow, refused: map[string]bool{}, count: map[string]int{}}
}

func (g *gitHubFaults) next(rng *rand.Rand, r *http.Request) *githubtest.Fault {
	const limited = `{"message":"You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}`
	after := http.Header{"Retry-After": {strconv.Itoa(1 + rng.IntN(3))}}
	empty := http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {strconv.FormatInt(time.Now().Add(3*time.Second).Unix(), 10)}}
	kinds := []struct {
		name  string
		fault githubtest.Fault
	}{
		{"403 with Retry-After", githubtest.Fault{Status: 403, Body: limited, Header: after}},
		{"429 with Retry-After", githubtest.Fault{Status: 429, Body: limited, Header: after}},
		{"403 with nothing remaining", githubtest.Fault{Status: 403, Body: `{"message":"API rate limit exceeded"}`, Header: empty}},
		{"500", githubtest.Fault{Status: 500, Body: `{"message":"Server Error"}`}},
		{"502", githubtest.Fault{Status: 502, Body: "<html>"}},
		{"503", githubtest.Fault{Status: 503}},
		{"504", githubtest.Fault{Status: 504, Body: "<html>"}},
		{"truncated", githubtest.Fault{Truncated: true}},
		{"no answer before", githubtest.Fault{DropBefore: true}},
		{"no answer after", githubtest.Fault{DropAfter: true}},
		{"no JSON", githubtest.Fault{Garbage: true}},
		{"422", githubtest.Fault{Status: 422, Body: `{"message":"Validation Failed","errors":[{"message":"too much"}]}`}},
		{"422", githubtest.Fault{Status: 422, Body: `{"message":"Validation Failed"}`}},
		{"secondary limit without Retry-After", githubtest.Fault{Status: 403, Body: limited}},
		{"429 without Retry-After", githubtest.Fault{Status: 429, Body: limited}},
		{"late", githubtest.Fault{Delay: 20 * time.Second}},
	}
	if !g.slow {
		kinds = kinds[:len(kinds)-3]
	}
	k := kinds[rng.IntN(len(kinds))]
	if k.fault.Status == 422 && !g.mayRefuse(r) {
		return nil
	}
	g.count[k.name]++
	return &k.fault
}

// mayRefuse reports whether a request may be answered 422: GitHub refuses what
// is in a check run, and what is in it is less the next time.
func (g *gitHubFaults) mayRefuse(r *http.Request) bool {
	if r.Method == http.MethodGet || !strings.Contains(r.URL.Path, "/check-runs") {
		return false
	}
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	var k struct {
		External string `json:"external_id"`
	}
	if err != nil || json.Unmarshal(body, &k) != nil || g.refused[k.External] {
		return false
	}
	g.refused[k.External] = true
	return true
}

// checkLimits looks that GitHub refused nothing by itself.
func (c *chaos) checkLimits() {
	c.t.Helper()
	if c.gh.Banned() {
		c.t.Error("a request was sent while GitHub wanted none")
	}
	for i, r := range c.gh.Requests() {
		if f := c.faults[i+1]; f.Status == 0 && (r.Status == http.StatusForbidden || r.Status == http.StatusTooManyRequests) {
			c.t.Errorf("%s %s was answered %d at %s: a limit", r.Method, r.Path, r.Status, fmt.Sprint(r.Time))
		}
	}
}
