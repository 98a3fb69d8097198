package web

import (
	"context"
	"crypto/sha256"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
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
	ids     map[string]int64      // of repos, by name in lower case
	checked *cache[string, int64] // the same of others; 0: may not be read
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
		a = &access{person: person, turn: make(chan struct{}, 1), checked: newCache[string, int64](maxChecked)}
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
	a.repos, a.ids, a.listed = []string{}, map[string]int64{}, time.Now() // none, not all
	for _, r := range repos {
		a.repos = append(a.repos, r.FullName)
		a.ids[strings.ToLower(r.FullName)] = r.ID
	}
	return a.repos, nil
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

// canRead reports whether a reader may see what there is of a repository. id is
// GitHub's, 0 for one that is not known: another repository may have got the
// name, whose readers are others.
func (rd *reader) canRead(ctx context.Context, repo string, id int64) (bool, error) {
	a := rd.access
	if a == nil {
		return true, nil
	}
	if err := a.lock(ctx); err != nil {
		return false, err
	}
	defer a.unlock()
	now, err := a.idOf(ctx, strings.ToLower(repo))
	return now != 0 && (id == 0 || id == now), err
}

// idOf is the id of the repository that has a name now, 0 if it may not be
// read.
func (a *access) idOf(ctx context.Context, repo string) (int64, error) {
	if id := a.ids[repo]; id != 0 && time.Since(a.listed) < accessAge {
		return id, nil
	}
	if id, known := a.checked.get(repo, time.Now().Add(-accessAge)); known {
		return id, nil
	}
	ctx, cancel := context.WithTimeout(ctx, githubTime)
	defer cancel()
	id, err := a.person.CanRead(ctx, repo)
	if err == nil {
		a.checked.put(repo, id, time.Now())
	}
	return id, err
}
