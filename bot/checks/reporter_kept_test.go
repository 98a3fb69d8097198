package checks_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/cromt/cromt/bot/checks"
	"github.com/cromt/cromt/bot/githubtest"
	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/flow/flowtest"
)

// Jobs whose results are of an earlier run get no check runs once more, and
// are rows of the aggregate.
func TestReporterKept(t *testing.T) {
	s := newScene(t, 3)
	var kept []flow.Kept
	for _, j := range s.plan.Jobs[:2] {
		kept = append(kept, flow.Kept{Job: j.Key, Result: flow.Result{Conclusion: flow.Success, Kept: "r0"}})
	}
	rep := checks.NewReporter(s.plan, s.config)
	report, err := (&flow.Engine{Executor: &flowtest.Executor{}, Reporters: []flow.Reporter{rep}}).
		Run(t.Context(), flow.RunOptions{ID: "r1", Plan: s.plan, Kept: kept})
	if err != nil {
		t.Fatal(err)
	}
	rep.SetRun(report)
	if notes := rep.Close(t.Context()); len(notes) > 0 {
		t.Errorf("notes %q", notes)
	}
	names := map[string]githubtest.CheckRun{}
	for _, k := range s.repo.CheckRuns() {
		names[k.Name] = k
	}
	if len(names) != 2 || names["cromt / "+s.plan.Jobs[2].Key].Conclusion != "success" {
		t.Errorf("check runs %v", names)
	}
	all := names["cromt"]
	rows := slices.DeleteFunc(strings.Split(all.Summary, "\n"), func(l string) bool { return !strings.Contains(l, "kept from run `r0`") })
	if all.Conclusion != "success" || len(rows) != 2 {
		t.Errorf("%+v", all)
	}
}
