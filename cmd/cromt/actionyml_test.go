//go:build unix

package main_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// actionFile is what action.yml says.
type actionFile struct {
	Name, Description, Author string
	Branding                  struct{ Icon, Color string }
	Inputs                    map[string]struct {
		Description string
		Default     *string
		Required    bool
	}
	Outputs map[string]struct{ Description, Value string }
	Runs    struct {
		Using string
		Steps []struct {
			ID, Shell, Run string
			Env            map[string]string
		}
	}
}

func readAction(t *testing.T) actionFile {
	t.Helper()
	data, err := os.ReadFile("../../action.yml")
	if err != nil {
		t.Fatal(err)
	}
	var a actionFile
	if err := yaml.Unmarshal(data, &a); err != nil {
		t.Fatal(err)
	}
	return a
}

// Inputs reach the program by their names in the environment: a name that a
// shell may drop, or an input in the shell's text, would be a fault.
func TestActionFileInputs(t *testing.T) {
	a := readAction(t)
	want := strings.Fields(`annotations binary checks clone-token command comment config fail-fast github-token
		hosts local projects ref report secrets timeout vars`)
	var names []string
	env := map[string]string{}
	for name, input := range a.Inputs {
		names = append(names, name)
		if !strings.Contains(input.Description, "Default: ") || input.Default == nil {
			t.Errorf("input %s: its description must name its default, and default must give it", name)
		}
		if input.Required {
			t.Errorf("input %s: required, though it has a default", name)
		}
		env["INPUT_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))] = "${{ inputs." + name + " }}"
	}
	if slices.Sort(names); !slices.Equal(names, want) {
		t.Errorf("inputs %q, want %q", names, want)
	}
	if len(a.Runs.Steps) != 1 || a.Runs.Using != "composite" {
		t.Fatalf("want one step of a composite, so that nothing is between the runner and the program: %+v", a.Runs)
	}
	step := a.Runs.Steps[0]
	for name, value := range env {
		if step.Env[name] != value {
			t.Errorf("env %s is %q, want %q", name, step.Env[name], value)
		}
	}
	for name := range step.Env {
		if env[name] == "" || !regexp.MustCompile(`^[A-Z_]+$`).MatchString(name) {
			t.Errorf("env %s belongs to no input", name)
		}
	}
	if strings.Contains(step.Run, "${{") || !strings.HasPrefix(step.Run, "exec ") || strings.Contains(step.Run, "\n") {
		t.Errorf("run must be one exec without expressions: %s", step.Run)
	}
}

func TestActionFileOutputs(t *testing.T) {
	a := readAction(t)
	want := strings.Fields("conclusion failed junit report run-id summary-url")
	var names []string
	for name, output := range a.Outputs {
		names = append(names, name)
		if output.Description == "" || output.Value != "${{ steps."+a.Runs.Steps[0].ID+".outputs."+name+" }}" {
			t.Errorf("output %s: %+v", name, output)
		}
	}
	if slices.Sort(names); !slices.Equal(names, want) {
		t.Errorf("outputs %q, want %q", names, want)
	}
}

// What README says to copy is a workflow with this action's inputs, and what
// it says of inputs and outputs is what there is.
func TestActionReadme(t *testing.T) {
	a := readAction(t)
	data, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := string(data)
	var workflow struct {
		Permissions map[string]string
		Jobs        map[string]struct {
			Steps []struct {
				Uses string
				With map[string]string
			}
		}
	}
	for block := range strings.SplitSeq(readme, "```yaml\n") {
		if block, _, _ = strings.Cut(block, "```"); strings.Contains(block, "uses: cromt/cromt@v1") && strings.Contains(block, "\njobs:") {
			if err := yaml.Unmarshal([]byte(block), &workflow); err != nil {
				t.Fatalf("%v\n%s", err, block)
			}
		}
	}
	used := 0
	for _, job := range workflow.Jobs {
		for _, step := range job.Steps {
			if !strings.HasPrefix(step.Uses, "cromt/cromt@") {
				continue
			}
			used++
			for name := range step.With {
				if _, ok := a.Inputs[name]; !ok {
					t.Errorf("the workflow of README has the input %s, which there is not", name)
				}
			}
		}
	}
	if want := map[string]string{"contents": "read", "checks": "write", "pull-requests": "write"}; used != 1 || !maps.Equal(workflow.Permissions, want) {
		t.Errorf("the workflow of README uses the action %d times, with the permissions %v, want %v", used, workflow.Permissions, want)
	}
	for name := range a.Inputs {
		if !strings.Contains(readme, "`"+name+"`") {
			t.Errorf("README does not name the input %s", name)
		}
	}
	for name := range a.Outputs {
		if !strings.Contains(readme, "`"+name+"`") {
			t.Errorf("README does not name the output %s", name)
		}
	}
}

// What the Marketplace asks for: https://docs.github.com/actions/reference/metadata-syntax#branding
func TestActionFileBranding(t *testing.T) {
	a := readAction(t)
	if a.Name != "cromt" || a.Author == "" || a.Description == "" || len(a.Description) > 125 {
		t.Errorf("%q by %q: %q (%d characters)", a.Name, a.Author, a.Description, len(a.Description))
	}
	colors := []string{"white", "black", "yellow", "blue", "green", "orange", "red", "purple", "gray-dark"}
	if !slices.Contains(colors, a.Branding.Color) || a.Branding.Icon != "share-2" {
		t.Errorf("branding %+v", a.Branding)
	}
}
