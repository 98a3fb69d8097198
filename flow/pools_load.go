package flow

import (
	"maps"
	"slices"
)

// PoolLoad is how much a pool has to do.
type PoolLoad struct {
	Pool    string
	Waiting int // jobs that have no place yet
	Used    int // slots with a job, those of hosts that get no new ones included
	Free    int // slots without, of hosts that get new jobs
}

// Load returns the load of all pools that have hosts or jobs, by name.
func (p *Pools) Load() []PoolLoad {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []PoolLoad
	for _, name := range slices.Sorted(maps.Keys(p.pools)) {
		ps := p.pools[name]
		l := PoolLoad{Pool: name}
		for _, q := range ps.waiting {
			for _, c := range q.classes {
				l.Waiting += len(c.orders)
			}
		}
		for _, m := range ps.members {
			l.Used += len(m.held)
			if m.out == nil && !m.draining {
				l.Free += max(0, m.slots-len(m.held))
			}
		}
		list = append(list, l)
	}
	return list
}
