package flow

import (
	"slices"
	"strings"
	"time"
)

// placeOrder asks for a host for one attempt of a job.
type placeOrder struct {
	Run    string
	Pool   string
	Labels []string
	Avoid  []string // hosts on which the job has failed: others are better
	// Ready, when the order had to wait, is given the place, once. Gone is
	// told that the host of the place is gone or taken out. They must return
	// at once, and not call the Pools.
	Ready func(*Placement)
	Gone  func(pl *Placement, reason string)

	number int64
}

// Placement is an attempt's place on a host.
type Placement struct {
	Host  string
	pools *Pools
	host  *poolHost // nil: it has been given back
	order *placeOrder
	gone  func(reason string)
	timer *time.Timer // while it is kept: until it is given back
}

// hostOutcome is what an attempt says about its host.
type hostOutcome int

const (
	hostUnknown hostOutcome = iota // nothing: it was cancelled, or failed elsewhere
	hostWorks
	hostDoubtful // it answers, yet it could not run the job: that may be the job's fault
	hostFailed
)

// runQueue is what of one run waits for a pool. Orders for the same labels
// are one class: when there is no host for one of them, there is none for the
// others either.
type runQueue struct {
	run     string
	classes []*orderClass
}

type orderClass struct {
	labels string
	orders []*placeOrder // first come, first
}

// place returns a place at once, or nil: then the order waits until its Ready
// is called, or it is withdrawn.
func (p *Pools) place(o *placeOrder) *Placement {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clock++
	o.number = p.clock
	ps := p.pool(o.Pool)
	ready := o.Ready
	var at *Placement
	o.Ready = func(pl *Placement) { at = pl }
	ps.enqueue(o)
	p.match(ps)
	o.Ready = ready
	return at
}

// withdraw takes back an order that may still wait.
func (p *Pools) withdraw(o *placeOrder) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pool(o.Pool).dequeue(o)
}

// attach returns the place on a host that an attempt of an earlier process
// has, or had: whatever has become of the host and its slots.
func (p *Pools) attach(o *placeOrder, url, jobID string) *Placement {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pl := p.kept[jobID]; pl != nil && pl.Host == url {
		pl.timer.Stop()
		delete(p.kept, jobID)
		pl.give(o)
		return pl
	}
	return p.occupy(p.host(url), o)
}

// occupy gives a place on the host.
func (p *Pools) occupy(h *poolHost, o *placeOrder) *Placement {
	p.clock++
	h.last = p.clock
	pl := &Placement{Host: h.url, pools: p, host: h}
	pl.give(o)
	h.held[pl] = true
	return pl
}

func (pl *Placement) give(o *placeOrder) {
	pl.order = o
	pl.gone = nil
	if o.Gone != nil {
		pl.gone = func(reason string) { o.Gone(pl, reason) }
	}
}

// release gives the place back, with what its attempt says about the host.
func (pl *Placement) release(outcome hostOutcome, why string) {
	p := pl.pools
	p.mu.Lock()
	defer p.mu.Unlock()
	h := pl.host
	if h == nil {
		return
	}
	pl.host = nil
	delete(h.held, pl)
	switch outcome {
	case hostWorks:
		h.failures, h.pause, h.doubt = 0, 0, false
	case hostDoubtful:
		h.doubt = true
	case hostFailed:
		p.failed(h, why)
	}
	p.matchHost(h)
	p.forget(h)
}

// keep holds the place for the attempt, which goes on without its run, until
// attach asks for it, but for PlaceKept at most.
func (pl *Placement) keep(jobID string) {
	p := pl.pools
	p.mu.Lock()
	defer p.mu.Unlock()
	if pl.host == nil || p.closed {
		return
	}
	pl.gone = nil
	p.kept[jobID] = pl
	pl.timer = time.AfterFunc(PlaceKept, func() {
		p.mu.Lock()
		current := p.kept[jobID] == pl
		if current {
			delete(p.kept, jobID)
		}
		p.mu.Unlock()
		if current {
			pl.release(hostUnknown, "")
		}
	})
}

// another reports whether the pool has a host for the order that is not to be
// avoided, free or not.
func (p *Pools) another(o *placeOrder) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.pool(o.Pool).members, func(m *poolMember) bool {
		return m.usable() && hasLabels(m.labels, o.Labels) && !slices.Contains(o.Avoid, m.url)
	})
}

