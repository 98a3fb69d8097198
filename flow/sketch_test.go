package flow_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/flow/flowtest"
)

// sketch builds plans by hand: "name: hosts".
type sketch struct {
	plan flow.Plan
	byID map[string]*flow.Invocation
}

func newSketch() *sketch { return &sketch{byID: map[string]*flow.Invocation{}} }

func (s *sketch) inv(name string, hosts int, before ...string) *flow.Invocation {
	inv := &flow.Invocation{
		Key: name, Timeout: time.Hour, QueueTimeout: time.Hour,
		Project: &flow.Project{Name: name, Pos: flow.Pos{Line: len(s.byID) + 1, Col: 1}},
		Retry:   flow.Retry{Delay: 10 * time.Second, Backoff: 2, MaxDelay: time.Minute, On: []string{"failure"}},
	}
	for _, b := range before {
		inv.Before = append(inv.Before, s.byID[b])
	}
	for i := range hosts {
		label := fmt.Sprintf("h%d", i+1)
		inv.Jobs = append(inv.Jobs, &flow.Job{
			Key: name + "@" + label, Label: label, Invocation: inv, Host: "http://" + label, Queue: name + "-" + label,
			Work: &flow.Work{Source: flow.Source{Kind: flow.SourceDir, Dir: "/x"}},
		})
	}
	s.byID[name] = inv
	s.plan.Invocations = append(s.plan.Invocations, inv)
	s.plan.Jobs = append(s.plan.Jobs, inv.Jobs...)
	return inv
}

func (s *sketch) after(parent string, when flow.When, name string) *flow.Invocation {
	inv := s.inv(name, 1)
	inv.Parent = s.byID[parent]
	inv.Parent.After = append(inv.Parent.After, flow.AfterEdge{Invocation: inv, When: when})
	return inv
}

func (s *sketch) roots(names ...string) *flow.Plan {
	for _, n := range names {
		s.plan.Roots = append(s.plan.Roots, s.byID[n])
	}
	return &s.plan
}

func script(steps map[string]flowtest.Step) func(flow.Attempt) flowtest.Step {
	return func(a flow.Attempt) flowtest.Step {
		if st, ok := steps[fmt.Sprintf("%s/%d", a.Job.Key, a.Number)]; ok {
			return st
		}
		return steps[a.Job.Key]
	}
}

var fail = flow.Result{Conclusion: flow.Failure, Cause: flow.CauseTask, Error: "exit status 7", ExitCode: 7}

func run(t *testing.T, e *flow.Engine, p *flow.Plan) *flow.Run {
	t.Helper()
	r, err := e.Run(t.Context(), flow.RunOptions{ID: "r1", Plan: p})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// ends returns "key=conclusion/cause" of every job.
func ends(r *flow.Run) string {
	var s []string
	for _, j := range r.Jobs {
		s = append(s, fmt.Sprintf("%s=%s/%s", strings.TrimSuffix(j.Key, "@h1"), j.Conclusion, j.Cause))
	}
	return strings.Join(s, " ")
}

func check(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s\n got %s\nwant %s", what, got, want)
	}
}
