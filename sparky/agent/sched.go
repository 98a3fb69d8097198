package agent

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
)

const causeInfrastructure = flow.CauseInfrastructure

// queue is one Sparky project: one of its jobs runs at a time.
type queue struct {
	running *job
	waiting []*job // in the order of acceptance
	listed  bool   // it is in Agent.ready
}

var (
	errNotNew   = errors.New("the job-id is known") // accept looks again
	errBusy     = fmt.Errorf("%d jobs are queued already", maxQueued)
	errConflict = errors.New("the job-id is known in another project; job-ids are never used twice")
)

// accept takes a job, or attaches to the one that has its id. The job is
// journalled when accept returns, and running when a slot was free.
func (a *Agent) accept(ctx context.Context, req *queueRequest) (attached bool, err error) {
	for {
		a.mu.Lock()
		known := a.jobs[req.id]
		if known == nil {
			break
		}
		a.mu.Unlock()
		if err := attach(ctx, known, req.project); !errors.Is(err, errNotNew) {
			return err == nil, err
		}
	}
	switch {
	case a.closing:
		err = errJournalClosed
	case a.draining:
		err = errDraining
	case a.waiting >= maxQueued:
		err = errBusy
	}
	if err != nil {
		a.mu.Unlock()
		return false, err
	}
	a.tasks.Add(1)
	defer a.tasks.Done()
	a.seq++
	j := newJob(record{Seq: a.seq, ID: req.id, Project: req.project, Queued: time.Now(), Config: req.config,
		result: result{State: sparky.CodeQueued}}, req.spec, req.file, a.logPath(req.id))
	a.jobs[req.id] = j
	starts := a.enqueueNew(j)
	a.mu.Unlock()
	return a.settle(ctx, j, req, starts)
}

// settle journals a new job and starts it if it has a slot.
func (a *Agent) settle(ctx context.Context, j *job, req *queueRequest, starts bool) (attached bool, err error) {
	var payload []byte
	if starts {
		j.rec.State, j.rec.Started = sparky.CodeRunning, j.rec.Queued
	} else {
		j.waited, payload = true, req.payload
	}
	var known bool
	err = a.store.write(accepted(j.rec, payload, &known))
	if err != nil || known {
		return a.unaccept(ctx, j, starts, err)
	}
	a.watchLease(j)
	close(j.ready)
	if starts {
		a.launch(j)
		return false, nil
	}
	// Its slot may have become free, or it may have been cancelled, meanwhile.
	j.mu.Lock()
	doomed := j.doom != nil
	j.mu.Unlock()
	if doomed {
		a.cancelQueued(j)
	}
	a.startReady()
	return false, nil
}

// attach waits until the known job is journalled.
func attach(ctx context.Context, j *job, project string) error {
	select {
	case <-j.ready:
	case <-ctx.Done():
		return ctx.Err()
	}
	if j.notReady != nil {
		return j.notReady
	}
	if j.project != project {
		return errConflict
	}
	j.touch()
	return nil
}

// unaccept undoes what accept did with a job that was known, or could not be
// journalled.
func (a *Agent) unaccept(ctx context.Context, j *job, started bool, err error) (bool, error) {
	j.notReady = errNotNew
	if err != nil {
		j.notReady = err
	}
	a.mu.Lock()
	delete(a.jobs, j.id)
	a.drop(j)
	a.mu.Unlock()
	if started {
		a.tasks.Done()
	}
	close(j.ready)
	a.startReady()
	if err != nil {
		return false, err
	}
	old, err := a.store.load(ctx, j.id)
	switch {
	case err != nil:
		return false, err
	case old == nil || old.Project != j.project:
		return false, errConflict
	}
	return true, nil
}

// enqueueNew gives a new job a slot when its project is idle and one is free,
// else queues it. Called with mu held.
func (a *Agent) enqueueNew(j *job) (starts bool) {
	q := a.queueOf(j.project)
	if q.running == nil && len(q.waiting) == 0 && a.hasSlot(j) && len(a.ready) == 0 {
		a.occupy(q, j)
		return true
	}
	a.enqueue(j)
	return false
}

func (a *Agent) queueOf(project string) *queue {
	q := a.queues[project]
	if q == nil {
		q = &queue{}
		a.queues[project] = q
	}
	return q
}

// enqueue adds a job to its queue. Called with mu held.
func (a *Agent) enqueue(j *job) {
	q := a.queueOf(j.rec.Project)
	q.waiting = append(q.waiting, j)
	a.waiting++
	a.enlist(q)
}

// enlist notes that the queue's first job waits for nothing but a slot.
func (a *Agent) enlist(q *queue) {
	if q.running == nil && len(q.waiting) > 0 && !q.listed {
		q.listed = true
		a.ready = append(a.ready, q)
	}
}

// occupy gives the job the slot of its queue and one of the agent's, and
// keeps the agent open until launch or putBack is through with it. Called
// with mu held.
func (a *Agent) occupy(q *queue, j *job) {
	q.running = j
	*a.slots(j)++
	a.tasks.Add(1)
}

// slots counts the running jobs of the kind. A sparrowfile often waits for
// jobs that it queues on its own host: it takes no slot from them.
func (a *Agent) slots(j *job) *int {
	if j.waits {
		return &a.waits
	}
	return &a.running
}

func (a *Agent) hasSlot(j *job) bool {
	if j.waits {
		return a.waits < maxSparrows
	}
	return a.running < a.cfg.MaxJobs
}