func (ps *poolState) enqueue(o *placeOrder) {
	i := slices.IndexFunc(ps.waiting, func(q *runQueue) bool { return q.run == o.Run })
	if i < 0 {
		i = len(ps.waiting)
		ps.waiting = append(ps.waiting, &runQueue{run: o.Run})
	}
	q, labels := ps.waiting[i], strings.Join(o.Labels, " ")
	k := slices.IndexFunc(q.classes, func(c *orderClass) bool { return c.labels == labels })
	if k < 0 {
		k = len(q.classes)
		q.classes = append(q.classes, &orderClass{labels: labels})
	}
	q.classes[k].orders = append(q.classes[k].orders, o)
}

// dequeue removes an order, and what is empty without it.
func (ps *poolState) dequeue(o *placeOrder) {
	i := slices.IndexFunc(ps.waiting, func(q *runQueue) bool { return q.run == o.Run })
	if i < 0 {
		return
	}
	q, labels := ps.waiting[i], strings.Join(o.Labels, " ")
	k := slices.IndexFunc(q.classes, func(c *orderClass) bool { return c.labels == labels })
	if k < 0 {
		return
	}
	c := q.classes[k]
	if n := slices.Index(c.orders, o); n == 0 {
		c.orders = c.orders[1:] // nearly always, so that long queues cost nothing
	} else if n > 0 {
		c.orders = slices.Delete(c.orders, n, n+1)
	}
	if len(c.orders) == 0 {
		q.classes = slices.Delete(q.classes, k, k+1)
	}
	if len(q.classes) == 0 {
		ps.waiting = slices.Delete(ps.waiting, i, i+1)
	}
}

// matchHost looks for orders for a host that may have room now.
func (p *Pools) matchHost(h *poolHost) {
	for ps := range h.pools {
		p.match(ps)
	}
}

// match places what waits for the pool, run by run, as far as there is room.
func (p *Pools) match(ps *poolState) {
	if p.closed {
		return
	}
	for i := 0; i < len(ps.waiting) && slices.ContainsFunc(ps.members, (*poolMember).free); {
		q := ps.waiting[i]
		o, m := ps.first(q)
		if o == nil {
			i++ // and the next one has its turn
			continue
		}
		ps.dequeue(o)
		if i < len(ps.waiting) && ps.waiting[i] == q { // it waits for more: after all others
			ps.waiting = append(slices.Delete(ps.waiting, i, i+1), q)
		}
		o.Ready(p.occupy(m.poolHost, o))
	}
}

// first returns the oldest order of a run that there is a host for.
func (ps *poolState) first(q *runQueue) (found *placeOrder, at *poolMember) {
	for _, c := range q.classes {
		for _, o := range c.orders {
			if found != nil && found.number < o.number {
				break
			}
			m, any := ps.choose(o)
			if m != nil {
				found, at = o, m
			}
			if m != nil || !any {
				break
			}
		}
	}
	return found, at
}

// choose returns the best free host for the order: one that it need not
// avoid, unless the pool has no such host at all. any reports whether there is
// a free one for its labels.
func (ps *poolState) choose(o *placeOrder) (best *poolMember, any bool) {
	var avoided *poolMember
	others := false
	for _, m := range ps.members {
		if !m.usable() || !hasLabels(m.labels, o.Labels) {
			continue
		}
		avoid := slices.Contains(o.Avoid, m.url)
		others = others || !avoid
		switch {
		case !m.free():
		case avoid && m.better(avoided):
			avoided = m
		case !avoid && m.better(best):
			best = m
		}
	}
	any = best != nil || avoided != nil
	if best == nil && !others {
		best = avoided
	}
	return best, any
}

// usable reports whether the host gets jobs at all.
func (m *poolMember) usable() bool { return m.out == nil && !m.draining }

func (m *poolMember) free() bool { return m.usable() && len(m.held) < m.slots }

// suspect reports whether the last job that had something to say about the
// host was not run.
func (h *poolHost) suspect() bool { return h.failures > 0 || h.doubt }

// better reports whether a job is better placed on m than on o, which may be
// nil: where the last one has been run, where there are fewer jobs for the
// slots, where there was no job for longer. A host that fails all jobs at
// once would get them all otherwise.
func (m *poolMember) better(o *poolMember) bool {
	switch {
	case o == nil:
		return true
	case m.suspect() != o.suspect():
		return o.suspect()
	case len(m.held)*o.slots != len(o.held)*m.slots:
		return len(m.held)*o.slots < len(o.held)*m.slots
	}
	return m.last < o.last
}
