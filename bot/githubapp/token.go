package githubapp

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/bradleyfalzon/ghinstallation/v2"
	"github.com/google/go-github/v60/github"

	"github.com/cromt/cromt/bot/checks"
)

// tokens are those of an installation for one repository and one set of
// permissions, one after the other. It signs requests in with them.
type tokens struct {
	app          *App
	installation int64
	repo         string // owner/name; "": all of the installation
	permissions  *github.InstallationPermissions

	turn    chan struct{} // held by who reads or changes what is below
	secret  string
	minted  time.Time
	expires time.Time
}

func (a *App) newTokens(installation int64, repo string, p *github.InstallationPermissions) *tokens {
	return &tokens{app: a, installation: installation, repo: repo, permissions: p, turn: make(chan struct{}, 1)}
}

// get returns a token that is younger than maxAge, 0 for any age, and when it
// expires.
func (t *tokens) get(ctx context.Context, maxAge time.Duration) (string, time.Time, error) {
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return "", time.Time{}, ctx.Err()
	}
	now := time.Now()
	if t.secret != "" && now.Add(tokenMargin).Before(t.expires) && (maxAge == 0 || now.Sub(t.minted) < maxAge) {
		return t.secret, t.expires, nil
	}
	if err := t.mint(ctx); err != nil {
		return "", time.Time{}, t.explain(ctx, err)
	}
	return t.secret, t.expires, nil
}

// reject forgets a token that GitHub did not take, and reports whether another
// one is worth a try: a fresh one would fare no better.
func (t *tokens) reject(secret string) bool {
	t.turn <- struct{}{}
	defer func() { <-t.turn }()
	if subtle.ConstantTimeCompare([]byte(t.secret), []byte(secret)) != 1 {
		return true // somebody has minted another one
	}
	if time.Since(t.minted) < rejectedAge {
		return false
	}
	t.secret = ""
	return true
}

// mint makes a token.
func (t *tokens) mint(ctx context.Context) error {
	o := &github.InstallationTokenOptions{Permissions: t.permissions}
	_, name, _ := strings.Cut(t.repo, "/")
	if t.repo != "" {
		o.Repositories = []string{name}
	}
	var secret string
	var expires time.Time
	var tr *ghinstallation.Transport
	err := t.app.app.Do(ctx, checks.Write, func(ctx context.Context) (err error) {
		tr = ghinstallation.NewFromAppsTransport(t.app.signing(), t.installation)
		tr.InstallationTokenOptions = o
		if secret, err = tr.Token(ctx); err != nil {
			return answered(err)
		}
		expires, _, err = tr.Expiry()
		return err
	})
	if err == nil && (secret == "" || !time.Now().Before(expires)) {
		err = checks.Permanent(errors.New("the answer has no token that is good for a while; is this machine's clock right?"))
	}
	if err == nil {
		err = t.check(tr)
	}
	if err != nil {
		return err
	}
	t.secret, t.minted, t.expires = secret, time.Now(), expires
	t.app.log.Debug("token minted", "installation", t.installation, "repository", t.repo, "expires", expires)
	return nil
}

// check refuses a token for another repository of that name: an installation
// is asked by the name alone, without the owner.
func (t *tokens) check(tr *ghinstallation.Transport) error {
	if t.repo == "" {
		return nil
	}
	repos, err := tr.Repositories()
	if err != nil {
		return err
	}
	if len(repos) != 1 || !strings.EqualFold(repos[0].GetFullName(), t.repo) {
		return told{checks.Permanent(fmt.Errorf("installation %d is not one of the owner of %s", t.installation, t.repo)), ErrGone}
	}
	return nil
}

// answered is the error of an answer in go-github's form, which says what
// GitHub said and how long it wants to be left alone.
func answered(err error) error {
	var e *ghinstallation.HTTPError
	if !errors.As(err, &e) || e.Response == nil {
		return err
	}
	defer e.Response.Body.Close()
	e.Response.Body = io.NopCloser(io.LimitReader(e.Response.Body, maxAnswer))
	if said := github.CheckResponse(e.Response); said != nil {
		return said
	}
	return err
}

// explain says why there is no token, and what to do about it.
func (t *tokens) explain(ctx context.Context, err error) error {
	what := "token for " + orDefault(t.repo, "the repositories") + fmt.Sprintf(" of installation %d", t.installation)
	said := checks.MessageOf(err)
	switch s := checks.StatusOf(err); {
	case errors.Is(err, ErrGone): // it says so
	case s == http.StatusNotFound:
		err = told{checks.Explained(err, "the App is not installed there any more (404 "+said+")"), ErrGone}
	case isSuspended(err):
		err = told{t.app.app.Explain(err, needMetadata), ErrSuspended}
	case s == http.StatusUnprocessableEntity && strings.Contains(said, "ermission"):
		err = checks.Explained(err, t.missing(ctx, said))
	case s == http.StatusUnprocessableEntity:
		text := "the repository is gone, has another name or was taken out of the App's installation: " + said
		err = told{checks.Explained(err, text), ErrGone}
	default:
		err = t.app.app.Explain(err, needMetadata)
	}
	return checks.Explained(err, what+": "+err.Error())
}

// missing says which permissions an installation has not been given.
func (t *tokens) missing(ctx context.Context, said string) string {
	in, err := t.app.installation(ctx, t.installation)
	if err != nil {
		return "the installation lacks a permission: " + said
	}
	var lacks []string
	want := permissions(t.permissions)
	for _, p := range slices.Sorted(maps.Keys(want)) {
		if has := in.Permissions[p]; has != want[p] && has != "write" && has != "admin" {
			lacks = append(lacks, "`"+p+": "+want[p]+"`")
		}
	}
	if len(lacks) == 0 {
		return "the installation lacks a permission: " + said
	}
	return fmt.Sprintf("the installation lacks the permission %s: give it to the App in its settings, and have %s accept it at %s", strings.Join(lacks, " and "), in.Account, in.Page)
}

// permissions are those of p by GitHub's names.
func permissions(p *github.InstallationPermissions) map[string]string {
	m := map[string]string{}
	if b, err := json.Marshal(p); err == nil && p != nil {
		_ = json.Unmarshal(b, &m) // all are strings
	}
	return m
}

// RoundTrip signs a request in, and once more with another token where GitHub
// does not take one that has been good.
func (t *tokens) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host != t.app.api.Host {
		return t.app.plain.RoundTrip(req)
	}
	resp, secret, err := t.send(req)
	if err != nil || resp.StatusCode != http.StatusUnauthorized || req.Body != nil && req.GetBody == nil || !t.reject(secret) {
		return resp, err
	}
	again := req.Clone(req.Context())
	if req.GetBody != nil {
		if again.Body, err = req.GetBody(); err != nil {
			return resp, nil //nolint:nilerr // the first answer is one
		}
	}
	resp.Body.Close()
	resp, _, err = t.send(again)
	return resp, err
}

func (t *tokens) send(req *http.Request) (*http.Response, string, error) {
	secret, _, err := t.get(req.Context(), 0)
	if err != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, "", err
	}
	signed := req.Clone(req.Context())
	signed.Header.Set("Authorization", "Bearer "+secret)
	resp, err := t.app.plain.RoundTrip(signed)
	return resp, secret, err
}
