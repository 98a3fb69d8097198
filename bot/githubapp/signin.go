package githubapp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/cromt/cromt/bot/checks"
)

// ErrSignedOut is wrapped by errors for a person's token that GitHub does not
// take any more: it has expired, or the person has withdrawn it.
var ErrSignedOut = errors.New("signed out")

// HasSignIn reports whether people can sign in: whether the App's client ID
// and secret are known.
func (a *App) HasSignIn() bool { return a.clientID != "" && a.secret != "" }

// SignInURL is where a person is sent to sign in. GitHub sends them back to
// redirect, with state and a code for UserToken. challenge is that of PKCE, the
// SHA-256 of the verifier in unpadded base64url. See
// https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-user-access-token-for-a-github-app.
func (a *App) SignInURL(redirect, state, challenge string) string {
	q := url.Values{
		"client_id": {a.clientID}, "redirect_uri": {redirect}, "state": {state}, "code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}
	return a.web.String() + "/login/oauth/authorize?" + q.Encode()
}

// UserToken exchanges the code that a person came back with for a token that
// can do what both the person and the App can. expires is zero where GitHub
// lets it live until it is withdrawn.
func (a *App) UserToken(ctx context.Context, code, redirect, verifier string) (token string, expires time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, signInTimeout)
	defer cancel()
	q := url.Values{
		"client_id": {a.clientID}, "client_secret": {a.secret}, "code": {code}, "redirect_uri": {redirect}, "code_verifier": {verifier},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.web.String()+"/login/oauth/access_token", strings.NewReader(q.Encode()))
	if err != nil {
		return "", time.Time{}, fmt.Errorf("sign in: %w", withoutURL(err))
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	c := http.Client{Transport: a.plain, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := c.Do(req)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("sign in: %w", withoutURL(err))
	}
	defer resp.Body.Close()
	var got struct {
		Token     string `json:"access_token"`
		ExpiresIn int64  `json:"expires_in"` // seconds
		Error     string `json:"error"`
		About     string `json:"error_description"`
	}
	err = json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&got)
	switch {
	case resp.StatusCode != http.StatusOK || err != nil:
		return "", time.Time{}, fmt.Errorf("sign in: GitHub answered %d instead of a token; try again", resp.StatusCode)
	case got.Token == "":
		// It answers 200 to a code that is wrong or was used.
		return "", time.Time{}, fmt.Errorf("sign in: GitHub refuses: %.100q, %.300q", got.Error, got.About)
	}
	if got.ExpiresIn > 0 {
		expires = time.Now().Add(time.Duration(got.ExpiresIn) * time.Second)
	}
	return got.Token, expires, nil
}

// Readable is a repository that a person can read.
type Readable struct {
	FullName string
	ID       int64 // which it keeps, whatever its name
}

// Reader is a person who has signed in.
type Reader struct {
	app    *App
	client *checks.Client
}

// Reader returns the person whose token it is. It sends nothing.
func (a *App) Reader(token string) (*Reader, error) {
	t := &signer{host: a.api.Host, plain: a.plain, signed: bearer{a.plain, token}}
	c, err := a.client(t, checks.NewBudget(checks.Limits{}))
	return &Reader{a, c}, err
}

// bearer signs requests in with a person's token.
type bearer struct {
	base  http.RoundTripper
	token string
}

// RoundTrip implements http.RoundTripper. It is given a copy.
func (b bearer) RoundTrip(req *http.Request) (*http.Response, error) {
	req.Header.Set("Authorization", "Bearer "+b.token)
	return b.base.RoundTrip(req)
}

// do sends a request; what is for an error.
func (r *Reader) do(ctx context.Context, what string, send func(context.Context) error) error {
	err := r.client.Do(ctx, checks.Read, send)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s: %w", what, err)
	if checks.StatusOf(err) == http.StatusUnauthorized {
		return told{err, ErrSignedOut}
	}
	return err
}

// Login returns the person's name on GitHub.
func (r *Reader) Login(ctx context.Context) (string, error) {
	var u *github.User
	err := r.do(ctx, "who signed in", func(ctx context.Context) (err error) {
		u, _, err = r.client.API().Users.Get(ctx, "")
		return err
	})
	return u.GetLogin(), err
}

// Repositories returns the repositories that have installed the App and that
// the person has been given access to; public ones of others are not among
// them. It stops at MaxReadable.
func (r *Reader) Repositories(ctx context.Context) ([]Readable, error) {
	installations, err := pages(ctx, r, "installations", func(ctx context.Context, o *github.ListOptions) ([]*github.Installation, *github.Response, error) {
		return r.client.API().Apps.ListUserInstallations(ctx, o)
	})
	if err != nil {
		return nil, err
	}
	var all []Readable
	for _, in := range installations {
		repos, err := pages(ctx, r, "repositories", func(ctx context.Context, o *github.ListOptions) ([]*github.Repository, *github.Response, error) {
			page, resp, err := r.client.API().Apps.ListUserRepos(ctx, in.GetID(), o)
			if err != nil {
				return nil, resp, err
			}
			return page.Repositories, resp, nil
		})
		if s := checks.StatusOf(err); s == http.StatusNotFound || s == http.StatusForbidden {
			continue // it was removed or suspended in between, or wants another sign-in (SAML)
		}
		if err != nil {
			return nil, err
		}
		for _, repo := range repos {
			all = append(all, Readable{repo.GetFullName(), repo.GetID()})
		}
		if len(all) >= MaxReadable {
			return all[:MaxReadable], nil
		}
	}
	return all, nil
}

// pages returns what all pages of a list hold, up to MaxReadable.
func pages[T any](ctx context.Context, r *Reader, what string, get func(context.Context, *github.ListOptions) ([]T, *github.Response, error)) ([]T, error) {
	var all []T
	o := &github.ListOptions{PerPage: pageSize, Page: 1}
	for o.Page > 0 && len(all) < MaxReadable {
		var page []T
		var resp *github.Response
		err := r.do(ctx, what, func(ctx context.Context) (err error) {
			page, resp, err = get(ctx, o)
			return err
		})
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		o.Page = resp.NextPage
	}
	return all, nil
}

// CanRead returns the id of the repository of a name if the person can read
// it, public ones included, else 0.
func (r *Reader) CanRead(ctx context.Context, fullName string) (id int64, err error) {
	owner, name, err := checks.SplitRepo(fullName)
	if err != nil {
		return 0, nil //nolint:nilerr // nobody can read what is no repository
	}
	var repo *github.Repository
	err = r.do(ctx, "repository "+fullName, func(ctx context.Context) (err error) {
		repo, _, err = r.client.API().Repositories.Get(ctx, owner, name)
		return err
	})
	switch checks.StatusOf(err) {
	case http.StatusNotFound, http.StatusForbidden, http.StatusUnavailableForLegalReasons:
		return 0, nil
	}
	// A repository that was renamed answers under its new name.
	if err != nil || !strings.EqualFold(repo.GetFullName(), fullName) {
		return 0, err
	}
	return repo.GetID(), nil
}

// Public reports whether everybody can read the repository, and names its
// default branch.
func (r *Repo) Public(ctx context.Context) (public bool, branch string, err error) {
	var repo *github.Repository
	err = r.do(ctx, checks.Read, "visibility", needMetadata, func(ctx context.Context) (err error) {
		repo, _, err = r.client.API().Repositories.Get(ctx, r.owner, r.name)
		return err
	})
	public = err == nil && repo.Private != nil && !*repo.Private && (repo.Visibility == nil || *repo.Visibility == "public")
	return public, repo.GetDefaultBranch(), err
}
