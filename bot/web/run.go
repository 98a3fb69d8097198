package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/flow"
)

// runView is a run as its page shows it.
type runView struct {
	Run       *store.Run
	State     string
	Title     string
	Duration  time.Duration // 0: it has not started
	Counts    flow.Counts
	Bar       []segment
	Chips     []segment // how many jobs are in each state
	Problem   string    // why it has no plan; "" it has one
	Failures  []failureRow
	More      int // failures beyond those
	Graph     template.HTML
	Timeline  *timeline // nil: nothing has run
	Jobs      []jobRow
	Artifacts []store.Artifact
	Live      bool
}

// jobRow is a job in the table of a run.
type jobRow struct {
	store.Job
	Place    int
	State    string
	HostName string
	Wait     time.Duration // on its host, before it started
	Duration time.Duration // of its last attempt
	Reason   string        // why it did not succeed
}

// failureRow is what is said of a job that failed above all else.
type failureRow struct {
	jobRow
	Line string // the first of its log that tells why; "" none does
}

func (p *pages) run(w http.ResponseWriter, r *http.Request, rd *reader) error {
	run, err := p.visible(r, rd)
	if err != nil {
		return err
	}
	if wantsJSON(r) {
		return p.runJSON(w, r, run)
	}
	s, err := p.snapshot(r.Context(), run.ID, time.Now())
	if err != nil {
		return err
	}
	page := struct {
		*snapshot
		Show string // the state of the jobs that are shown; "" all are
	}{s, ""}
	if show := r.FormValue("jobs"); slices.Contains(jobStates, show) {
		page.Show = show
	}
	return p.html(w, r, rd, http.StatusOK, "run.html", frame{Title: s.title, Nav: "runs", Content: page})
}

func (p *pages) runJSON(w http.ResponseWriter, r *http.Request, run *store.Run) error {
	v, bars, err := p.runView(r.Context(), run, time.Now())
	if err != nil {
		return err
	}
	out := runPageJSON{runJSON: newRunJSON(run), Problem: v.Problem, Jobs: []jobJSON{}, Attempts: []attemptJSON{}, Artifacts: []artifactJSON{}}
	for i := range v.Jobs {
		out.Jobs = append(out.Jobs, newJobJSON(&v.Jobs[i].Job))
	}
	for _, b := range bars {
		out.Attempts = append(out.Attempts, attemptJSON{
			Job: b.Job, Number: b.Number, Status: b.Status, Conclusion: b.Conclusion, LogURL: logURL(run.ID, b.Job, b.Number),
			QueuedAt: b.QueuedAt, StartedAt: b.StartedAt, CompletedAt: b.CompletedAt,
		})
	}
	for _, a := range v.Artifacts {
		out.Artifacts = append(out.Artifacts, artifactJSON{a.Job, a.File, a.SHA256, a.Bytes})
	}
	return writeJSON(w, http.StatusOK, out)
}

// runView looks a run up, as it is now.
func (p *pages) runView(ctx context.Context, run *store.Run, now time.Time) (*runView, []store.Bar, error) {
	v := &runView{Run: run, State: stateOf(run), Title: runTitle(run), Duration: runTime(run, now), Live: run.State != store.Completed}
	jobs, err := p.Store.Jobs(ctx, run.ID)
	if err != nil {
		return nil, nil, err
	}
	bars, err := p.Store.Timeline(ctx, run.ID)
	if err != nil {
		return nil, nil, err
	}
	if v.Artifacts, err = p.Store.Artifacts(ctx, run.ID); err != nil {
		return nil, nil, err
	}
	plan, err := p.plan(run)
	if err != nil {
		v.Problem = flow.PlainText(err.Error())
	}
	if len(jobs) == 0 && plan != nil {
		jobs = planned(run, plan)
	}
	for i := range jobs {
		v.Jobs = append(v.Jobs, p.jobRow(&jobs[i], i, now))
	}
	v.Counts = countJobs(jobs)
	v.Bar, v.Chips = bar(v.Counts), chips(v.Jobs)
	if plan != nil {
		v.Graph = graph(run, plan, jobs)
	}
	v.Timeline = p.timeline(run, v.Jobs, bars, now)
	return v, bars, p.addFailures(ctx, v)
}

// plan returns what a run does. It does not change.
func (p *pages) plan(run *store.Run) (*flow.Plan, error) {
	if plan, ok := p.plans.get(run.ID, time.Time{}); ok {
		return plan, nil
	}
	plan, err := p.Plan(run)
	if err == nil {
		p.plans.put(run.ID, plan, time.Now())
	}
	return plan, err
}

// planned are the jobs of a run that has not started.
func planned(run *store.Run, plan *flow.Plan) []store.Job {
	jobs := make([]store.Job, len(plan.Jobs))
	for i, j := range plan.Jobs {
		jobs[i] = store.Job{
			Run: run.ID, Key: j.Key, Project: j.Invocation.Project.Name, Title: j.Title, Host: j.Host, Label: j.Label, Queue: j.Queue, Status: flow.StatusQueued,
		}
		if run.State == store.Completed { // it was cancelled before
			jobs[i].Status, jobs[i].Conclusion = flow.StatusCompleted, flow.Skipped
		}
	}
	return jobs
}

