package flow

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// quarantine is why and since when a host is taken out.
type quarantine struct {
	reason string
	since  time.Time
	timer  *time.Timer // until the next probe
}

// failed counts an infrastructure failure of a host, and takes it out when
// there are too many in a row. Called with mu held.
func (p *Pools) failed(h *poolHost, why string) {
	h.failures++
	if h.failures < QuarantineAfter || h.out != nil || p.closed || len(h.pools) == 0 {
		return
	}
	h.out = &quarantine{reason: why, since: time.Now()}
	p.probeLater(h)
	p.tell(h)
	h.vacate("", "it was taken out of its pool: "+why)
}

// tell tells everybody who wants to know how the host is. Called with mu held.
func (p *Pools) tell(h *poolHost) {
	c := HostChange{URL: h.url, Pools: h.poolNames(), Out: h.out != nil}
	if c.Out {
		c.Reason = h.out.reason
	}
	if p.cfg.Changed != nil {
		p.cfg.Changed(c)
	}
	for w := range p.watchers {
		if slices.ContainsFunc(c.Pools, func(pool string) bool { return slices.Contains(w.pools, pool) }) {
			w.tell(c)
		}
	}
}

// probeLater asks a host that is taken out after a pause, longer each time
// until a job has worked there. Called with mu held.
func (p *Pools) probeLater(h *poolHost) {
	h.pause = min(max(2*h.pause, ProbeMin), ProbeMax)
	q := h.out
	q.timer = time.AfterFunc(jitter(h.pause), func() {
		p.mu.Lock()
		due := !p.closed && h.out == q
		if due {
			p.probes.Add(1)
		}
		p.mu.Unlock()
		if due {
			defer p.probes.Done()
			p.probe(h, q)
		}
	})
}

// probe asks a host whether it answers, and puts it back if it does: on
// probation, with the next failure it is out again.
func (p *Pools) probe(h *poolHost, q *quarantine) {
	var err error
	if p.cfg.Probe != nil {
		ctx, cancel := context.WithTimeout(p.ctx, ProbeTimeout)
		err = p.cfg.Probe(ctx, h.url)
		cancel()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || h.out != q {
		return
	}
	if err != nil {
		p.probeLater(h)
		return
	}
	h.out, h.failures = nil, QuarantineAfter-1
	p.tell(h)
	p.matchHost(h)
}

func (h *poolHost) stopProbing() {
	if h.out != nil {
		h.out.timer.Stop()
		h.out = nil
	}
}

// String says what has happened to the host, for people.
func (c HostChange) String() string {
	if !c.Out {
		return fmt.Sprintf("host %s answers and is back in its pool", c.URL)
	}
	return fmt.Sprintf("host %s was taken out of its pool after %d infrastructure failures in a row, until it answers: %s", c.URL, QuarantineAfter, c.Reason)
}
