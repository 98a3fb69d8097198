package bot

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cromt/cromt/bot/members"
	"github.com/cromt/cromt/bot/trust"
	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
)

// Pools are the App's pools of hosts, for all runs that this process works.
type Pools struct {
	Entries []flow.PoolEntry
	Place   *flow.Pools
	Members *members.Registry
}

// PoolsConfig is what NewPools needs.
type PoolsConfig struct {
	Entries []flow.PoolEntry
	// Members is what hosts that announce themselves need. Its Place is filled.
	Members members.Config
	// Host returns how an entry of the configuration's hosts is reached.
	Host   func(flow.HostEntry) (sparky.HostConfig, error)
	Hosts  []flow.HostEntry
	Logger *slog.Logger
}

// NewPools returns the pools with the hosts that the configuration gives them.
// Close ends them.
func NewPools(cfg PoolsConfig) *Pools {
	p := &Pools{Entries: cfg.Entries}
	settings := &Settings{Hosts: cfg.Hosts, Host: cfg.Host, Pools: p}
	p.Place = flow.NewPools(flow.PoolsConfig{
		Probe: func(ctx context.Context, url string) error {
			host, err := p.host(settings, url, func(*flow.Pool) bool { return true })
			if err != nil {
				return err
			}
			client, err := sparky.NewClient(host)
			if err != nil {
				return err
			}
			defer client.CloseIdle()
			_, err = client.Hello(ctx)
			return err
		},
		Changed: func(c flow.HostChange) { cfg.Logger.Warn(c.String()) },
	})
	cfg.Members.Place = p.Place
	p.Members = members.New(cfg.Members)
	for _, e := range cfg.Entries {
		p.Place.Define([]*flow.Pool{&e.Pool})
	}
	return p
}

// Close ends the connections of hosts. Runs are to be let go of before.
func (p *Pools) Close() {
	if p == nil {
		return
	}
	p.Members.Close()
	p.Place.Close()
}

// handle adds the paths of hosts that announce themselves.
func (p *Pools) handle(mux *http.ServeMux) {
	if p != nil {
		p.Members.Handle(mux)
	}
}

// pools are those that a run may use, never nil.
func (s *Settings) pools(repo string, fork bool) []*flow.Pool {
	if s.Pools == nil {
		return []*flow.Pool{}
	}
	return trust.Pools(s.Pools.Entries, repo, fork)
}

// place places the jobs of runs.
func (s *Settings) place() *flow.Pools {
	if s.Pools == nil {
		return nil
	}
	return s.Pools.Place
}

// host returns how a host of a pool is reached, if the pool may be used.
func (p *Pools) host(s *Settings, url string, may func(*flow.Pool) bool) (sparky.HostConfig, error) {
	member := p.Members.PoolOf(url)
	for i := range p.Entries {
		pool := &p.Entries[i].Pool
		if !may(pool) {
			continue
		}
		if member != "" && pool.Register && pool.Name == member {
			return p.Members.Host(url)
		}
		for _, h := range pool.Hosts {
			if h.URL != url {
				continue
			}
			if e, ok := s.entryAt(url); ok {
				host, err := s.Host(e)
				host.URL = url // by which placements know it
				return host, err
			}
		}
	}
	return sparky.HostConfig{}, fmt.Errorf("host %s is in no pool that may be used", url)
}

// poolHost returns how a host is reached on which a pool has placed a job;
// false: it is in none that the run may use.
func (w *work) poolHost(url string) (sparky.HostConfig, bool) {
	p := w.Settings.Pools
	if p == nil {
		return sparky.HostConfig{}, false
	}
	allowed := map[string]bool{}
	for _, pool := range w.Settings.pools(w.run.Repo, w.run.Origin.Fork) {
		allowed[pool.Name] = true
	}
	host, err := p.host(w.Settings, url, func(pool *flow.Pool) bool { return allowed[pool.Name] })
	return host, err == nil
}

// entryAt is what the configuration says of the host at a URL, if it has it.
func (s *Settings) entryAt(url string) (flow.HostEntry, bool) {
	want, err := trust.Address(url)
	if err != nil {
		return flow.HostEntry{}, false
	}
	for _, e := range s.Hosts {
		if got, _ := trust.Address(e.URL); got == want {
			return e, true
		}
	}
	return flow.HostEntry{}, false
}

// Pools adds what pools have to do to the metrics: what to scale by.
func (m *Metrics) Pools(p *Pools) {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("cromt_pool_"+name, help, labels, nil)
	}
	m.registry.MustRegister(&poolCollector{
		pools:   p,
		waiting: desc("waiting_jobs", "Jobs of this replica's runs that wait for a place in the pool.", "pool"),
		slots:   desc("slots", "Slots of the pool's hosts that this replica knows: those that its runs use, and those that are free.", "pool", "state"),
	})
}

// poolCollector asks the pools when it is scraped. A pool of the configuration
// is there when it has nothing, so that it can be scaled from nothing.
type poolCollector struct {
	pools          *Pools
	waiting, slots *prometheus.Desc
}

func (c *poolCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.waiting; ch <- c.slots }

func (c *poolCollector) Collect(ch chan<- prometheus.Metric) {
	loads := map[string]flow.PoolLoad{}
	for _, l := range c.pools.Place.Load() {
		loads[l.Pool] = l
	}
	for _, e := range c.pools.Entries {
		l := loads[e.Name]
		ch <- prometheus.MustNewConstMetric(c.waiting, prometheus.GaugeValue, float64(l.Waiting), e.Name)
		ch <- prometheus.MustNewConstMetric(c.slots, prometheus.GaugeValue, float64(l.Used), e.Name, "used")
		ch <- prometheus.MustNewConstMetric(c.slots, prometheus.GaugeValue, float64(l.Free), e.Name, "free")
	}
}
