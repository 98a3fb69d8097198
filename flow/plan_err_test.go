package flow_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cromt/cromt/flow"
)

func TestPlanErrors(t *testing.T) {
	names, err := filepath.Glob(filepath.Join("..", "testdata", "jobs", "err", plannerCases+"*.yaml"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			plan, err := planErr(t, string(data))
			var list flow.ErrorList
			if !errors.As(err, &list) || plan != nil {
				t.Fatalf("plan is %v, error %v", plan, err)
			}
			golden(t, strings.TrimSuffix(name, ".yaml")+".err", err.Error()+"\n")
		})
	}
}

// golden compares got with a file, which -update writes.
func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestPlanOptionErrors(t *testing.T) {
	const file = `
projects:
  build: {vars: {WORKER: 1}, before: [name: setup]}
  setup: {}
  deploy: {vars: {TARGET: x}, url: "https://x"}
`
	for _, tt := range []struct {
		name string
		o    flow.PlanOptions
		want string
	}{
		{"root", flow.PlanOptions{Roots: []string{"biuld", "zzz"}}, `jobs.yaml: project "biuld" is not defined; did you mean "build"?` + "\n" + `jobs.yaml: project "zzz" is not defined`},
		{"variable", flow.PlanOptions{Vars: map[string]string{"WORKR": "2", "WORKER": "3"}}, `jobs.yaml: no job of the plan has a variable "WORKR"; did you mean "WORKER"?`},
		{"variable of another project", flow.PlanOptions{Roots: []string{"build"}, Vars: map[string]string{"TARGET": "y"}}, `jobs.yaml: no job of the plan has a variable "TARGET"`},
		{"no default host", flow.PlanOptions{RequireHost: true}, `jobs.yaml:3:3: no host to run on; give it a "url"` + "\n" + `jobs.yaml:4:3: no host to run on; give it a "url"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, err := flow.Parse("jobs.yaml", []byte(file))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := flow.NewPlan(f, tt.o); err == nil || err.Error() != tt.want {
				t.Errorf("error is\n%v\nwant\n%s", err, tt.want)
			}
		})
	}
}

// What is wrong in a file is planned for the projects at hand, too.
func TestPlanArtifactOfRoots(t *testing.T) {
	const file = `
projects:
  build: {artifacts: {out: [{file: f, path: f}]}, after: [name: test]}
  test: {artifacts: {in: [f]}}
`
	planOf(t, file)
	_, err := planErr(t, file, roots("test"))
	const want = `jobs.yaml:4:27: artifact "f" has no earlier producer; "build" makes it; name it under "before" of "test"`
	if err == nil || err.Error() != want {
		t.Errorf("error is\n%v\nwant\n%s", err, want)
	}
}
