//go:build unix

package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cromt/cromt/sparky/sparkytest"
)

// signLetter makes a request one of GitHub's.
func signLetter(r *http.Request, m letter) {
	secret := webhookSecret
	if m.forged {
		secret = "somebody else's"
	}
	mac := hmac.New(sha256.New, []byte(secret))
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

// faultyHost is an agent behind something that has one call in so many go wrong.
type faultyHost struct {
	url string
	one int // 0: none does

	mu     sync.Mutex
	rng    *rand.Rand
	called []time.Time
}

func newFaultyHost(t *testing.T, rng *rand.Rand, one int, args ...string) *faultyHost {
	t.Helper()
	_, agent := startAgentProcess(t, args...)
	target, err := url.Parse(agent)
	if err != nil {
		t.Fatal(err)
	}
	h := &faultyHost{rng: rng, one: one}
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
	if h.one == 0 || h.rng.IntN(h.one) != 0 {
		return sparkytest.NoFault
	}
	kinds := []sparkytest.Fault{sparkytest.ResetBefore, sparkytest.ResetAfter, sparkytest.Status500, sparkytest.After500, sparkytest.Garbage, sparkytest.Truncated}
	return kinds[h.rng.IntN(len(kinds))]
}
