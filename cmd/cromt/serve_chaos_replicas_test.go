//go:build unix

package main

import (
	"context"
	"sync"
	"testing"
	"time"
)

// TestChaosReplicas has three replicas share a database. One of them is killed
// each second, 600 in all, the database crashes 20 times meanwhile, and all
// connections to it are ended every five seconds: nothing is lost, and nothing
// is dispatched twice. In the ordinary tests nobody is killed here, as others
// have two replicas killed.
func TestChaosReplicas(t *testing.T) {
	p := chaosPlan{
		replicas: 2, postgres: startPostgres(t).Postgres, repos: 5, commits: 4, letters: 24, senders: 1, pace: 50 * time.Millisecond,
		crashes: 1, crashEvery: 500 * time.Millisecond, endEvery: 400 * time.Millisecond,
	}
	if share := chaosShare(t); share > 0 {
		of := func(n int) int { return max(1, int(share*float64(n))) }
		p.replicas, p.repos, p.commits, p.letters, p.pace = 3, of(60), 20, of(1300), 450*time.Millisecond
		p.sweeps, p.kills, p.killEvery, p.limit = true, of(600), time.Second, 90*time.Minute
		p.crashes, p.crashEvery, p.endEvery = of(20), 30*time.Second, 5*time.Second
		p.hostFaults, p.faults = 200, 200
	}
	c := newChaos(t, p)
	c.deliver()
	c.check()
}

// storm kills a replica each time, has the database crash and ends connections.
func (c *chaos) storm(ctx context.Context) {
	c.t.Helper()
	begin := time.Now()
	storm, over := context.WithCancel(ctx)
	var others, ends sync.WaitGroup
	ends.Go(func() { c.endConnections(storm) })
	others.Go(func() {
		for range c.plan.crashes {
			if c.sleep(ctx, c.plan.crashEvery) {
				c.crash()
			}
		}
	})
	back := make([]chan error, len(c.sites)) // of each replica
	for i := range back {
		back[i] = make(chan error, 1)
		back[i] <- nil
	}
	restarted := func(i int) {
		if err := <-back[i]; err != nil {
			c.t.Fatal(err)
		}
	}
	for n := range c.plan.kills {
		next := time.After(c.plan.killEvery)
		i := n % len(c.sites)
		restarted(i)
		c.killing.Lock()
		c.addrs[i].Store(nil)
		c.sites[i].kill()
		c.killing.Unlock()
		c.counts.add("kills", 1)
		go func() { back[i] <- c.start(i) }()
		select {
		case <-next:
		case <-ctx.Done():
			c.t.Fatalf("%d of %d kills: it takes too long", n, c.plan.kills)
		}
	}
	others.Wait()
	over()
	ends.Wait()
	for i := range back {
		if c.plan.kills > 0 {
			restarted(i)
		}
	}
	c.t.Logf("%d kills within %.1f s", c.plan.kills, time.Since(begin).Seconds())
}

// crash has the database crash, and be away for up to two seconds.
func (c *chaos) crash() {
	c.mu.Lock()
	down := time.Duration(c.rng.Int64N(int64(2 * time.Second)))
	c.mu.Unlock()
	c.killing.Lock()
	defer c.killing.Unlock()
	if err := c.plan.postgres.Crash(down); err != nil {
		c.t.Error(err)
	}
	c.counts.add("crashes of the database", 1)
}

// endConnections ends all connections to the database every now and then.
func (c *chaos) endConnections(ctx context.Context) {
	for c.sleep(ctx, c.plan.endEvery) {
		c.killing.Lock()
		err := c.plan.postgres.Exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`)
		c.killing.Unlock()
		if err != nil {
			c.t.Error(err)
		}
		c.counts.add("ends of all connections", 1)
	}
}
