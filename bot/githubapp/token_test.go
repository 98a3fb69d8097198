package githubapp_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cromt/cromt/bot/checks"
	"github.com/cromt/cromt/bot/githubapp"
	"github.com/cromt/cromt/bot/githubtest"
)

func TestTokensAreNarrowed(t *testing.T) {
	var log bytes.Buffer
	w := newWorld(t, func(c *githubapp.Config) {
		c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	r := w.open()
	if b, err := r.DefaultBranch(t.Context()); err != nil || b != "main" {
		t.Fatal(b, err)
	}
	clone, expires, err := r.CloneToken(t.Context())
	if err != nil || time.Until(expires) < 50*time.Minute {
		t.Fatal(err, expires)
	}
	if again, _, err := r.CloneToken(t.Context()); err != nil || again != clone {
		t.Error("the next host of a run has another token", err)
	}
	if _, err := w.app.Repositories(t.Context(), w.installation); err != nil {
		t.Fatal(err)
	}
	got := w.mints(t)
	want := []string{
		"map[permissions:map[checks:write contents:read issues:write metadata:read pull_requests:write] repositories:[app]]",
		"map[permissions:map[contents:read metadata:read] repositories:[app]]",
		"map[permissions:map[metadata:read]]",
	}
	if len(got) != len(want) {
		t.Fatalf("minted %v", got)
	}
	for i := range want {
		if fmt.Sprint(got[i]) != want[i] {
			t.Errorf("token %d: %v, want %s", i, got[i], want[i])
		}
	}
	for _, req := range w.gh.Requests() {
		if req.Token != "" && strings.Contains(log.String(), req.Token) || strings.Contains(log.String(), clone) {
			t.Errorf("a token is in the log: %s", &log)
		}
	}
	if !strings.Contains(log.String(), "token minted") {
		t.Errorf("log %q", &log)
	}
}

func TestTokensAreRenewed(t *testing.T) {
	key()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		r := w.open()
		for i, want := range []int{1, 1, 2, 2, 3} { // at 0, 30, 60, 90 and 120 minutes
			if _, err := r.DefaultBranch(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := len(w.mints(t)); n != want {
				t.Errorf("%d minutes: %d tokens, want %d", 30*i, n, want)
			}
			time.Sleep(30 * time.Minute)
		}
	})
}

// A token that GitHub does not take any more is replaced, once.
func TestRevokedToken(t *testing.T) {
	key()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.repo.AddPull(githubtest.Pull{Number: 7, HeadSHA: sha, HeadRef: "topic", BaseSHA: other})
		r := w.open()
		if _, err := r.DefaultBranch(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		revoked := w.gh.Requests()[1].Token
		refuse := func(all bool) {
			w.gh.Fault(func(r *http.Request, _ int) *githubtest.Fault {
				if strings.HasSuffix(r.URL.Path, "/access_tokens") || !all && !strings.HasSuffix(r.Header.Get("Authorization"), revoked) {
					return nil
				}
				return &githubtest.Fault{Status: 401, Body: `{"message":"Bad credentials"}`}
			})
		}
		refuse(false)
		if _, err := r.Reply(t.Context(), 7, "<!-- x -->", "text"); err != nil {
			t.Error(err)
		}
		if n := len(w.mints(t)); n != 2 {
			t.Errorf("%d tokens", n)
		}
		refuse(true)
		if _, err := r.DefaultBranch(t.Context()); err == nil || !strings.Contains(err.Error(), "clock") {
			t.Error(err)
		}
		if n := len(w.mints(t)); n != 2 {
			t.Errorf("%d tokens for a fresh one that was refused", n)
		}
	})
}