// pick gives free slots to queued jobs. Called with mu held.
func (a *Agent) pick() []*job {
	if a.closing {
		return nil
	}
	var next []*job
	keep := a.ready[:0]
	for _, q := range a.ready {
		switch {
		case len(q.waiting) == 0:
			q.listed = false
		case !a.hasSlot(q.waiting[0]) || !isReady(q.waiting[0]):
			keep = append(keep, q)
		default:
			q.listed = false
			j := q.waiting[0]
			q.waiting = slices.Delete(q.waiting, 0, 1)
			a.waiting--
			a.occupy(q, j)
			next = append(next, j)
		}
	}
	clear(a.ready[len(keep):])
	a.ready = keep
	return next
}

// putBack returns jobs to the heads of their queues: their start could not be
// journalled. It is tried again later.
func (a *Agent) putBack(next []*job) {
	a.mu.Lock()
	for _, j := range next {
		q := a.queueOf(j.project)
		q.running = nil
		*a.slots(j)--
		q.waiting = slices.Insert(q.waiting, 0, j)
		a.waiting++
		a.enlist(q)
	}
	a.mu.Unlock()
	for range next {
		a.tasks.Done()
	}
	time.AfterFunc(journalRetry, a.startReady)
}

// crowded reports whether more jobs run than there are processors for.
func (a *Agent) crowded() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.running > runtime.GOMAXPROCS(0)
}

// isReady reports whether the job is journalled; accept starts it otherwise.
func isReady(j *job) bool {
	select {
	case <-j.ready:
		return true
	default:
		return false
	}
}

// startReady starts what has a slot now.
func (a *Agent) startReady() {
	a.mu.Lock()
	next := a.pick()
	a.mu.Unlock()
	a.begin(next)
}

// begin journals that queued jobs run, then runs them.
func (a *Agent) begin(next []*job) {
	if len(next) == 0 {
		return
	}
	go func() { // occupy has counted it
		now := time.Now()
		if err := a.store.write(startings(next, now)...); err != nil {
			a.log.Error("start of jobs not recorded", "error", err)
			a.putBack(next)
			return
		}
		a.launchAll(next, now)
	}()
}

func startings(next []*job, now time.Time) []change {
	changes := make([]change, len(next))
	for i, j := range next {
		changes[i] = started(j.seq, now)
	}
	return changes
}

func (a *Agent) launchAll(next []*job, now time.Time) {
	for _, j := range next {
		j.mu.Lock()
		j.rec.State, j.rec.Started = sparky.CodeRunning, now
		j.tellMoved()
		j.mu.Unlock()
		a.launch(j)
	}
}

// launch runs a job that is journalled as running.
func (a *Agent) launch(j *job) {
	ctx, cancel := context.WithCancelCause(context.Background())
	j.mu.Lock()
	j.cancel = cancel
	if j.doom != nil {
		cancel(j.doom)
	}
	j.mu.Unlock()
	go func() { // occupy has counted it
		defer a.tasks.Done()
		res := a.execute(ctx, j)
		cancel(nil)
		a.finish(j, res)
	}()
}

// finish journals the job's result, together with the start of those that
// take its slot, and announces it.
func (a *Agent) finish(j *job, res result) {
	j.mu.Lock()
	rec := j.rec
	rec.result, rec.Ended = res, time.Now()
	j.mu.Unlock()
	rec.LogSize, rec.Log = j.log.end()

	a.mu.Lock()
	next := a.vacate(j)
	a.mu.Unlock()
	err := a.record(append([]change{finished(rec, j.waited)}, startings(next, rec.Ended)...))
	if err != nil {
		a.log.Error("result not recorded", "job", rec.ID, "error", err)
		rec.result = result{State: sparky.CodeFailed, Cause: causeInfrastructure, Lost: true,
			Error: "the result could not be recorded: " + err.Error()}
	}
	a.announce(j, rec)
	if err != nil {
		a.putBack(next)
		return
	}
	a.launchAll(next, rec.Ended)
	if j.waits {
		a.startDownstream(rec)
	}
}

// record writes changes that must not get lost, trying again while the disk
// is full or failing.
func (a *Agent) record(changes []change) error {
	end := time.Now().Add(journalPatience)
	for {
		err := a.store.write(changes...)
		if err == nil || errors.Is(err, errJournalClosed) || time.Now().After(end) {
			return err
		}
		a.log.Warn("journal", "error", err)
		select {
		case <-time.After(journalRetry):
		case <-a.quit:
			return err
		}
	}
}

// announce tells the result and forgets the job, by and by.
func (a *Agent) announce(j *job, rec record) {
	j.mu.Lock()
	j.rec, j.spec, j.file, j.cancel = rec, nil, nil, nil
	if j.leasing != nil {
		j.leasing.Stop()
	}
	j.tellMoved()
	j.mu.Unlock()
	a.mu.Lock()
	a.recent = append(a.recent, j.id)
	if len(a.recent) > maxRecent {
		delete(a.jobs, a.recent[0])
		a.recent = a.recent[:copy(a.recent, a.recent[1:])]
	}
	a.mu.Unlock()
	a.prune(j.project)
}

// vacate frees the job's slot and gives it to the next. Called with mu held.
func (a *Agent) vacate(j *job) []*job {
	a.drop(j)
	return a.pick()
}

// drop takes the job out of its queue, wherever it is there. Called with mu held.
func (a *Agent) drop(j *job) {
	q := a.queueOf(j.project)
	if q.running == j {
		q.running = nil
		*a.slots(j)--
	} else if i := slices.Index(q.waiting, j); i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
		a.waiting--
	}
	a.enlist(q)
	if q.running == nil && len(q.waiting) == 0 {
		delete(a.queues, j.project)
	}
}
