package web

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// callbackPath is where GitHub sends people back to: the App's settings have
// it as a callback URL.
const callbackPath = "/signin/callback"

// signIn sends a person to GitHub.
func (p *pages) signIn(w http.ResponseWriter, r *http.Request) {
	if !p.GitHub.HasSignIn() {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	a := attempt{State: random(), Verifier: random(), Next: localPath(r.FormValue("next")), Expires: time.Now().Add(signInLife)}
	if err := p.setCookie(w, attemptCookie, a, signInLife); err != nil {
		p.fail(w, r, nil, err)
		return
	}
	sum := sha256.Sum256([]byte(a.Verifier))
	http.Redirect(w, r, p.GitHub.SignInURL(p.PublicURL+callbackPath, a.State, base64.RawURLEncoding.EncodeToString(sum[:])), http.StatusSeeOther)
}

// signedIn is where a person comes back to from GitHub.
func (p *pages) signedIn(w http.ResponseWriter, r *http.Request) {
	var a attempt
	err := p.cookie(r, attemptCookie, &a)
	_ = p.setCookie(w, attemptCookie, nil, 0)
	state := subtle.ConstantTimeCompare([]byte(r.FormValue("state")), []byte(a.State)) == 1
	switch {
	case !p.GitHub.HasSignIn():
		p.fail(w, r, nil, errNotFound)
		return
	case err != nil || !state || !time.Now().Before(a.Expires):
		p.fail(w, r, nil, &problem{http.StatusBadRequest, "This sign-in was not begun here, or took too long.", "Try again; if it stays like this, let the browser keep cookies."})
		return
	case r.FormValue("code") == "":
		p.fail(w, r, nil, &problem{http.StatusForbidden, "GitHub has not signed you in.", "It says " + plainWord(r.FormValue("error")) + "."})
		return
	}
	s, err := p.exchange(r.Context(), r.FormValue("code"), a.Verifier)
	if err != nil {
		p.Logger.Warn("sign in", "error", err)
		p.fail(w, r, nil, &problem{http.StatusBadGateway, "GitHub has not confirmed who you are.", "Try again in a moment."})
		return
	}
	if err := p.setCookie(w, sessionCookie, s, time.Until(s.Expires)); err != nil {
		p.fail(w, r, nil, err)
		return
	}
	http.Redirect(w, r, localPath(a.Next), http.StatusSeeOther)
}

// exchange turns a code into a session.
func (p *pages) exchange(ctx context.Context, code, verifier string) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, githubTime)
	defer cancel()
	token, expires, err := p.GitHub.UserToken(ctx, code, p.PublicURL+callbackPath, verifier)
	if err != nil {
		return nil, err
	}
	person, err := p.GitHub.Reader(token)
	if err != nil {
		return nil, err
	}
	login, err := person.Login(ctx)
	if err != nil {
		return nil, err
	}
	if end := time.Now().Add(sessionLife); expires.IsZero() || expires.After(end) {
		expires = end
	}
	return &session{Login: login, Token: token, Expires: expires}, nil
}

// signOut ends a session.
func (p *pages) signOut(w http.ResponseWriter, r *http.Request) {
	_ = p.setCookie(w, sessionCookie, nil, 0)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// localPath is s if it is a path of these pages, and else that of the first
// one: nobody is sent elsewhere.
func localPath(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.IsAbs() || u.Host != "" || u.User != nil || !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") ||
		strings.ContainsAny(s, "\\\r\n\t") || strings.HasPrefix(u.Path, "/signin") {
		return "/"
	}
	return s
}

// plainWord is one word of a stranger's, for a sentence.
func plainWord(s string) string {
	s = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r == '_' {
			return r
		}
		return -1
	}, s)
	if s == "" {
		return "nothing more"
	}
	return s[:min(len(s), 40)]
}