func TestOneTokenForMany(t *testing.T) {
	w := newWorld(t, nil)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := w.app.Repo(w.installation, "Octo/App").DefaultBranch(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := len(w.mints(t)); n != 1 {
		t.Errorf("%d tokens", n)
	}
}

func TestNoToken(t *testing.T) {
	for name, tc := range map[string]struct {
		fault *githubtest.Fault
		open  func(*world) *githubapp.Repo
		is    error
		want  string
	}{
		"no installation": {open: func(w *world) *githubapp.Repo { return w.app.Repo(999, repoName) }, is: githubapp.ErrGone, want: "not installed there any more"},
		"no repository":   {open: func(w *world) *githubapp.Repo { return w.app.Repo(w.installation, "octo/other") }, is: githubapp.ErrGone, want: "taken out of the App's installation"},
		"foreign owner":   {open: func(w *world) *githubapp.Repo { return w.app.Repo(w.installation, "victim/app") }, is: githubapp.ErrGone, want: "not one of the owner of victim/app"},
		"suspended": {
			fault: &githubtest.Fault{Status: 403, Body: `{"message":"This installation has been suspended"}`}, open: (*world).open,
			is: githubapp.ErrSuspended, want: "unsuspend",
		},
		"not the key": {fault: &githubtest.Fault{Status: 401, Body: `{"message":"A JSON web token could not be decoded"}`}, open: (*world).open, want: "check the App's id and private key"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.gh.Fault(func(*http.Request, int) *githubtest.Fault { return tc.fault })
			r := tc.open(w)
			_, err := r.DefaultBranch(t.Context())
			if err == nil || tc.is != nil && !errors.Is(err, tc.is) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
			// What is written by others says the same.
			if err := r.Checks().StickyComment(t.Context(), repoName, 1, "<!-- x -->", "text"); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("comment: %v, want %q", err, tc.want)
			}
			if _, _, err := r.CloneToken(t.Context()); err == nil || tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("clone token: %v", err)
			}
		})
	}
}

func TestMissingPermission(t *testing.T) {
	w := newWorld(t, nil)
	in := w.gh.AddInstallation(w.id, "poor", []string{"poor/app"}, map[string]string{"checks": "read", "contents": "read", "issues": "write", "metadata": "read"})
	_, err := w.app.Repo(in, "poor/app").DefaultBranch(t.Context())
	if err == nil || !strings.Contains(err.Error(), "`checks: write` and `pull_requests: write`") || !strings.Contains(err.Error(), "have poor accept it") {
		t.Error(err)
	}
	if !checks.Refused(err) {
		t.Error("it is worth another attempt")
	}
}

// Two repositories of an installation write from one budget: a Retry-After for
// one holds back the other, and GitHub's minute is never more than full.
func TestOneBudgetForAnInstallation(t *testing.T) {
	key()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		var all sync.WaitGroup
		for _, name := range []string{repoName, "octo/second"} {
			repo := w.gh.AddRepo(name)
			repo.AddPull(githubtest.Pull{Number: 7, HeadSHA: sha, HeadRef: "topic", BaseSHA: other})
			r := w.app.Repo(w.installation, name)
			for range 60 {
				id := repo.AddComment(7, "octocat", "/cromt run")
				all.Go(func() {
					if err := r.React(t.Context(), id, "eyes"); err != nil {
						t.Error(err)
					}
				})
			}
		}
		reactions := 0
		w.gh.Fault(func(r *http.Request, _ int) *githubtest.Fault {
			if strings.HasSuffix(r.URL.Path, "/reactions") {
				reactions++
			}
			if reactions != 20 {
				return nil
			}
			reactions++
			return &githubtest.Fault{Status: 429, Header: http.Header{"Retry-After": {"30"}}, Body: `{"message":"secondary rate limit"}`}
		})
		all.Wait()
		if w.gh.Banned() {
			t.Error("sent while GitHub wanted to be left alone")
		}
		if n := w.gh.Writes(time.Minute); n > checks.WritesPerMinute+2 { // and two tokens
			t.Errorf("%d writes in a minute", n)
		}
		one := w.app.Budget(w.installation)
		if w.app.Budget(w.installation) != one || w.app.Budget(999) == one {
			t.Error("budgets are not those of installations")
		}
	})
}

func TestFaultsPass(t *testing.T) {
	key()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		var n int
		faults := []githubtest.Fault{{Status: 502}, {DropBefore: true}, {Garbage: true}, {Delay: time.Minute}}
		w.gh.Fault(func(r *http.Request, _ int) *githubtest.Fault {
			if n++; n%2 == 1 && n/2 < len(faults) { // of the token as well as of the request
				return &faults[n/2]
			}
			return nil
		})
		for range 3 {
			if b, err := w.open().DefaultBranch(t.Context()); err != nil || b != "main" {
				t.Error(b, err)
			}
		}
		w.gh.Fault(func(*http.Request, int) *githubtest.Fault { return &githubtest.Fault{Status: 503} })
		if _, err := w.open().DefaultBranch(t.Context()); err == nil || checks.Refused(err) || checks.StatusOf(err) != 503 {
			t.Error(err)
		}
	})
}