func (p *pages) jobRow(j *store.Job, place int, now time.Time) jobRow {
	r := jobRow{Job: *j, Place: place, State: stateOfJob(j.Status, j.Conclusion, j.Attempts), HostName: cmp.Or(p.hostName(j.Host), j.Label)}
	end := j.CompletedAt
	if j.Status != flow.StatusCompleted {
		end = now
	}
	if !j.StartedAt.IsZero() && !end.IsZero() {
		r.Duration = end.Sub(j.StartedAt)
	}
	switch {
	case j.QueuedAt.IsZero():
	case !j.StartedAt.IsZero():
		r.Wait = j.StartedAt.Sub(j.QueuedAt)
	case j.Status == flow.StatusQueued:
		r.Wait = now.Sub(j.QueuedAt)
	}
	if j.Conclusion != flow.Success {
		r.Reason = flow.PlainText(j.Error)
		if r.Reason == "" && j.Cause == flow.CauseDependency {
			r.Reason = "what it waited for did not succeed"
		}
	}
	return r
}

// hostName is what the configuration calls a host, or where it is.
func (p *pages) hostName(address string) string {
	for _, h := range p.Hosts {
		if h.Name != "" && strings.EqualFold(strings.TrimRight(h.URL, "/"), strings.TrimRight(address, "/")) {
			return h.Name
		}
	}
	if u, err := url.Parse(address); err == nil {
		return u.Host
	}
	return ""
}

func countJobs(jobs []store.Job) flow.Counts {
	r := flow.Run{Jobs: make([]flow.JobReport, len(jobs))}
	for i := range jobs {
		r.Jobs[i].Conclusion = jobs[i].Conclusion
	}
	return r.Count()
}

// chips are how many jobs are in each state, that to notice first first.
func chips(jobs []jobRow) []segment {
	n := map[string]int{}
	for i := range jobs {
		n[jobs[i].State]++
	}
	var out []segment
	for _, s := range jobStates {
		if n[s] > 0 {
			out = append(out, segment{State: s, N: n[s]})
		}
	}
	return out
}

// jobStates are those that a job can be in. The style sheet has them as well.
var jobStates = []string{
	string(flow.Failure), string(flow.TimedOut), string(flow.Cancelled), string(flow.StatusInProgress), string(flow.StatusQueued), statePending,
	string(flow.Neutral), string(flow.Success), string(flow.Skipped),
}

// addFailures adds what is to be noticed first.
func (p *pages) addFailures(ctx context.Context, v *runView) error {
	for i := range v.Jobs {
		j := &v.Jobs[i]
		if j.Conclusion != flow.Failure && j.Conclusion != flow.TimedOut {
			continue
		}
		if len(v.Failures) == maxFailures {
			v.More++
			continue
		}
		attempts, err := p.Store.Attempts(ctx, v.Run.ID, j.Key)
		if err != nil {
			return err
		}
		f := failureRow{jobRow: *j}
		if n := len(attempts); n > 0 && j.Cause == flow.CauseTask {
			f.Line, _ = flow.FirstFailure(attempts[n-1].Log)
		}
		v.Failures = append(v.Failures, f)
	}
	return nil
}

// graph is a run's plan as a picture that is part of its page.
func graph(run *store.Run, plan *flow.Plan, jobs []store.Job) template.HTML {
	if len(plan.Jobs) == 0 {
		return ""
	}
	byKey := make(map[string]*store.Job, len(jobs))
	for i := range jobs {
		byKey[jobs[i].Key] = &jobs[i]
	}
	svg := string(plan.LinkedSVG(func(j *flow.Job) (flow.Status, flow.Conclusion) {
		if s := byKey[j.Key]; s != nil {
			return s.Status, s.Conclusion
		}
		return flow.StatusQueued, ""
	}, func(j *flow.Job) string { return jobURL(run.ID, j.Key) }))
	// What is in a picture cannot be reached by those who do not see it.
	return template.HTML(strings.Replace(svg, `role="img"`, `role="group" aria-label="Graph of the jobs"`, 1)) //nolint:gosec // flow escapes all names
}

// snapshot is a run's page at a moment, in parts that change by themselves.
type snapshot struct {
	title string
	done  bool
	View  *runView
	Parts map[string]template.HTML // by the id of their element
}

// Part is the element of that id.
func (s *snapshot) Part(id string) template.HTML { return s.Parts[id] }

// Row is the element of a job.
func (s *snapshot) Row(place int) template.HTML { return s.Parts[rowID(place)] }

func rowID(place int) string { return fmt.Sprint("job-", place) }

// snapshot returns a run's page, not older than since: those who watch the
// same run share the work.
func (p *pages) snapshot(ctx context.Context, id string, since time.Time) (*snapshot, error) {
	if s, ok := p.snapshots.get(id, since); ok {
		return s, nil
	}
	now := time.Now()
	run, err := p.Store.Run(ctx, id)
	if err != nil {
		return nil, err
	}
	v, _, err := p.runView(ctx, run, now)
	if err != nil {
		return nil, err
	}
	s := &snapshot{title: stateWord(v.State) + ": " + v.Title + " · " + run.Repo, done: !v.Live, View: v, Parts: map[string]template.HTML{}}
	for _, id := range []string{"run-head", "run-failures", "run-graph", "run-timeline", "run-chips", "run-artifacts"} {
		err = errors.Join(err, p.part(s.Parts, id, id, v))
	}
	for i := range v.Jobs {
		err = errors.Join(err, p.part(s.Parts, rowID(i), "run-job", &v.Jobs[i]))
	}
	if err != nil {
		return nil, err
	}
	p.snapshots.put(id, s, now)
	return s, nil
}

// part adds a part by the template that makes it.
func (p *pages) part(parts map[string]template.HTML, id, name string, v any) error {
	var b strings.Builder
	err := p.templates.ExecuteTemplate(&b, name, v)
	parts[id] = template.HTML(b.String()) //nolint:gosec // a template has made it
	return err
}

// Why is why the run was started, unless the facts say as much.
func (v *runView) Why() string {
	why := flow.PlainText(v.Run.Origin.Reason)
	if why == v.Title || why == v.Run.Origin.Event+" to "+v.Run.Branch {
		return ""
	}
	return why
}
