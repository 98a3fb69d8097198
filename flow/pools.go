package flow

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// PoolsConfig is what Pools need.
type PoolsConfig struct {
	// Probe asks a host whether it answers; ctx is done after ProbeTimeout.
	// Nil: a host that was taken out is put back after ProbeMin.
	Probe func(ctx context.Context, url string) error
	// Changed, when not nil, is told of every host that is taken out or put
	// back. It must return at once, and not call the Pools.
	Changed func(HostChange)
}

// HostChange says that a host was taken out of its pools, or put back.
type HostChange struct {
	URL    string
	Pools  []string // that it is in, sorted
	Out    bool     // it was taken out; false: it was put back
	Reason string   // why, when it was taken out
}

// Pools places jobs on the hosts of pools. Several runs share one, in one
// process; it is safe for several goroutines. It speaks to no host itself.
//
// A job is placed on the host with the fewest jobs for its slots that has all
// labels. When none is free it waits: the runs that wait take turns, the jobs
// of one run are first come, first served. A host that fails QuarantineAfter
// times in a row is taken out until it answers a probe.
type Pools struct {
	cfg    PoolsConfig
	ctx    context.Context //nolint:containedctx // of probes: done when closed
	cancel context.CancelFunc
	probes sync.WaitGroup

	mu         sync.Mutex
	pools      map[string]*poolState
	hosts      map[string]*poolHost // by URL
	kept       map[string]*Placement
	watchers   map[*watcher]bool
	generation int64
	clock      int64 // counts placements and orders
	closed     bool
}

// poolState is one pool.
type poolState struct {
	name    string
	members []*poolMember // in the order in which they came
	waiting []*runQueue   // the run whose turn it is first
}

// poolMember is a host as one pool has it.
type poolMember struct {
	*poolHost
	slots      int
	labels     []string
	generation int64
}

// poolHost is a host, whichever pools it is in.
type poolHost struct {
	url      string
	pools    map[*poolState]*poolMember
	held     map[*Placement]bool
	last     int64 // when it was given a job, by the clock of Pools
	failures int   // in a row
	doubt    bool  // it has not run a job since, and does answer
	pause    time.Duration
	draining bool
	out      *quarantine // nil: it is in
}

// Member is a host that joins a pool.
type Member struct {
	URL    string // without trailing slash
	Slots  int    // jobs that it may have at once; below 1 is 1
	Labels []string
}

// watcher is a run that wants to hear of some pools.
type watcher struct {
	pools []string
	tell  func(HostChange)
}

// NewPools returns Pools without any host. Close ends its probes.
func NewPools(cfg PoolsConfig) *Pools {
	ctx, cancel := context.WithCancel(context.Background())
	return &Pools{
		cfg: cfg, ctx: ctx, cancel: cancel,
		pools: make(map[string]*poolState), hosts: make(map[string]*poolHost),
		kept: make(map[string]*Placement), watchers: make(map[*watcher]bool),
	}
}

// Define adds the hosts that the pools of a file have.
func (p *Pools) Define(pools []*Pool) {
	for _, pool := range pools {
		for _, h := range pool.Hosts {
			p.Add(pool.Name, Member{URL: h.URL, Slots: h.Slots, Labels: h.Labels})
		}
	}
}

// Add has a host join a pool, or changes its slots and labels there. The
// generation that it returns is for Remove.
func (p *Pools) Add(pool string, m Member) (generation int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.generation++
	ps, h := p.pool(pool), p.host(m.URL)
	member := h.pools[ps]
	if member == nil {
		member = &poolMember{poolHost: h}
		h.pools[ps] = member
		ps.members = append(ps.members, member)
	}
	member.slots, member.labels, member.generation = max(1, m.Slots), slices.Clone(m.Labels), p.generation
	p.match(ps)
	return p.generation
}

// Remove has a host that is gone leave a pool, unless it has joined it again
// since that generation. What of its jobs has not started is placed elsewhere.
func (p *Pools) Remove(pool, url string, generation int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	ps, h := p.pool(pool), p.hosts[url]
	if h == nil || h.pools[ps] == nil || h.pools[ps].generation != generation {
		return false
	}
	member := h.pools[ps]
	delete(h.pools, ps)
	ps.members = slices.DeleteFunc(ps.members, func(m *poolMember) bool { return m == member })
	h.vacate(pool, "it has left pool "+pool)
	p.forget(h)
	return true
}

// Drain has a host get no new jobs, in none of its pools, or get them again.
// What it has goes on. A drain outlasts that the host leaves and comes back.
func (p *Pools) Drain(url string, on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.host(url)
	h.draining = on
	p.matchHost(h)
	p.forget(h)
}

// HostState is a host as it stands.
type HostState struct {
	URL      string
	Pools    []string // that it is in, sorted
	Used     int      // jobs that it has
	Draining bool
	Out      bool      // it is taken out
	Reason   string    // why
	Since    time.Time // when it was taken out
}

// Hosts returns all hosts, sorted by URL.
func (p *Pools) Hosts() []HostState {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []HostState
	for _, url := range slices.Sorted(maps.Keys(p.hosts)) {
		h := p.hosts[url]
		s := HostState{URL: url, Pools: h.poolNames(), Used: len(h.held), Draining: h.draining}
		if h.out != nil {
			s.Out, s.Reason, s.Since = true, h.out.reason, h.out.since
		}
		list = append(list, s)
	}
	return list
}

// Quarantined returns the hosts that are taken out, sorted by URL.
func (p *Pools) Quarantined() []HostState {
	return slices.DeleteFunc(p.Hosts(), func(h HostState) bool { return !h.Out })
}

// Close ends the probes and waits for those under way. Nothing is placed any
// more, and what waits is not told so.
func (p *Pools) Close() {
	p.mu.Lock()
	p.closed = true
	for _, h := range p.hosts {
		h.stopProbing()
	}
	for _, pl := range p.kept {
		pl.timer.Stop()
	}
	p.mu.Unlock()
	p.cancel()
	p.probes.Wait()
}

// watch has tell told of changes in the pools until stop is called. It must
// return at once, and not call the Pools.
func (p *Pools) watch(pools []string, tell func(HostChange)) (stop func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := &watcher{pools, tell}
	p.watchers[w] = true
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.watchers, w)
	}
}

// pool returns the state of a pool, which may have no host yet.
func (p *Pools) pool(name string) *poolState {
	ps := p.pools[name]
	if ps == nil {
		ps = &poolState{name: name}
		p.pools[name] = ps
	}
	return ps
}

func (p *Pools) host(url string) *poolHost {
	h := p.hosts[url]
	if h == nil {
		h = &poolHost{url: url, pools: make(map[*poolState]*poolMember), held: make(map[*Placement]bool)}
		p.hosts[url] = h
	}
	return h
}

// forget drops a host that nothing needs to be known of any more.
func (p *Pools) forget(h *poolHost) {
	if len(h.pools) == 0 && len(h.held) == 0 && !h.draining {
		h.stopProbing()
		delete(p.hosts, h.url)
	}
}

func (h *poolHost) poolNames() []string {
	names := make([]string, 0, len(h.pools))
	for ps := range h.pools {
		names = append(names, ps.name)
	}
	slices.Sort(names)
	return names
}

// vacate tells those that a pool has placed on the host to look for another
// one. The empty pool stands for all of them.
func (h *poolHost) vacate(pool, reason string) {
	for pl := range h.held {
		if pl.gone != nil && (pool == "" || pl.order.Pool == pool) {
			pl.gone(reason)
		}
	}
}
