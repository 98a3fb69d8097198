package bot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cromt/cromt/bot/checks"
	"github.com/cromt/cromt/bot/comment"
	"github.com/cromt/cromt/bot/githubapp"
	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/flow"
)

// showPlan answers plan: the graph, what runs where, and what of it differs
// from the branch that the pull request goes into.
func (a *asked) showPlan(ctx context.Context, c comment.Command) (string, error) {
	run, err := a.newRun(ctx, c)
	if err != nil || run == nil {
		return "", err
	}
	plan, err := a.mayRun(run)
	if err != nil {
		a.failAll(c, err)
		return "", nil
	}
	text := planText(plan)
	head := "At " + checks.Code(a.pull.HeadSHA[:7]) + ":\n\n"
	if a.subject.Fork {
		head = "The code is of a fork: what runs is what the branch " + checks.Code(a.pull.BaseRef) + " says.\n\n"
	}
	diff, err := a.planChange(ctx, run, text)
	if err != nil {
		return "", err
	}
	graph := checks.Graph(checks.View{Plan: plan, Run: &flow.Run{}})
	return fit(a.room, head, []string{diff, checks.Block("", text), graph}), nil
}

func planText(p *flow.Plan) string {
	var b strings.Builder
	_ = p.WriteText(&b) // a Builder takes everything
	return b.String()
}

// planChange says how a plan differs from that of the base branch.
func (a *asked) planChange(ctx context.Context, run *store.Run, text string) (string, error) {
	if a.subject.Fork {
		return "", nil
	}
	base, err := tip(ctx, a.repo, a.pull.BaseRef)
	if err != nil {
		return "", err
	}
	name := "the branch " + checks.Code(a.pull.BaseRef)
	old := *run
	if old.Spec.Config, err = a.repo.File(ctx, a.Settings.ConfigPath, base); err != nil {
		if errors.Is(err, githubapp.ErrNotFound) {
			return "All of it is new: " + name + " has no " + checks.Code(a.Settings.ConfigPath) + ".\n", nil
		}
		if errors.Is(err, githubapp.ErrNotFile) || errors.Is(err, githubapp.ErrTooLarge) {
			return "It cannot be compared with " + name + ", where " + checks.Code(a.Settings.ConfigPath) + " cannot be read: " + checks.Text(firstLine(err)) + ".\n", nil
		}
		return "", err
	}
	plan, err := a.mayRun(&old)
	if err != nil {
		return "It cannot be compared with " + name + ", where this cannot be planned: " + checks.Text(firstLine(err)) + ".\n", nil
	}
	lines := difference(strings.Split(planText(plan), "\n"), strings.Split(text, "\n"))
	switch {
	case lines == nil:
		return "It differs from " + name + " in more than can be shown.\n", nil
	case len(lines) == 0:
		return "It does not differ from " + name + ".\n", nil
	}
	return "What differs from " + name + ":\n\n" + checks.Block("diff", strings.Join(lines, "\n")), nil
}

// fit joins parts in at most room bytes; what does not fit is left out, and
// told of.
func fit(room int, head string, parts []string) string {
	const note = "Some of it is left out: it does not fit here.\n"
	text, left := head, false
	for _, p := range parts {
		if len(text)+len(p)+len(note)+1 > room {
			left = true
			continue
		}
		if p != "" {
			text += p + "\n"
		}
	}
	if left {
		text += note
	}
	return text
}

// showStatus answers status: the newest run, and the others that go on.
func (a *asked) showStatus(ctx context.Context, _ comment.Command) (string, error) {
	runs, err := a.runs(ctx)
	if err != nil {
		return "", err
	}
	if len(runs) == 0 {
		return "Nothing has run here: `/cromt run` starts a run.\n", nil
	}
	v, err := a.viewOf(ctx, &runs[0])
	if err != nil {
		return "", err
	}
	var b strings.Builder
	if why := waitsBefore(&runs[0]); why != "" {
		b.WriteString(why + "\n\n")
	}
	for i := range runs[1:] {
		if r := &runs[1+i]; r.State != store.Completed && b.Len() < a.room/4 {
			fmt.Fprintf(&b, "Run %s at %s is not at its end either (%s).\n\n", checks.Link(checks.Code(r.ID), a.Settings.runURL(r.ID)), checks.Code(r.SHA[:7]), r.State)
		}
	}
	return checks.Summary(v, a.room-b.Len()) + "\n" + b.String(), nil
}

// waitsBefore says what a run waits for that has not begun.
func waitsBefore(r *store.Run) string {
	switch {
	case r.State == store.Waiting:
		return "The code is of a fork: it waits for `/cromt ok " + r.SHA + "`, or for the button on the check."
	case r.State == store.Queued:
		return "It has not begun: it waits for its turn since " + checks.Duration(time.Since(r.CreatedAt)) + "."
	}
	return ""
}

