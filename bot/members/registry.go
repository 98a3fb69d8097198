package members

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/tunnel"
)

// Pool is one that hosts join by themselves.
type Pool struct {
	Name     string
	JoinKey  []byte   // of one-time tokens; empty: there are none
	JoinSums []string // of tokens that are used again; see [Sum]
	Revoked  []string // names of hosts that are not let in
	Max      int      // members
}

// Config is what a Registry needs.
type Config struct {
	Pools []Pool
	Store *store.Store
	// Place is told which hosts there are.
	Place  *flow.Pools
	Logger *slog.Logger
}

// Registry is the members that are connected to this process. It is safe for
// several goroutines.
type Registry struct {
	cfg   Config
	pools map[string]*Pool
	dials chan struct{}

	ctx   context.Context //nolint:containedctx // of connections, which outlast their requests: done when closed
	close context.CancelCauseFunc
	tasks sync.WaitGroup

	mu       sync.Mutex
	replicas []string
	members  map[string]*member // by URL
	closed   bool
}

// member is a host that is connected, or was until a moment ago.
type member struct {
	pool, name, url string
	credential      string       // its sum
	link            *tunnel.Link // nil: the connection has ended
	slots           int          // that this process may use now
	generation      int64        // of its place among cfg.Place
	grace           *time.Timer  // until it is gone
}

var errClosing = errors.New("this replica of the App ends")

// New returns a Registry without members. Run keeps it up to date.
func New(cfg Config) *Registry {
	ctx, cancel := context.WithCancelCause(context.Background())
	r := &Registry{
		cfg: cfg, pools: map[string]*Pool{}, dials: make(chan struct{}, maxDials), ctx: ctx, close: cancel,
		replicas: []string{cfg.Store.Replica()}, members: map[string]*member{},
	}
	for i := range cfg.Pools {
		r.pools[cfg.Pools[i].Name] = &cfg.Pools[i]
	}
	return r
}

// Close ends all connections: the hosts go to other replicas, or come back to
// the next process. Runs are to be let go of before.
func (r *Registry) Close() {
	r.mu.Lock()
	r.closed = true
	var links []*tunnel.Link
	for _, m := range r.members {
		if m.link != nil {
			links = append(links, m.link)
		}
		if m.grace != nil {
			m.grace.Stop()
		}
	}
	r.mu.Unlock()
	r.close(errClosing)
	for _, l := range links {
		l.Close(errClosing)
	}
	r.tasks.Wait()
}

// Handle adds the paths of agents to a mux.
func (r *Registry) Handle(mux *http.ServeMux) {
	mux.HandleFunc("POST "+tunnel.JoinPath, r.join)
	mux.HandleFunc("GET "+tunnel.ConnectPath, r.connect)
}

// PoolOf returns the pool of a member's URL, "" for the URL of another host.
func (r *Registry) PoolOf(url string) string {
	host, ok := strings.CutPrefix(url, sparky.AgentScheme+"://")
	i := strings.LastIndexByte(host, '.')
	if !ok || i < 0 || r.pools[host[i+1:]] == nil {
		return ""
	}
	return host[i+1:]
}

// Host returns how a member is reached: through the connection that it has
// when it is asked for something.
func (r *Registry) Host(url string) (sparky.HostConfig, error) {
	pool := r.PoolOf(url)
	if pool == "" {
		return sparky.HostConfig{}, fmt.Errorf("host %s is in no pool that hosts join", url)
	}
	name := strings.TrimSuffix(strings.TrimPrefix(url, sparky.AgentScheme+"://"), "."+pool)
	return sparky.HostConfig{URL: url, Name: name, Transport: transport{r, url}}, nil
}

// transport asks a member through whichever connection it has.
type transport struct {
	r   *Registry
	url string
}

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	t.r.mu.Lock()
	var link *tunnel.Link
	if m := t.r.members[t.url]; m != nil {
		link = m.link
	}
	t.r.mu.Unlock()
	if link == nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, errors.New("the host is not connected")
	}
	return link.RoundTrip(req)
}

// enter makes a host with a new connection a member; false: this process ends.
func (r *Registry) enter(link *tunnel.Link, credential string) (*member, bool) {
	h := link.Hello
	url := tunnel.URL(h.Pool, h.Name)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, false
	}
	r.tasks.Add(1)
	m := r.members[url]
	if m == nil {
		m = &member{pool: h.Pool, name: h.Name, url: url}
		r.members[url] = m
	}
	if m.grace != nil {
		m.grace.Stop()
		m.grace = nil
	}
	if old := m.link; old != nil {
		go old.Close(errors.New("the host has connected again"))
	}
	m.link, m.credential, m.slots = link, credential, h.Slots
	m.generation = r.cfg.Place.Add(m.pool, flow.Member{URL: url, Slots: m.slots, Labels: h.Labels})
	return m, true
}

