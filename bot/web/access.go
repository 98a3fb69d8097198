package web

import (
	"context"
	"crypto/sha256"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/cromt/cromt/bot/githubapp"
)

// reader is whom a page is for.
type reader struct {
	login  string
	id     string  // tells readers apart
	access *access // nil: it may read everything
}

// access is what a reader may read, as GitHub has said lately.
type access struct {
	person  *githubapp.Reader
	turn    chan struct{} // held by who asks GitHub
	listed  time.Time
	repos   []string
	checked *cache[string, bool] // by name in lower case
}

// accessCache keeps that of the last readers.
type accessCache struct{ *cache[[32]byte, *access] }

func newAccessCache() *accessCache { return &accessCache{newCache[[32]byte, *access](maxReaders)} }

// errSignIn and errClosed are for a request of which is not known whose it is.
var (
	errSignIn = errors.New("sign in first")
	errClosed = errors.New("nobody can sign in")
)

// reader returns whom a page is for.
func (p *pages) reader(r *http.Request) (*reader, error) {
	if !p.GitHub.HasSignIn() {
		if !p.isLocal(r) {
			return nil, errClosed
		}
		return &reader{id: "local"}, nil
	}
	s := p.session(r)
	if s == nil {
		return nil, errSignIn
	}
	key := sha256.Sum256([]byte(s.Token))
	a, ok := p.access.get(key, time.Time{})
	if !ok {
		person, err := p.GitHub.Reader(s.Token)
		if err != nil {
			return nil, err
		}
		a = &access{person: person, turn: make(chan struct{}, 1), checked: newCache[string, bool](maxChecked)}
	}
	p.access.put(key, a, time.Now())
	return &reader{login: s.Login, id: s.Login, access: a}, nil
}

// isLocal reports whether a request comes from this machine, to a name of this
// machine, and through nobody else. A page of another site that has its name
// resolve to this machine sends its own name.
func (p *pages) isLocal(r *http.Request) bool {
	public, err := url.Parse(p.PublicURL)
	if err != nil || !isLoopback(public.Hostname()) {
		return false
	}
	for _, h := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Via"} {
		if r.Header.Get(h) != "" {
			return false
		}
	}
	remote, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil || !isLoopback(remote) {
		return false
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = strings.Trim(r.Host, "[]")
	}
	return isLoopback(host)
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.Unmap().IsLoopback()
}

// repos returns the repositories in a reader's lists; nil: all.
func (rd *reader) repos(ctx context.Context) ([]string, error) {
	a := rd.access
	if a == nil {
		return nil, nil
	}
	if err := a.lock(ctx); err != nil {
		return nil, err
	}
	defer a.unlock()
	if time.Since(a.listed) < accessAge {
		return a.repos, nil
	}
	ctx, cancel := context.WithTimeout(ctx, githubTime)
	defer cancel()
	repos, err := a.person.Repositories(ctx)
	if err != nil {
		return nil, err
	}
	if repos == nil {
		repos = []string{} // none, not all
	}
	a.repos, a.listed = repos, time.Now()
	return repos, nil
}

func (a *access) lock(ctx context.Context) error {
	select {
	case a.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *access) unlock() { <-a.turn }

// canRead reports whether a reader may see what there is of a repository.
func (rd *reader) canRead(ctx context.Context, repo string) (bool, error) {
	a := rd.access
	if a == nil {
		return true, nil
	}
	if err := a.lock(ctx); err != nil {
		return false, err
	}
	defer a.unlock()
	same := func(r string) bool { return strings.EqualFold(r, repo) }
	if time.Since(a.listed) < accessAge && slices.ContainsFunc(a.repos, same) {
		return true, nil
	}
	key := strings.ToLower(repo)
	if ok, known := a.checked.get(key, time.Now().Add(-accessAge)); known {
		return ok, nil
	}
	ctx, cancel := context.WithTimeout(ctx, githubTime)
	defer cancel()
	ok, err := a.person.CanRead(ctx, repo)
	if err == nil {
		a.checked.put(key, ok, time.Now())
	}
	return ok, err
}
