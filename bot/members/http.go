package members

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/sparky/tunnel"
)

// bearer returns the secret of a request; "" when there is none to look at.
func bearer(r *http.Request) string {
	values := r.Header.Values("Authorization")
	if len(values) != 1 || len(values[0]) > maxToken {
		return ""
	}
	secret, _ := strings.CutPrefix(values[0], "Bearer ")
	return secret
}

// begin takes one of the dials that may be checked at a time.
func (r *Registry) begin(w http.ResponseWriter) bool {
	select {
	case r.dials <- struct{}{}:
		return true
	default:
		w.Header().Set("Retry-After", "1")
		tunnel.Refuse(w, http.StatusServiceUnavailable, r.names(), "too many agents come at once")
		return false
	}
}

// join makes a host a member of a pool: see [tunnel.Join].
func (r *Registry) join(w http.ResponseWriter, req *http.Request) {
	if !r.begin(w) {
		return
	}
	defer func() { <-r.dials }()
	var body tunnel.JoinRequest
	data, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxJoin))
	if err == nil {
		err = json.Unmarshal(data, &body)
	}
	if err == nil {
		err = body.Check()
	}
	if err != nil {
		tunnel.Refuse(w, http.StatusBadRequest, r.names(), "join: "+err.Error())
		return
	}
	pool := r.pools[body.Pool]
	if pool == nil {
		pool = &Pool{} // no token is one of it, and it takes as long to say so
	}
	claims, err := pool.checkToken(bearer(req), time.Now())
	switch {
	case err != nil:
		tunnel.Refuse(w, http.StatusUnauthorized, r.names(), err.Error())
		return
	case slices.Contains(pool.Revoked, body.Name):
		tunnel.Refuse(w, http.StatusForbidden, r.names(), "the configuration of the App has revoked this host")
		return
	}
	j := store.Join{Pool: body.Pool, Name: body.Name, Credential: body.CredentialSHA256, Max: pool.Max}
	if claims != nil {
		j.Token, j.Expires = claims.ID, time.Unix(claims.Expires, 0)
	}
	ctx, cancel := context.WithTimeout(req.Context(), storeTime)
	defer cancel()
	switch err := r.cfg.Store.JoinMember(ctx, j); {
	case err == nil:
		r.cfg.Logger.Info("host has joined", "pool", body.Pool, "host", body.Name, "one_time", claims != nil)
		replicas := r.names()
		tunnel.Known(w, replicas)
	case errors.Is(err, store.ErrSpent):
		tunnel.Refuse(w, http.StatusUnauthorized, r.names(), "the token was used already; make another with cromt token")
	case errors.Is(err, store.ErrNameTaken):
		tunnel.Refuse(w, http.StatusConflict, r.names(), "another host of that name is connected; give this one another with --name")
	case errors.Is(err, store.ErrPoolFull):
		tunnel.Refuse(w, http.StatusConflict, r.names(), "the pool is full; see max_members")
	default:
		r.cfg.Logger.Error("host has not joined", "error", err)
		tunnel.Refuse(w, http.StatusServiceUnavailable, r.names(), "the database does not answer")
	}
}

// connect takes the connection of a member, and keeps it until it ends.
func (r *Registry) connect(w http.ResponseWriter, req *http.Request) {
	link, credential := r.admit(w, req)
	if link == nil {
		return
	}
	m, ok := r.enter(link, credential)
	if !ok {
		link.Close(errClosing)
		return
	}
	defer r.tasks.Done()
	log := r.cfg.Logger.With("pool", m.pool, "host", m.name)
	log.Info("host is connected", "slots", link.Hello.Slots, "labels", link.Hello.Labels, "version", link.Hello.Version)
	err := link.Watch(r.ctx, r.names, func(s tunnel.State) { r.saw(m, link, s) })
	r.lost(m, link)
	if !link.State().Leaving {
		log.Info("connection of a host has ended", "error", err)
		return
	}
	log.Info("host has left")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(req.Context()), storeTime)
	defer cancel()
	if err := r.cfg.Store.LeaveMember(ctx, m.pool, m.name, false); err != nil {
		log.Warn("host that has left is not forgotten yet", "error", err)
	}
}

// admit checks who wants to connect. It answers itself whom it does not take.
func (r *Registry) admit(w http.ResponseWriter, req *http.Request) (link *tunnel.Link, credential string) {
	if !r.begin(w) {
		return nil, ""
	}
	defer func() { <-r.dials }()
	if r.ctx.Err() != nil {
		tunnel.Refuse(w, http.StatusServiceUnavailable, r.names(), errClosing.Error())
		return nil, ""
	}
	if !tunnel.Upgrading(w, req) {
		return nil, ""
	}
	hello, err := tunnel.ReadHello(req)
	if err != nil {
		tunnel.Refuse(w, http.StatusBadRequest, r.names(), err.Error())
		return nil, ""
	}
	ctx, cancel := context.WithTimeout(req.Context(), storeTime)
	defer cancel()
	known, err := r.cfg.Store.Member(ctx, hello.Pool, hello.Name)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		r.cfg.Logger.Error("host not connected", "error", err)
		tunnel.Refuse(w, http.StatusServiceUnavailable, r.names(), "the database does not answer")
		return nil, ""
	}
	want := strings.Repeat("0", 64) // nobody's
	if known != nil {
		want = known.Credential
	}
	credential = Sum(bearer(req))
	pool := r.pools[hello.Pool]
	if subtle.ConstantTimeCompare([]byte(credential), []byte(want)) != 1 || pool == nil {
		tunnel.Refuse(w, http.StatusUnauthorized, r.names(), "the credential is not that of a member; join with a new token")
		return nil, ""
	}
	if slices.Contains(pool.Revoked, hello.Name) {
		tunnel.Refuse(w, http.StatusForbidden, r.names(), "the configuration of the App has revoked this host")
		return nil, ""
	}
	if slices.Contains(hello.Connected, r.cfg.Store.Replica()) && r.has(hello) {
		tunnel.Known(w, r.names())
		return nil, ""
	}
	if link, err = tunnel.Accept(w, hello, r.names()); err != nil {
		r.cfg.Logger.Warn("host not connected", "pool", hello.Pool, "host", hello.Name, "error", err)
		return nil, ""
	}
	return link, credential
}

// has reports whether that process of the host is connected.
func (r *Registry) has(h *tunnel.Hello) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.members[tunnel.URL(h.Pool, h.Name)]
	return m != nil && m.link != nil && m.link.Err() == nil && m.link.Hello.Instance == h.Instance
}
