package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/cromt/cromt/flow"
)

// checkPools reports jobs that only hosts could run that register with the
// App: no such host comes to this run.
func (s *session) checkPools() flow.ErrorList {
	var list flow.ErrorList
	seen := map[string]bool{}
	for _, j := range s.plan.Jobs {
		id := j.Pool + "\x00" + strings.Join(j.PoolLabels, "\x00")
		if j.Pool == "" || seen[id] {
			continue
		}
		seen[id] = true
		i := slices.IndexFunc(s.plan.Pools, func(p *flow.Pool) bool { return p.Name == j.Pool })
		if i >= 0 && slices.ContainsFunc(s.plan.Pools[i].Hosts, func(h flow.PoolHost) bool { return h.Fits(j.PoolLabels) }) {
			continue
		}
		list = append(list, &flow.Error{
			File: s.plan.File.Name, Pos: j.Invocation.Project.Pool.Name.Pos,
			Msg:  fmt.Sprintf("only hosts that register with the App are for %s, which is on pool %q", j.Key, j.Pool),
			Hint: "list hosts under the pool, or use --local",
		})
	}
	return list
}

// openPools joins the hosts of the plan's pools, whose health probe asks for.
// With --local a pool of hosts that register has one inside this process, with
// whatever labels the jobs ask for.
func (s *session) openPools(probe func(ctx context.Context, url string) error) {
	s.pools = flow.NewPools(flow.PoolsConfig{Probe: probe})
	s.pools.Define(s.plan.Pools)
	if !s.local {
		return
	}
	listed := map[string]bool{} // pools whose hosts are all in the file
	for _, pool := range s.plan.Pools {
		listed[pool.Name] = !pool.Register
	}
	labels := map[string][]string{}
	for _, j := range s.plan.Jobs {
		if j.Pool != "" && !listed[j.Pool] {
			labels[j.Pool] = append(labels[j.Pool], j.PoolLabels...)
		}
	}
	for pool, wanted := range labels {
		slices.Sort(wanted)
		s.pools.Add(pool, flow.Member{URL: "http://pool-" + pool + ":4000", Slots: runtime.NumCPU(), Labels: slices.Compact(wanted)})
	}
}
