package bot

import (
	"context"
	"sync"
	"time"
)

// chores are what is done now and then, until ctx is done.
func (s *Server) chores(ctx context.Context, r *Runner, sources *Sources, installed *Installed) {
	sweeper := &Sweeper{Store: s.Store, GitHub: s.GitHub, Logger: s.Logger, Started: time.Now()}
	scheduler := &Scheduler{Store: s.Store, Installed: installed, Logger: s.Logger}
	health := &Health{Store: s.Store, Hosts: s.Settings.Hosts, Host: s.Settings.Host, Metrics: s.Metrics, Logger: s.Logger}
	var all sync.WaitGroup
	all.Go(func() { health.Watch(ctx) })
	if s.Settings.Pools != nil {
		all.Go(func() { s.Settings.Pools.Members.Run(ctx) })
	}
	all.Go(func() {
		every(ctx, postInterval, s.Store.Deaths(ctx), func(bool) { s.chore(ctx, "check runs not posted", r.Post(ctx)) })
	})
	all.Go(func() {
		every(ctx, choreInterval, nil, func(first bool) {
			if !first {
				s.chore(ctx, "sources not pruned", sources.Prune(time.Now()))
				s.prune(ctx)
			}
		})
	})
	all.Go(func() {
		every(ctx, scheduleInterval, s.Store.Deaths(ctx), func(bool) { s.chore(ctx, "schedules not served", scheduler.Fire(ctx, time.Now())) })
	})
	all.Go(func() {
		every(ctx, choreInterval, s.Store.Deaths(ctx), func(first bool) {
			sweep, list := sweepInterval, listInterval
			if first { // nobody was there before, or nobody knows since when
				sweep, list = restartGap, restartGap
			}
			s.chore(ctx, "installations not known", installed.All(ctx, list))
			s.chore(ctx, "configurations not read", installed.Read(ctx))
			s.chore(ctx, "pull requests not compared", sweeper.Pulls(ctx, sweep))
		})
	})
	all.Go(func() { s.sweep(ctx, sweeper) })
	all.Wait()
}

// sweep has GitHub deliver again what failed: at the start, as nobody was there
// before; soon after, what failed last is listed late; then now and then, and
// in every turn while there is more than one turn may ask for. Nothing else is
// in its way.
func (s *Server) sweep(ctx context.Context, sweeper *Sweeper) {
	gaps := []time.Duration{0, restartGap / 2}
	every(ctx, choreInterval, s.Store.Deaths(ctx), func(bool) {
		gap := deliverySweep
		if len(gaps) > 0 {
			gap, gaps = gaps[0], gaps[1:]
		}
		s.chore(ctx, "failed deliveries not asked for", sweeper.Deliveries(ctx, gap))
	})
}

// every does f at once, at each interval, and when another replica has died,
// which may have been at it.
func every(ctx context.Context, interval time.Duration, deaths <-chan struct{}, f func(first bool)) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for first := true; ; first = false {
		f(first)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-deaths:
		}
	}
}

// chore says that one was not done: it is tried again.
func (s *Server) chore(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil {
		s.Logger.Warn(what, "error", err)
	}
}

func (s *Server) prune(ctx context.Context) {
	if s.Retention > 0 {
		_, err := s.Store.Prune(ctx, time.Now().Add(-s.Retention))
		s.chore(ctx, "old runs not removed", err)
	}
}
