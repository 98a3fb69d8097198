package bot

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cromt/cromt/bot/checks"
	"github.com/cromt/cromt/bot/comment"
	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/flow"
)

// showWhy answers why: of each job that is not done, or was not run, why, and
// when it may be.
func (a *asked) showWhy(ctx context.Context, c comment.Command) (string, error) {
	runs, err := a.runs(ctx)
	if err != nil {
		return "", err
	}
	if len(runs) == 0 {
		return "Nothing has run here: `/cromt run` starts a run.\n", nil
	}
	if ok, err := a.knows(ctx, c, runs[0].ID, c.Args); !ok || err != nil {
		return "", err
	}
	v, err := a.viewOf(ctx, &runs[0])
	if err != nil {
		return "", err
	}
	w := &whys{a: a, view: v, queues: map[string][]store.Job{}}
	if w.usual, err = a.Store.Durations(ctx, a.ev.Repo.FullName, durationRuns); err != nil {
		return "", err
	}
	w.estimate()
	var b strings.Builder
	fmt.Fprintf(&b, "Run %s: %s.\n", checks.Link(checks.Code(runs[0].ID), v.RunURL), checks.Text(checks.Title(v.Run)))
	if why := waitsBefore(&runs[0]); why != "" {
		b.WriteString("\n" + why + "\n")
	}
	if len(v.Run.Jobs) == 0 && runs[0].Origin.Reason != "" {
		b.WriteString("\n" + checks.Block("", runs[0].Origin.Reason))
	}
	b.WriteByte('\n')
	err = w.list(ctx, &b, c.Args)
	return b.String(), err
}

// whys says of the jobs of a run why they wait.
type whys struct {
	a      *asked
	view   checks.View
	usual  map[string]time.Duration // by job key
	starts map[string]time.Duration // from now, as estimated; by job key
	queues map[string][]store.Job   // by host
}

// list writes a line for each job of the projects, or of all that did not
// succeed.
func (w *whys) list(ctx context.Context, b *strings.Builder, projects []string) error {
	listed, left := 0, 0
	for i := range w.view.Run.Jobs {
		j := &w.view.Run.Jobs[i]
		if len(projects) > 0 && !slices.Contains(projects, j.Project) || len(projects) == 0 && j.Conclusion.Passed() {
			continue
		}
		if listed++; listed > checks.MaxRows {
			left++
			continue
		}
		why, err := w.why(ctx, j)
		if err != nil {
			return err
		}
		fmt.Fprintf(b, "- %s %s\n", checks.Code(j.Key), why)
	}
	if left > 0 {
		fmt.Fprintf(b, "- and %d more jobs: name a project\n", left)
	}
	if listed == 0 {
		b.WriteString("Nothing waits, and nothing was skipped.\n")
	}
	return nil
}

// why is Markdown.
func (w *whys) why(ctx context.Context, j *flow.JobReport) (string, error) {
	title := checks.Text(checks.JobTitle(w.view, j))
	if j.Status == flow.StatusCompleted {
		return title, nil
	}
	if w.view.Run.Conclusion != "" {
		return "was not reached", nil
	}
	when := w.when(j)
	last := j.Last()
	switch {
	case j.Status == flow.StatusInProgress:
		return title + when, nil
	case last == nil || last.Status == flow.StatusCompleted:
		return title + when, nil
	}
	place, err := w.place(ctx, j)
	if err != nil || place == 0 {
		return title + when, err
	}
	return fmt.Sprintf("%s, %d. of those that were sent there and have not ended%s", title, place, when), nil
}

// place is a job's among those that its host was sent, from 1; 0: not there.
func (w *whys) place(ctx context.Context, j *flow.JobReport) (int, error) {
	queue, ok := w.queues[j.Host]
	if !ok {
		var err error
		if queue, err = w.a.Store.OnHost(ctx, j.Host); err != nil {
			return 0, err
		}
		w.queues[j.Host] = queue
	}
	return 1 + slices.IndexFunc(queue, func(o store.Job) bool { return o.Run == w.view.Run.ID && o.Key == j.Key }), nil
}

// when says what the past lets expect of a job that has not ended.
func (w *whys) when(j *flow.JobReport) string {
	usual, ok := w.usual[j.Key]
	if !ok {
		return "; how long it takes is not known yet"
	}
	text := "; it usually takes " + checks.Duration(usual)
	if start := w.starts[j.Key]; j.Status == flow.StatusQueued && start > 0 {
		text += ", and may start in about " + checks.Duration(start)
	}
	return text
}

// estimate finds when jobs may start: when those that they need have ended,
// each taking what it usually does. Of a job that never succeeded nothing is
// known, and nothing of those behind it.
func (w *whys) estimate() {
	w.starts = map[string]time.Duration{}
	if w.view.Plan == nil {
		return
	}
	reports := map[string]*flow.JobReport{}
	for i := range w.view.Run.Jobs {
		reports[w.view.Run.Jobs[i].Key] = &w.view.Run.Jobs[i]
	}
	ends := map[string]time.Duration{}
	unknown := map[string]bool{}
	for _, j := range w.view.Plan.Jobs {
		rep := reports[j.Key]
		if rep == nil || rep.Status == flow.StatusCompleted {
			continue
		}
		var start time.Duration
		lost := false
		for _, n := range j.Needs {
			start, lost = max(start, ends[n.Key]), lost || unknown[n.Key]
		}
		usual, ok := w.usual[j.Key]
		if last := rep.Last(); last != nil && !last.StartedAt.IsZero() {
			usual = max(usual-w.view.Now.Sub(last.StartedAt), 0)
		}
		ends[j.Key], unknown[j.Key] = start+usual, lost || !ok
		if !lost {
			w.starts[j.Key] = start
		}
	}
}
