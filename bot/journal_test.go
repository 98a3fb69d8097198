package bot

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/flow/flowtest"
)

// reporterFunc is a Reporter.
type reporterFunc func([]flow.Event) error

func (f reporterFunc) Report(_ context.Context, events []flow.Event) error { return f(events) }

// A run whose events the database does not take is let go of, so that it goes
// on later: nothing of it is cancelled, and nobody is told so.
func TestJournalLetsGo(t *testing.T) {
	away := errors.New("driver: bad connection")
	for name, tt := range map[string]struct {
		problem, want error
		at            flow.EventKind
	}{
		"the database is away":            {away, errNoNotes, flow.JobStarted},
		"the database is away at the end": {away, errNoNotes, flow.JobCompleted},
		"another owner has it":            {store.ErrFenced, errFenced, flow.JobStarted},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				file, err := flow.Parse("jobs.yaml", []byte("projects:\n  a:\n    path: .\n    action: step\n"))
				if err != nil {
					t.Fatal(err)
				}
				plan, err := flow.NewPlan(file, flow.PlanOptions{Roots: []string{"a"}})
				if err != nil {
					t.Fatal(err)
				}
				e := flow.Engine{
					Executor: &flowtest.Executor{Script: func(flow.Attempt) flowtest.Step { return flowtest.Step{Run: time.Minute} }},
					Journal: journal{reporterFunc(func(events []flow.Event) error {
						if slices.ContainsFunc(events, func(ev flow.Event) bool { return ev.Kind == tt.at }) {
							return tt.problem
						}
						return nil
					})},
					Reporters: []flow.Reporter{reporterFunc(func(events []flow.Event) error {
						for _, ev := range events {
							if ev.Kind == flow.JobCompleted || ev.Kind == flow.RunCompleted {
								t.Errorf("told that it has ended: %+v", ev)
							}
						}
						return nil
					})},
				}
				_, err = e.Run(t.Context(), flow.RunOptions{ID: "run", Plan: plan})
				if !errors.Is(err, flow.ErrDetached) || !errors.Is(err, tt.want) {
					t.Errorf("it ended with %v", err)
				}
			})
		})
	}
}
