package agent

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// access decides who may do what. A request is made by a program, which sends
// the token, or by a person, who has signed in: with a name of the users file,
// or, without such a file, with the token. With neither token nor users
// everybody may do everything, which is why such an agent answers on loopback
// addresses only.
type access struct {
	open     bool // neither token nor users
	token    [sha256.Size]byte
	hasToken bool
	users    *userFile // nil: none
	cross    *http.CrossOriginProtection
	work     chan struct{} // bounds how many passwords are compared at once

	mu       sync.Mutex
	lent     map[[sha256.Size]byte]bool // tokens of jobs that run
	sessions map[[sha256.Size]byte]*session
	tries    map[netip.Prefix]*tries
}

// session is somebody who has signed in. The map's key is the sum of what
// their cookie holds.
type session struct {
	name string
	hash []byte // of their password; nil: signed in with the token
	ends time.Time
}

// tries is how often somebody tried to sign in lately.
type tries struct {
	left  int
	since time.Time
}

// cookieName is of the session's cookie.
const cookieName = "sparky_session"

func newAccess(token string, users *userFile) *access {
	return &access{
		open: token == "" && users == nil, token: sha256.Sum256([]byte(token)), hasToken: token != "", users: users,
		cross: http.NewCrossOriginProtection(), work: make(chan struct{}, 2),
		lent: map[[sha256.Size]byte]bool{}, sessions: map[[sha256.Size]byte]*session{}, tries: map[netip.Prefix]*tries{},
	}
}

// isToken compares sums of fixed length, so that the time it takes tells
// nothing about the token.
func (c *access) isToken(text string) bool {
	sum := sha256.Sum256([]byte(text))
	return c.hasToken && subtle.ConstantTimeCompare(sum[:], c.token[:]) == 1
}

// lend returns a token that is good until revoke is called. Other users of the
// machine can see it in the arguments of a sparrowfile's processes.
func (c *access) lend() (token string, revoke func()) {
	token = rand.Text()
	sum := sha256.Sum256([]byte(token))
	c.mu.Lock()
	c.lent[sum] = true
	c.mu.Unlock()
	return token, func() {
		c.mu.Lock()
		delete(c.lent, sum)
		c.mu.Unlock()
	}
}

// allows reports whether the request may be answered.
func (c *access) allows(r *http.Request) bool {
	if text := r.Header.Get("Token"); text != "" && !c.open {
		sum := sha256.Sum256([]byte(text))
		c.mu.Lock()
		lent := c.lent[sum]
		c.mu.Unlock()
		return lent || c.isToken(text)
	}
	// Everything else may be sent by a browser that another site's page drives.
	return c.cross.Check(r) == nil && (c.open || c.session(r) != nil)
}

// session returns who has signed in, nil when nobody has.
func (c *access) session(r *http.Request) *session {
	k, err := r.Cookie(cookieName)
	if err != nil || k.Value == "" {
		return nil
	}
	sum := sha256.Sum256([]byte(k.Value))
	c.mu.Lock()
	s := c.sessions[sum]
	c.mu.Unlock()
	switch {
	case s == nil, time.Now().After(s.ends):
		return nil
	case s.hash == nil, c.users != nil && c.users.has(s.name, s.hash):
		return s
	}
	return nil // the user has gone, or has another password
}

var (
	errBadLogin  = errors.New("bad login")
	errManyTries = errors.New("too many attempts; wait a minute and try again")
)

// signIn checks what somebody gave and returns the cookie's value.
func (c *access) signIn(ctx context.Context, r *http.Request, name, password string) (value string, err error) {
	if !c.mayTry(r.RemoteAddr, time.Now()) {
		return "", errManyTries
	}
	select { // comparing takes a tenth of a second of CPU, on purpose
	case c.work <- struct{}{}:
		defer func() { <-c.work }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	s := &session{name: name, ends: time.Now().Add(sessionTime)}
	switch {
	case c.users != nil:
		if s.hash, err = c.users.check(name, password); err != nil {
			return "", err
		}
		if s.hash == nil {
			return "", errBadLogin
		}
	case c.isToken(password):
		s.name = "token"
	default:
		return "", errBadLogin
	}
	value = rand.Text()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.makeRoom()
	c.sessions[sha256.Sum256([]byte(value))] = s
	return value, nil
}

// makeRoom forgets sessions that have ended, and the one that ends first when
// there are too many. Called with mu held.
func (c *access) makeRoom() {
	now := time.Now()
	var first [sha256.Size]byte
	ends := now.Add(2 * sessionTime)
	for sum, s := range c.sessions {
		if now.After(s.ends) {
			delete(c.sessions, sum)
		} else if s.ends.Before(ends) {
			first, ends = sum, s.ends
		}
	}
	if len(c.sessions) >= maxSessions {
		delete(c.sessions, first)
	}
}

// signOut forgets the request's session.
func (c *access) signOut(r *http.Request) {
	if k, err := r.Cookie(cookieName); err == nil {
		c.mu.Lock()
		delete(c.sessions, sha256.Sum256([]byte(k.Value)))
		c.mu.Unlock()
	}
}

// mayTry counts an attempt to sign in from the address: maxTries at once, and
// one more every tryPause.
func (c *access) mayTry(addr string, now time.Time) bool {
	net := network(addr)
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.tries[net]
	if t == nil {
		if len(c.tries) >= maxSessions { // the rest have their tries back soon
			for n, t := range c.tries {
				if now.Sub(t.since) > maxTries*tryPause {
					delete(c.tries, n)
				}
			}
		}
		if len(c.tries) >= maxSessions {
			return false
		}
		t = &tries{left: maxTries, since: now}
		c.tries[net] = t
	}
	if n := int(now.Sub(t.since) / tryPause); n > 0 {
		t.left, t.since = min(maxTries, t.left+n), t.since.Add(time.Duration(n)*tryPause)
	}
	if t.left == 0 {
		return false
	}
	t.left--
	return true
}

// network returns the address that a client can hardly change: IPv6 hosts
// have a /64 each.
func network(addr string) netip.Prefix {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Prefix{} // all that have none share one
	}
	ip = ip.Unmap().WithZone("")
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
