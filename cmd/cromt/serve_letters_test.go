//go:build unix

package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cromt/cromt/sparky/sparkytest"
)

// signLetter makes a request one of GitHub's.
func signLetter(r *http.Request, m letter) {
	mac := hmac.New(sha256.New, []byte(webhookSecret))
	mac.Write(m.body)
	r.Header.Set("X-GitHub-Event", m.event)
	r.Header.Set("X-GitHub-Delivery", m.guid)
	r.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	r.Header.Set("Content-Type", "application/json")
}

// payloadOf is a payload with the repository, sender and installation added.
func payloadOf(repo string, install int64, payload map[string]any) []byte {
	owner, name, _ := strings.Cut(repo, "/")
	p := map[string]any{
		"repository":   wireRepoOf(repo, owner, name),
		"sender":       map[string]any{"login": "octo", "id": 1, "type": "User"},
		"installation": map[string]any{"id": install},
	}
	maps.Copy(p, payload)
	body, err := json.Marshal(p)
	if err != nil {
		panic(err) // of maps and texts
	}
	return body
}

// wireRepoOf is a repository as payloads have it. The fake GitHub numbers them
// as they come: octo/app or octo/app0 is the first.
func wireRepoOf(repo, owner, name string) map[string]any {
	n, _ := strconv.Atoi(strings.TrimPrefix(name, "app")) // 0 for none
	return map[string]any{
		"id": n + 1, "name": name, "full_name": repo, "owner": map[string]any{"login": owner, "id": 1},
		"default_branch": "main", "clone_url": "https://github.com/" + repo + ".git",
	}
}

// pushOf is the payload of a push of a new branch.
func pushOf(sha, ref string) map[string]any {
	return map[string]any{
		"ref": ref, "before": strings.Repeat("0", 40), "after": sha, "created": true, "deleted": false, "forced": false,
		"head_commit": map[string]any{"id": sha, "message": "one"}, "commits": []any{}, "pusher": map[string]any{"name": "octo"},
	}
}

// pullOf is the payload of a pull request that was opened in its repository.
func pullOf(repo string, number int, sha, branch, base string) map[string]any {
	owner, name, _ := strings.Cut(repo, "/")
	return map[string]any{
		"action": "opened", "number": number,
		"pull_request": map[string]any{
			"number": number, "title": "one", "body": nil, "state": "open", "draft": false, "html_url": "https://github.com/" + repo + "/pull/7",
			"head": map[string]any{"ref": branch, "sha": sha, "repo": wireRepoOf(repo, owner, name)},
			"base": map[string]any{"ref": "main", "sha": base, "repo": wireRepoOf(repo, owner, name)},
			"user": map[string]any{"login": "octo", "id": 1, "type": "User"}, "author_association": "OWNER", "labels": []any{},
		},
	}
}

// faultyHost is an agent behind something that has one call in ten go wrong.
type faultyHost struct {
	url string

	mu     sync.Mutex
	rng    *rand.Rand
	called []time.Time
}

func newFaultyHost(t *testing.T, rng *rand.Rand) *faultyHost {
	t.Helper()
	_, agent := startAgentProcess(t)
	target, err := url.Parse(agent)
	if err != nil {
		t.Fatal(err)
	}
	h := &faultyHost{rng: rng}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) } // the App is gone
	s := httptest.NewUnstartedServer(sparkytest.WithFaults(proxy, h.decide))
	s.Config.ErrorLog = nil
	s.Start()
	t.Cleanup(s.Close)
	h.url = s.URL
	return h
}

// decide leaves out what would take the client's own time limits to notice,
// and that a host denies what it has, which is no failure but a lie.
func (h *faultyHost) decide(*http.Request) sparkytest.Fault {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.called = append(h.called, time.Now())
	if h.rng.IntN(10) != 0 {
		return sparkytest.NoFault
	}
	kinds := []sparkytest.Fault{sparkytest.ResetBefore, sparkytest.ResetAfter, sparkytest.Status500, sparkytest.After500, sparkytest.Garbage, sparkytest.Truncated}
	return kinds[h.rng.IntN(len(kinds))]
}

// report tells how long it took the App to be back: to say so, to be asked for
// it, and to do something about a run.
func (l *lost) report() {
	var worked []time.Time
	for _, h := range l.hosts {
		worked = append(worked, h.called...)
	}
	for _, r := range l.gh.Requests() {
		worked = append(worked, r.Time)
	}
	slices.SortFunc(worked, time.Time.Compare)
	var ready, probe, first []time.Duration
	for i, r := range l.kills[len(l.sites):] {
		ready, probe = append(ready, r.ready), append(probe, r.probe)
		at, _ := slices.BinarySearchFunc(worked, r.at.Add(r.ready/2), time.Time.Compare)
		if len(l.sites) == 1 && at < len(worked) && (i+1 == len(l.kills)-1 || worked[at].Before(l.kills[i+2].at)) {
			first = append(first, worked[at].Sub(r.at))
		}
	}
	l.t.Logf("back after a kill: ready %s, /readyz %s, first request for a run %s", spread(ready), spread(probe), spread(first))
	slowest := slices.Max(probe)
	if slowest > 20*time.Second {
		l.t.Errorf("it took %s until the App was ready again", slowest)
	}
}

// spread is the median and the largest of some times.
func spread(d []time.Duration) string {
	if len(d) == 0 {
		return "unknown"
	}
	slices.Sort(d)
	return fmt.Sprintf("p50 %d ms, max %d ms (of %d)", d[len(d)/2].Milliseconds(), d[len(d)-1].Milliseconds(), len(d))
}
