package checks

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/cromt/cromt/flow"
)

// Mode is which check runs a run has.
type Mode string

// The modes.
const (
	ModeOff       Mode = "off"       // none
	ModeAggregate Mode = "aggregate" // one for the run
	ModePerHost   Mode = "per-host"  // and one for each job, or each failed one of a large run
)

// Config says what a Reporter shows, and where.
type Config struct {
	Client *Client
	Budget *Budget // nil: the client's
	Repo   string  // owner/name
	SHA    string  // commit that the check runs are shown at
	Name   string  // of the aggregate, and the beginning of the others' names
	Mode   Mode
	Run    string // id of the run
	RunURL string // page about the run; "": none
	JobURL func(*flow.Job) string
	// Buttons to cancel the run and to run it again. Only an App is told of
	// clicks.
	Buttons bool
	Notes   []string // for people, shown with the result
	// Scan says how a job's log is searched for annotations. Nil, or a nil
	// answer: not at all.
	Scan func(*flow.Job) *ScanOptions
	// Others are the jobs of other runs that the aggregate counts, asked for
	// each time that it is posted. Nil: none.
	Others func(context.Context) []Other
	// Known are the check runs that an earlier process of the run created, by
	// their external_id. Not nil: there was one, and it may have created more.
	Known  map[string]int64
	Logger *slog.Logger // nil: no logging
}

// Reporter shows a run as check runs. The run never waits for it: Report only
// takes note, and a goroutine posts what is most urgent as soon as the budget
// has room for it. Close ends it.
type Reporter struct {
	c      Config
	plan   *flow.Plan
	budget *Budget
	log    *slog.Logger
	owner  string
	repo   string

	wake   chan struct{} // capacity 1: something has changed
	done   chan struct{} // closed when nothing will be posted any more
	cancel context.CancelFunc

	mu      sync.Mutex
	tracker *Tracker
	shown   *flow.Run // the tracker's run, until the next events
	began   time.Time
	aggr    *check
	jobs    map[*flow.Job]*check
	keys    map[string]*flow.Job
	notes   []string
	over    int                     // jobs of a large run that did not succeed and have no check run
	anns    map[string][]Annotation // of logs that have ended, by job key
	scans   map[string]*Scanner     // of logs that are written, by job key and attempt
	ledger
	agenda
}

// check is a check run of a run or a job.
type check struct {
	job      *flow.Job // nil: the aggregate
	name     string
	external string
	id       int64
	look     bool        // a write may have been done: look before the next
	posted   flow.Status // "": nothing yet
	minimal  bool        // its output was refused
	sent     int         // annotations
	dropped  bool        // it is not to be had
	held     bool        // the run has ended, others that it counts have not
}

// settled reports whether nothing more is to be said for now.
func (c *check) settled() bool { return c.posted == flow.StatusCompleted || c.held }

