package action_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/cmd/cromt/action"
)

func env(pairs map[string]string) func(string) string {
	return func(name string) string { return pairs[name] }
}

func TestReadInputs(t *testing.T) {
	in, err := action.ReadInputs(env(map[string]string{
		"INPUT_CONFIG": " ci/jobs.yaml\n", "INPUT_PROJECTS": "a b\nc", "INPUT_LOCAL": "True", "INPUT_CHECKS": "per-host",
		"INPUT_VARS":        "A=1\r\n# not one\n\nB= two = 2 \nC=\nLONG<<END\nx=1\n  y<<z\nEND\nD=<<\n",
		"INPUT_SECRETS":     "KEY<<EOF\n-----BEGIN\nabc\nEOF\nT=s3cret",
		"INPUT_CLONE_TOKEN": "ghs_1", "INPUT_GITHUB_TOKEN": "ghs_2", "INPUT_TIMEOUT": "90", "INPUT_FAIL_FAST": "true",
		"INPUT_ANNOTATIONS": "false", "INPUT_REF": "merge", "INPUT_HOSTS": "- url: https://a:4000\n",
	}))
	if err != nil {
		t.Fatal(err)
	}
	if in.Config != "ci/jobs.yaml" || !slices.Equal(in.Projects, []string{"a", "b", "c"}) || !in.Local || in.Checks != "per-host" ||
		in.Timeout != 90*time.Second || !in.FailFast || in.Annotations || !in.Merge || in.Hosts != "- url: https://a:4000\n" || in.Comment || in.Cancel {
		t.Errorf("%+v", in)
	}
	vars := map[string]string{"A": "1", "B": " two = 2 ", "C": "", "LONG": "x=1\n  y<<z", "D": "<<"}
	if !maps.Equal(in.Vars, vars) {
		t.Errorf("vars %q, want %q", in.Vars, vars)
	}
	masked := in.Masked()
	slices.Sort(masked)
	if want := []string{"-----BEGIN\nabc", "ghs_1", "ghs_2", "s3cret"}; !slices.Equal(masked, want) {
		t.Errorf("masked %q, want %q", masked, want)
	}
}

func TestInputDefaults(t *testing.T) {
	in, err := action.ReadInputs(env(nil))
	if err != nil {
		t.Fatal(err)
	}
	if in.Checks != "off" || !in.Annotations || in.Local || in.Comment || in.FailFast || in.Merge || in.Cancel || in.Timeout != 0 || in.Config != "" || len(in.Projects) > 0 {
		t.Errorf("%+v", in)
	}
}

// Every wrong input is named at once, and no secret is told.
func TestInputErrors(t *testing.T) {
	_, err := action.ReadInputs(env(map[string]string{
		"INPUT_LOCAL": "yes", "INPUT_CHECKS": "all", "INPUT_TIMEOUT": "-1s", "INPUT_VARS": "1A=x\nA=1\nA=2\nnope",
		"INPUT_SECRETS": "hunter2\nhunter3 is=not a name\nKEY<<EOF\nhunter4", "INPUT_COMMAND": "stop",
	}))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`input local: "yes" is neither true nor false`, `input checks: "all" is none of off, aggregate, per-host`, `input timeout: "-1s" is no time`,
		"input vars: line 1: a name has", "input vars: line 3: A is given twice", "input vars: line 4 is not NAME=value",
		"input secrets: line 1 is not NAME=value", "input secrets: line 2: a name has", "input secrets: line 3 begins a value that nothing ends",
		`input command: "stop" is none of run, cancel`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "hunter") {
		t.Errorf("a secret is told: %v", err)
	}
}

func FuzzPairs(f *testing.F) {
	f.Add("A=1\nB<<E\nx\nE\n")
	f.Add("<<\n=\n<<<")
	f.Fuzz(func(t *testing.T, text string) {
		in, err := action.ReadInputs(env(map[string]string{"INPUT_VARS": text}))
		if err != nil {
			return
		}
		for name := range in.Vars {
			if !strings.Contains(text, name) {
				t.Errorf("%q is not in the text", name)
			}
		}
	})
}
