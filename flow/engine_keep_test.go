package flow_test

import (
	"slices"
	"testing"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/flow/flowtest"
)

// shop is build on two hosts, test and deploy behind it, lint beside it, and a
// clean-up that every build has.
func shop() *flow.Plan {
	s := newSketch()
	s.inv("build", 2)
	always := s.after("build", flow.WhenAlways, "clean")
	s.inv("test", 1, "build")
	s.inv("deploy", 1, "test")
	s.inv("lint", 1)
	p := s.roots("deploy", "lint")
	for _, j := range p.Jobs {
		switch j.Invocation.Key {
		case "clean":
			j.Needs = always.Parent.Jobs
		case "test":
			j.Needs = append(slices.Clone(s.byID["build"].Jobs), s.byID["clean"].Jobs...)
			j.In = []flow.Input{{File: "app.tar", From: s.byID["build"].Jobs}}
		case "deploy":
			j.Needs = s.byID["test"].Jobs
		}
	}
	for _, j := range s.byID["build"].Jobs {
		j.Out = []flow.Output{{File: "app.tar", Path: "app.tar"}}
	}
	return p
}

// built makes app.tar in every build, and has what is listed fail.
func built(failing ...string) *flowtest.Executor {
	return &flowtest.Executor{Script: func(a flow.Attempt) flowtest.Step {
		res := flow.Result{Conclusion: flow.Success}
		if slices.Contains(failing, a.Job.Key) {
			return flowtest.Step{Result: fail}
		}
		if a.Job.Invocation.Key == "build" {
			res.Artifacts = []flow.Artifact{{File: "app.tar", SHA256: "of " + a.JobID, Host: a.Job.Host, JobID: a.JobID}}
		}
		return flowtest.Step{Result: res}
	}}
}

func ran(e *flowtest.Executor) []string {
	var keys []string
	for _, a := range e.All() {
		keys = append(keys, a.Job.Key)
	}
	slices.Sort(keys)
	return keys
}

func bad(j *flow.JobReport) bool { return j.Troubled() }

func TestKeep(t *testing.T) {
	for _, c := range []struct {
		name    string
		failing []string
		again   func(*flow.JobReport) bool
		ran     []string
		end     flow.Conclusion
	}{
		{"failed and what waited for it", []string{"test@h1"}, bad, []string{"deploy@h1", "test@h1"}, flow.Success},
		{"one host of two, and the clean-up behind it", []string{"build@h2"}, bad, []string{"build@h2", "clean@h1", "deploy@h1", "test@h1"}, flow.Success},
		{"a filter leaves the other failure failed", []string{"test@h1", "lint@h1"},
			func(j *flow.JobReport) bool { return j.Troubled() && j.Project == "lint" }, []string{"lint@h1"}, flow.Failure},
		{"what a filter names needs what failed before it", []string{"test@h1", "lint@h1"},
			func(j *flow.JobReport) bool { return j.Troubled() && j.Project == "deploy" }, []string{"deploy@h1", "test@h1"}, flow.Failure},
		{"a green one, and what needs it", nil,
			func(j *flow.JobReport) bool { return j.Project == "test" }, []string{"deploy@h1", "test@h1"}, flow.Success},
		{"all", nil, func(*flow.JobReport) bool { return true },
			[]string{"build@h1", "build@h2", "clean@h1", "deploy@h1", "lint@h1", "test@h1"}, flow.Success},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := shop()
			first := run(t, &flow.Engine{Executor: built(c.failing...)}, p)
			kept := p.Keep(first, c.again)
			exec := built()
			second, err := (&flow.Engine{Executor: exec, FailFast: true}).Run(t.Context(), flow.RunOptions{ID: "r2", Plan: p, Kept: kept})
			if err != nil {
				t.Fatal(err)
			}
			if got := ran(exec); !slices.Equal(got, c.ran) {
				t.Errorf("ran %v, want %v", got, c.ran)
			}
			if second.Conclusion != c.end {
				t.Errorf("concluded %s, want %s", second.Conclusion, c.end)
			}
			for _, j := range second.Jobs {
				if again := slices.Contains(c.ran, j.Key); again == (j.Kept == "r1") && j.Conclusion != flow.Skipped {
					t.Errorf("%s: kept %q", j.Key, j.Kept)
				}
			}
		})
	}
}

// A job that runs again gets the artifacts of those that do not.
func TestKeepArtifacts(t *testing.T) {
	p := shop()
	first := run(t, &flow.Engine{Executor: built("test@h1")}, p)
	exec := built()
	if _, err := (&flow.Engine{Executor: exec}).Run(t.Context(), flow.RunOptions{ID: "r2", Plan: p, Kept: p.Keep(first, bad)}); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(exec.All(), func(a flow.Attempt) bool { return a.Job.Key == "test@h1" })
	in := exec.All()[i].Inputs
	if len(in) != 3 || in[0].Artifact.SHA256 != "of "+first.Jobs[0].Last().JobID {
		t.Errorf("inputs %+v", in)
	}
}

// What was kept stays kept when the run is taken up by another process, and
// when it is repeated once more.
func TestKeepResumed(t *testing.T) {
	p := shop()
	first := run(t, &flow.Engine{Executor: built("test@h1")}, p)
	var history flowtest.Reporter
	exec := built("test@h1")
	second, err := (&flow.Engine{Executor: exec, Journal: &history}).Run(t.Context(), flow.RunOptions{ID: "r2", Plan: p, Kept: p.Keep(first, bad)})
	if err != nil {
		t.Fatal(err)
	}
	events := history.Events()
	resumed := events[:slices.IndexFunc(events, func(ev flow.Event) bool { return ev.Kind == flow.JobQueued })]
	exec = built()
	if _, err := (&flow.Engine{Executor: exec}).Run(t.Context(), flow.RunOptions{ID: "r2", Plan: p, History: resumed}); err != nil {
		t.Fatal(err)
	}
	if got := ran(exec); !slices.Equal(got, []string{"deploy@h1", "test@h1"}) {
		t.Errorf("resumed: ran %v", got)
	}
	third := p.Keep(second, bad)
	if len(third) != 4 || third[0].Result.Kept != "r1" {
		t.Errorf("kept once more: %+v", third)
	}
}