// NewReporter begins to report a run of the plan. With ModeOff nothing is
// posted, and GitHub is not needed.
func NewReporter(plan *flow.Plan, c Config) *Reporter {
	r := &Reporter{
		c: c, plan: plan, budget: c.Budget, log: c.Logger,
		wake: make(chan struct{}, 1), done: make(chan struct{}),
		tracker: NewTracker(plan), began: time.Now(), agenda: agenda{changed: true},
		jobs:   make(map[*flow.Job]*check, len(plan.Jobs)),
		keys:   make(map[string]*flow.Job, len(plan.Jobs)),
		anns:   make(map[string][]Annotation),
		scans:  make(map[string]*Scanner),
		aggr:   &check{name: clipBytes(c.Name, maxCheckName), external: bounded(c.Run, maxExternalID), look: c.Known != nil},
		ledger: newLedger(c.Mode, len(plan.Jobs)),
	}
	r.aggr.id = c.Known[r.aggr.external]
	for _, j := range plan.Jobs {
		r.keys[j.Key] = j
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if c.Mode != ModeAggregate && c.Mode != ModePerHost {
		r.cancel = func() {}
		close(r.done)
		return r
	}
	if r.budget == nil {
		r.budget = c.Client.budget
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	var err error
	if r.owner, r.repo, err = SplitRepo(c.Repo); err != nil {
		r.stop("check runs are not posted: " + err.Error())
	}
	go r.work(ctx)
	return r
}

// Report implements flow.Reporter. It never waits for GitHub and never fails:
// what could not be posted is told by Close.
func (r *Reporter) Report(_ context.Context, events []flow.Event) error {
	r.mu.Lock()
	r.tracker.Apply(events)
	r.shown, r.changed = nil, true
	for i := range events {
		r.event(&events[i])
	}
	r.mu.Unlock()
	r.signal()
	return nil
}

// SetRun takes over the engine's own report of a run that is complete, also
// when no event has said so: a later process knows of it by the report alone.
func (r *Reporter) SetRun(run *flow.Run) {
	r.mu.Lock()
	r.tracker.SetRun(run)
	r.shown = nil
	if !r.ended {
		r.runEnded()
	}
	r.mu.Unlock()
	r.signal()
}

func (r *Reporter) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// event decides what an event means for the check runs.
func (r *Reporter) event(ev *flow.Event) {
	switch ev.Kind {
	case flow.JobStarted:
		if r.own && !r.ended {
			r.starts = append(r.starts, r.check(ev.Job, ev.Attempt))
		}
	case flow.AttemptCompleted:
		key := scanKey(ev.Job, ev.Attempt)
		if s := r.scans[key]; s != nil {
			r.anns[ev.Job.Key] = s.Annotations()
			delete(r.scans, key)
		}
	case flow.JobCompleted:
		if ev.Result.Kept != "" {
			r.jobKept()
			return
		}
		r.jobEnded(ev.Job, ev.Attempt, ev.Result.Conclusion)
	case flow.RunCompleted:
		r.runEnded()
	}
}

// runEnded gives those jobs their check runs that were not needed.
func (r *Reporter) runEnded() {
	r.ended = true
	r.starts = nil
	r.retryAt, r.failures = time.Time{}, 0 // GitHub may be back: the last words do not wait
	if !r.own {
		return
	}
	for i, j := range r.plan.Jobs {
		if r.tracker.run.Jobs[i].Kept != "" {
			continue
		}
		if c := r.jobs[j]; c == nil || c.posted != flow.StatusCompleted && !slices.Contains(r.ends, c) {
			r.jobEnded(j, len(r.tracker.run.Jobs[i].Attempts), flow.Skipped)
		}
	}
}

// jobKept counts a job whose result an earlier run has shown already.
func (r *Reporter) jobKept() {
	if r.own {
		r.concluded++
	} else {
		r.unfinished--
	}
}

// jobEnded has a job's check run concluded, if it is to have one.
func (r *Reporter) jobEnded(j *flow.Job, attempt int, c flow.Conclusion) {
	if r.c.Mode != ModePerHost {
		return
	}
	if !r.own {
		bad := c == flow.Failure || c == flow.TimedOut || c == flow.Cancelled
		r.unfinished--
		if !bad {
			return
		}
		if r.failed == MaxFailedChecks {
			r.over++
			return
		}
		r.failed++
	}
	r.ends = append(r.ends, r.check(j, attempt))
}

// check returns a job's check run; a new one is of the attempt.
func (r *Reporter) check(j *flow.Job, attempt int) *check {
	c := r.jobs[j]
	if c == nil {
		c = &check{job: j, name: bounded(r.c.Name+" / "+j.Key, maxCheckName), external: r.external(j, attempt), look: r.c.Known != nil}
		for n := 1; n <= attempt && c.id == 0; n++ {
			if id, ok := r.c.Known[r.external(j, n)]; ok {
				c.id, c.external = id, r.external(j, n)
			}
		}
		r.jobs[j] = c
	}
	return c
}

func (r *Reporter) external(j *flow.Job, attempt int) string {
	return ExternalID(r.c.Run, j.Key, attempt)
}

// ExternalID is the external_id of the check run of a job, by its key, that
// was created in that attempt; 0: it had none. The aggregate's is the run.
func ExternalID(run, job string, attempt int) string {
	return bounded(run+"/"+job+"/"+strconv.Itoa(attempt), maxExternalID)
}

// bounded returns s if it is short enough, else its beginning and a digest of
// all of it, which still tells it from others.
func bounded(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return clipBytes(s, limit-17) + "~" + hex.EncodeToString(sum[:8])
}

// Output returns where an attempt's log is searched for annotations, or nil.
func (r *Reporter) Output(j *flow.Job, attempt int) io.Writer {
	if r.c.Scan == nil {
		return nil
	}
	o := r.c.Scan(j)
	if o == nil {
		return nil
	}
	s := NewScanner(*o)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.scans[scanKey(j, attempt)] = s
	return s
}

func scanKey(j *flow.Job, attempt int) string { return j.Key + "/" + strconv.Itoa(attempt) }

// View returns the run as it stands.
func (r *Reporter) View() View {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.view()
}

func (r *Reporter) view() View {
	if r.shown == nil {
		r.shown = r.tracker.Run()
		r.shown.Repo, r.shown.SHA = r.c.Repo, r.c.SHA
	}
	v := View{
		Run: r.shown, Plan: r.plan, Now: time.Now(), RunURL: r.c.RunURL,
		Notes: slices.Concat(r.c.Notes, r.notes), Annotations: maps.Clone(r.anns),
	}
	if r.over > 0 {
		v.Notes = append(v.Notes, fmt.Sprintf("%d more jobs that did not succeed have no check run of their own", r.over))
	}
	if r.c.JobURL != nil {
		v.JobURL = func(key string) string {
			if j := r.keys[key]; j != nil {
				return r.c.JobURL(j)
			}
			return ""
		}
	}
	return v
}

// Known returns the check runs there are, by their external_id: what a later
// process that goes on with the run needs.
func (r *Reporter) Known() map[string]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := make(map[string]int64)
	if r.aggr.id != 0 {
		known[r.aggr.external] = r.aggr.id
	}
	for _, c := range r.jobs {
		if c.id != 0 {
			known[c.external] = c.id
		}
	}
	return known
}

// Leave ends the Reporter without a last word: another one goes on with the
// run. The request at hand is waited for, until ctx is done. After Close it does
// nothing.
func (r *Reporter) Leave(ctx context.Context) {
	r.mu.Lock()
	r.left = true
	r.mu.Unlock()
	r.signal()
	select {
	case <-r.done:
	case <-ctx.Done():
	}
	r.cancel()
	<-r.done
}

// Close posts what is left to say, until ctx is done. It returns for people,
// a line each, what could not be posted and why; nothing when all is there. A
// run that has not ended by then is shown as cancelled.
func (r *Reporter) Close(ctx context.Context) []string {
	r.mu.Lock()
	if !r.closing {
		r.closing = true
		if !r.ended {
			r.tracker.abandon(time.Now())
			r.shown = nil
			r.runEnded()
		}
	}
	r.mu.Unlock()
	r.signal()
	select {
	case <-r.done:
	case <-ctx.Done():
		r.cancel()
		<-r.done
	}
	r.cancel()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.leftOver()
}
