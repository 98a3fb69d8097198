package flow

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// placing is what a run knows of how a job on a pool finds a host.
type placing struct {
	expire *time.Timer // ends its waiting for one
	since  time.Time   // when it began to wait; zero: it did not have to
	avoid  []string    // hosts on which an attempt has failed by infrastructure
}

// inbox takes messages for a run from those who must not wait for it. Its
// size is bounded by the plan: a place for each job, and news of hosts.
type inbox struct {
	wake chan struct{} // capacity 1
	mu   sync.Mutex
	list []func()
}

func (b *inbox) add(f func()) {
	b.mu.Lock()
	b.list = append(b.list, f)
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (r *runner) takeInbox() {
	r.inbox.mu.Lock()
	list := r.inbox.list
	r.inbox.list = nil
	r.inbox.mu.Unlock()
	for _, f := range list {
		f()
	}
}

// openPools joins the run with the pools that its plan needs. What it returns
// is for the run's end, and gives back all that it still has.
func (r *runner) openPools() (end func()) {
	if !slices.ContainsFunc(r.o.Plan.Jobs, func(j *Job) bool { return j.Pool != "" }) {
		return func() {}
	}
	r.pools = r.e.Pools
	if r.pools == nil {
		r.pools = NewPools(PoolsConfig{})
		r.pools.Define(r.o.Plan.Pools)
	}
	set := make(map[string]bool)
	for _, j := range r.o.Plan.Jobs {
		if j.Pool != "" {
			set[j.Pool] = true
		}
	}
	names := slices.Sorted(maps.Keys(set))
	r.poolNames = names
	stop := r.pools.watch(names, func(c HostChange) { r.inbox.add(func() { r.note(c.String()) }) })
	return func() {
		stop()
		for _, js := range r.jobs {
			r.stopSeeking(js)
			r.vacate(js, hostUnknown, "")
		}
		r.takeInbox() // places that came too late
		if r.e.Pools == nil {
			r.pools.Close()
		}
	}
}

// noteQuarantined tells which hosts are out when the run begins.
func (r *runner) noteQuarantined() {
	if r.pools == nil {
		return
	}
	for _, h := range r.pools.Quarantined() {
		text := HostChange{URL: h.URL, Out: true, Reason: h.Reason}.String()
		known := slices.Contains(r.notes, text) // a process before this one has said so
		if !known && slices.ContainsFunc(h.Pools, func(pool string) bool { return slices.Contains(r.poolNames, pool) }) {
			r.note(text)
		}
	}
}

// note tells people something, now and in the report.
func (r *runner) note(text string) {
	r.notes = append(r.notes, text)
	r.emit(Event{Kind: Note, Message: text})
}

// seek finds a host for the next attempt of a job on a pool, or for the one
// that a process before this one has sent. It returns false when the job has
// to wait.
func (r *runner) seek(js *jobState, commit string) bool {
	o := &placeOrder{
		Run: r.o.ID, Pool: js.Pool, Labels: js.PoolLabels, Avoid: slices.Clone(js.avoid),
		Ready: func(pl *Placement) { r.inbox.add(func() { r.placed(js, commit, pl) }) },
		Gone:  func(pl *Placement, why string) { r.inbox.add(func() { r.hostGone(js, pl, why) }) },
	}
	if js.resumed {
		js.place = r.pools.attach(o, js.host, js.jobID)
		return true
	}
	if js.place = r.pools.place(o); js.place != nil {
		js.host, js.since = js.place.Host, time.Time{}
		return true
	}
	js.order = o
	if js.since.IsZero() {
		js.since = time.Now()
		r.emit(Event{Time: js.since, Kind: JobWaiting, Job: js.Job})
	}
	limit := js.inv.QueueTimeout
	if limit <= 0 {
		limit = DefaultQueueTimeout
	}
	js.expire = time.AfterFunc(time.Until(js.since.Add(limit)), func() {
		r.post(func() {
			if js.order != o {
				return
			}
			r.conclude(js, Result{
				Conclusion: Failure, Cause: CauseInfrastructure, NotStarted: true,
				Error: fmt.Sprintf("waited %v for a host of pool %s; see what runs there, or raise queue_timeout", limit, poolText(js.Job)),
			})
		})
	})
	return false
}

// poolText is a job's pool with the labels that it asks for.
func poolText(j *Job) string {
	if len(j.PoolLabels) == 0 {
		return j.Pool
	}
	return j.Pool + " with " + strings.Join(j.PoolLabels, ", ")
}

// placed takes the host that a job has waited for.
func (r *runner) placed(js *jobState, commit string, pl *Placement) {
	if js.order != pl.order || r.detached {
		pl.release(hostUnknown, "")
		return
	}
	stopTimer(js.expire)
	js.order, js.expire, js.since = nil, nil, time.Time{}
	js.place, js.host = pl, pl.Host
	if commit == "" && js.Source.Kind == SourceGit {
		commit = r.commit(js.Source).sha // found out meanwhile
	}
	r.dispatch(js, commit)
}

// stopSeeking has a job not wait for a host any more. It returns false when it
// did not.
func (r *runner) stopSeeking(js *jobState) bool {
	if js.order == nil {
		return false
	}
	stopTimer(js.expire)
	r.pools.withdraw(js.order)
	js.order, js.expire = nil, nil
	return true
}

// vacate gives a job's place on its host back, if it has one.
func (r *runner) vacate(js *jobState, outcome hostOutcome, why string) {
	if js.place != nil {
		js.place.release(outcome, why)
		js.place = nil
	}
}

// judgeHost gives back the place of an attempt that has ended, with what its
// result, and what ended it, say about the host.
func (r *runner) judgeHost(js *jobState, res *Result, err error) {
	outcome := hostWorks
	infra := res.Cause == CauseInfrastructure
	var moved *movedError
	switch {
	case res.Conclusion == Cancelled, errors.Is(err, ErrRefused), errors.Is(err, ErrElsewhere), errors.As(err, &moved), err != nil && !infra:
		outcome = hostUnknown
	case infra && (err != nil || res.Lost):
		outcome = hostFailed
	case infra: // it answers, and could not run the job: a full disk, or a repository that does not exist
		outcome = hostDoubtful
	}
	r.vacate(js, outcome, res.Error)
	js.avoidIf(res)
}

// avoidIf has further attempts keep away from a host that has failed.
func (js *jobState) avoidIf(res *Result) {
	if js.Pool != "" && res.Cause == CauseInfrastructure && !slices.Contains(js.avoid, js.host) {
		js.avoid = append(js.avoid, js.host)
	}
}

// elsewhere reports whether a refused job may find another host.
func (r *runner) elsewhere(js *jobState) bool {
	return js.Pool != "" && r.pools.another(&placeOrder{Pool: js.Pool, Labels: js.PoolLabels, Avoid: js.avoid})
}

// movedError is why an attempt is taken from a host that is gone.
type movedError struct{ host, why string }

func (m *movedError) Error() string { return "taken from host " + m.host + ": " + m.why }

// verdict is the result of an attempt that was cancelled for it: it is placed
// elsewhere when it has certainly not started, and lost otherwise.
func (m *movedError) verdict(res Result) Result {
	text := m.Error()
	if res.Error != "" {
		text += "; " + res.Error
	}
	res.Conclusion, res.Cause, res.Lost, res.Error = Failure, CauseInfrastructure, !res.NotStarted, text
	if res.Lost {
		res.Error = "lost: " + text
	}
	if res.CompletedAt.IsZero() {
		res.CompletedAt = time.Now()
	}
	return res
}

// hostGone takes a job that has not started from a host that is gone or taken
// out. What runs there goes on, or is lost.
func (r *runner) hostGone(js *jobState, pl *Placement, why string) {
	if js.done || js.place != pl || js.attempt().Status != StatusQueued {
		return
	}
	js.interrupt(&movedError{js.host, why})
}