func (a *asked) viewOf(ctx context.Context, r *store.Run) (checks.View, error) {
	run, plan, err := a.view(ctx, r.ID)
	if err != nil {
		return checks.View{}, err
	}
	return checks.View{
		Run: run, Plan: plan, Now: time.Now(), RunURL: a.Settings.runURL(r.ID), JobURL: func(key string) string { return a.Settings.jobURL(r.ID, key) },
	}, nil
}

// showLogs answers logs: the end of a project's log, on one host or on each.
func (a *asked) showLogs(ctx context.Context, c comment.Command) (string, error) {
	runs, err := a.runs(ctx)
	if err != nil {
		return "", err
	}
	var names []string
	for i := range runs {
		v, err := a.viewOf(ctx, &runs[i])
		if errors.Is(err, flow.ErrOtherPlan) || i == maxLooked {
			break
		}
		if err != nil {
			return "", err
		}
		jobs, labels := jobsOf(v.Run, c.Args)
		if len(jobs) > 0 {
			return a.logsOf(ctx, v, jobs)
		}
		if len(labels) > 0 {
			return "", problem{fmt.Sprintf("project %q has no job on %q", c.Args[0], c.Args[1]), hosts(c.Args[1], labels)}
		}
		for k := range v.Run.Jobs {
			names = append(names, v.Run.Jobs[k].Project)
		}
	}
	return "", problem{fmt.Sprintf("project %q has not run here", c.Args[0]), meant(c.Args[0], names)}
}

func hosts(word string, labels []string) string {
	if hint := meant(word, labels); hint != "" {
		return hint
	}
	return "it has on " + strings.Join(labels[:min(len(labels), maxProblems)], ", ")
}

// jobsOf are the jobs of a project, on the host of that label or name if it is
// named, and the labels of all of the project's jobs. Those that failed are
// first.
func jobsOf(r *flow.Run, args []string) (jobs []*flow.JobReport, labels []string) {
	for i := range r.Jobs {
		j := &r.Jobs[i]
		if j.Project != args[0] {
			continue
		}
		labels = append(labels, j.Label)
		if len(args) < 2 || strings.EqualFold(j.Label, args[1]) {
			jobs = append(jobs, j)
		}
	}
	slices.SortStableFunc(jobs, func(x, y *flow.JobReport) int {
		if x.Troubled() == y.Troubled() {
			return 0
		}
		if x.Troubled() {
			return -1
		}
		return 1
	})
	return jobs, labels
}

// logsOf shows the ends of logs, of as many jobs as there is room for.
func (a *asked) logsOf(ctx context.Context, v checks.View, jobs []*flow.JobReport) (string, error) {
	shown := jobs[:min(len(jobs), maxLogs)]
	room := a.room/len(shown) - replyHead/maxLogs
	var b strings.Builder
	for _, j := range shown {
		if err := a.liveLog(ctx, v.Run.ID, j); err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%s %s", checks.Code(j.Key), checks.Text(checks.JobTitle(v, j)))
		if j.Kept != "" {
			b.WriteString(", kept from run " + checks.Link(checks.Code(j.Kept), a.Settings.jobURL(j.Kept, j.Key)))
		}
		b.WriteString(": " + checks.Link("the whole log", v.JobURL(j.Key)) + "\n\n")
		short := *j
		short.Attempts = slices.Clone(j.Attempts)
		for i := range short.Attempts {
			short.Attempts[i].Log = strings.Join(flow.Tail(short.Attempts[i].Log, logLines), "\n")
		}
		b.WriteString(checks.JobText(v, &short, room) + "\n")
	}
	if more := len(jobs) - len(shown); more > 0 {
		fmt.Fprintf(&b, "and %d more jobs: name a host\n", more)
	}
	return b.String(), nil
}

// liveLog takes the end of a log that is not in the journal: of a job that
// runs, or of one that an earlier run has run.
func (a *asked) liveLog(ctx context.Context, run string, j *flow.JobReport) error {
	job := j.Key
	if j.Kept != "" {
		attempts, err := a.Store.Attempts(ctx, j.Kept, job)
		for _, at := range attempts {
			j.Attempts = append(j.Attempts, at.AttemptReport)
		}
		return err
	}
	n := len(j.Attempts)
	if n == 0 || j.Attempts[n-1].Log != "" {
		return nil
	}
	log, err := a.Store.ReadLog(ctx, run, job, n, 0, 1)
	if err != nil || log.Size == 0 {
		return err
	}
	log, err = a.Store.ReadLog(ctx, run, job, n, log.Size-flow.LogTailLimit, flow.LogTailLimit)
	j.Attempts[n-1].Log = string(log.Data)
	return err
}
