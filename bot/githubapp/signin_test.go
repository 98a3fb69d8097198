package githubapp_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/bot/githubapp"
	"github.com/cromt/cromt/bot/githubtest"
)

const callback = "https://cromt.test/signin/callback"

func newPeople(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, func(c *githubapp.Config) { c.ClientID, c.ClientSecret = "Iv1.x", "s3cret" })
	w.gh.SetClient(w.id, "Iv1.x", "s3cret", callback)
	w.repo.SetPrivate()
	w.gh.AddRepo("other/private").SetPrivate()
	w.gh.SetPerson(&githubtest.Person{Login: "alice", Repos: []string{repoName}})
	return w
}

// authorize is what a browser does: it returns what comes back.
func (w *world) authorize(t *testing.T, to string) url.Values {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, to, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := w.gh.Transport().RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	back, err := resp.Location()
	if err != nil || !strings.HasPrefix(back.String(), callback+"?") {
		t.Fatalf("%d, to %v, %v", resp.StatusCode, back, err)
	}
	return back.Query()
}

func (w *world) signIn(t *testing.T) string {
	t.Helper()
	sum := sha256.Sum256([]byte("verifier"))
	q := w.authorize(t, w.app.SignInURL(callback, "st&te", base64.RawURLEncoding.EncodeToString(sum[:])))
	if q.Get("state") != "st&te" {
		t.Errorf("state %q", q.Get("state"))
	}
	token, expires, err := w.app.UserToken(t.Context(), q.Get("code"), callback, "verifier")
	if err != nil || time.Until(expires) < 7*time.Hour {
		t.Fatal(expires, err)
	}
	if _, _, err := w.app.UserToken(t.Context(), q.Get("code"), callback, "verifier"); err == nil || !strings.Contains(err.Error(), "bad_verification_code") {
		t.Errorf("the same code again: %v", err)
	}
	return token
}

func TestSignIn(t *testing.T) {
	w := newPeople(t)
	r, err := w.app.Reader(w.signIn(t))
	if err != nil {
		t.Fatal(err)
	}
	if login, err := r.Login(t.Context()); err != nil || login != "alice" {
		t.Error(login, err)
	}
	if repos, err := r.Repositories(t.Context()); err != nil || len(repos) != 1 || repos[0].FullName != repoName || repos[0].ID == 0 {
		t.Error(repos, err)
	}
	for repo, want := range map[string]bool{repoName: true, "octo/second": true, "other/private": false, "octo/none": false, "nonsense": false} {
		if got, err := r.CanRead(t.Context(), repo); err != nil || (got != 0) != want {
			t.Errorf("%s: %v, %v", repo, got, err)
		}
	}
	w.gh.Withdraw()
	if _, err := r.CanRead(t.Context(), repoName); !errors.Is(err, githubapp.ErrSignedOut) {
		t.Errorf("withdrawn: %v", err)
	}
}

func TestSignInRefused(t *testing.T) {
	w := newPeople(t)
	sum := sha256.Sum256([]byte("verifier"))
	q := w.authorize(t, w.app.SignInURL(callback, "s", base64.RawURLEncoding.EncodeToString(sum[:])))
	if _, _, err := w.app.UserToken(t.Context(), q.Get("code"), callback, "another"); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("another verifier: %v", err)
	}
	w.gh.SetPerson(nil)
	if q := w.authorize(t, w.app.SignInURL(callback, "s", "c")); q.Get("error") != "access_denied" {
		t.Errorf("%v", q)
	}
}

func TestPublic(t *testing.T) {
	w := newPeople(t)
	for repo, want := range map[string]bool{repoName: false, "octo/second": true} {
		if public, branch, err := w.app.Repo(w.installation, repo).Public(t.Context()); err != nil || public != want || branch != "main" {
			t.Error(repo, public, branch, err)
		}
	}
}