// saw takes note of a member's state. Called without mu.
func (r *Registry) saw(m *member, link *tunnel.Link, s tunnel.State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.link == link {
		r.cfg.Place.Drain(m.url, s.Draining)
	}
}

// lost takes note that a connection has ended: its host gets no more jobs, and
// is gone after Grace, or at once when it has said so.
func (r *Registry) lost(m *member, link *tunnel.Link) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.link != link {
		return // there is a newer one
	}
	m.link = nil
	r.cfg.Place.Drain(m.url, true)
	switch {
	case link.State().Leaving:
		r.forget(m)
	case !r.closed:
		m.grace = time.AfterFunc(Grace, func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			if m.link == nil && r.members[m.url] == m {
				r.cfg.Logger.Warn("host of a pool is gone", "pool", m.pool, "host", m.name)
				r.forget(m)
			}
		})
	}
}

// forget takes a member out of its pool. Called with mu held.
func (r *Registry) forget(m *member) {
	delete(r.members, m.url)
	r.cfg.Place.Remove(m.pool, m.url, m.generation)
	r.cfg.Place.Drain(m.url, false)
}

// Run keeps the database and the list of replicas up to date until ctx is done.
func (r *Registry) Run(ctx context.Context) {
	r.revoke(ctx)
	tick := time.NewTicker(syncInterval)
	defer tick.Stop()
	var pruned time.Time
	for {
		if err := r.sync(ctx); err != nil && ctx.Err() == nil {
			r.cfg.Logger.Warn("members not kept", "error", err)
		}
		if time.Since(pruned) >= pruneInterval {
			pruned = time.Now()
			if err := r.cfg.Store.PruneMembers(ctx); err != nil && ctx.Err() == nil {
				r.cfg.Logger.Warn("members not pruned", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// revoke forgets the hosts that the configuration does not let in any more.
func (r *Registry) revoke(ctx context.Context) {
	for _, p := range r.cfg.Pools {
		for _, name := range p.Revoked {
			if err := r.cfg.Store.LeaveMember(ctx, p.Name, name, true); err != nil {
				r.cfg.Logger.Warn("host not revoked; it is not let in", "pool", p.Name, "host", name, "error", err)
			}
		}
	}
}

// sync tells the database who is connected, and looks for other replicas.
func (r *Registry) sync(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	replicas, err := r.cfg.Store.Replicas(ctx)
	if err == nil && len(replicas) > 0 {
		r.mu.Lock()
		r.replicas = replicas
		r.mu.Unlock()
	}
	if len(replicas) > 1 {
		r.share()
	}
	return errors.Join(err, r.cfg.Store.SeeMembers(ctx, r.connected()))
}

func (r *Registry) connected() []store.Member {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []store.Member
	for _, m := range r.members {
		if m.link == nil {
			continue
		}
		s, h := m.link.State(), m.link.Hello
		list = append(list, store.Member{
			Pool: m.pool, Name: m.name, Credential: m.credential, Labels: h.Labels, Slots: h.Slots, Version: h.Version,
			Draining: s.Draining, Running: s.Running, Queued: s.Queued,
		})
	}
	// Replicas write in one order, so that none waits for another in a circle.
	slices.SortFunc(list, func(a, b store.Member) int { return strings.Compare(a.Pool+"/"+a.Name, b.Pool+"/"+b.Name) })
	return list
}

// share leaves the slots of members to other replicas that have jobs there. At
// least one is kept: the host's own queue is what bounds it.
func (r *Registry) share() {
	used := map[string]int{}
	for _, h := range r.cfg.Place.Hosts() {
		used[h.URL] = h.Used
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.members {
		if m.link == nil {
			continue
		}
		s, h := m.link.State(), m.link.Hello
		others := max(0, s.Running+s.Queued-used[m.url])
		if slots := max(1, h.Slots-others); slots != m.slots {
			m.slots = slots
			m.generation = r.cfg.Place.Add(m.pool, flow.Member{URL: m.url, Slots: slots, Labels: h.Labels})
		}
	}
}

func (r *Registry) names() tunnel.Replicas {
	r.mu.Lock()
	defer r.mu.Unlock()
	return tunnel.Replicas{Self: r.cfg.Store.Replica(), All: r.replicas}
}
