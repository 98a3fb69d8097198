package action

import (
	"crypto/rand"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/sethvargo/go-githubactions"
)

// Commands talks to the runner: through the step's log, which it reads for
// commands, and through the files that it names in the environment.
type Commands struct {
	gha *githubactions.Action
	out io.Writer
}

// NewCommands returns the Commands of the step whose log is out.
func NewCommands(out io.Writer, getenv func(string) string) *Commands {
	out = &steadyWriter{w: out}
	return &Commands{
		gha: githubactions.New(githubactions.WithWriter(out), githubactions.WithGetenv(getenv)),
		out: out,
	}
}

// steadyWriter does not fail: the library panics when the log is closed, and
// a run on other machines must not end for that.
type steadyWriter struct{ w io.Writer }

func (s *steadyWriter) Write(p []byte) (int, error) {
	_, _ = s.w.Write(p)
	return len(p), nil
}

// Mask has the runner hide a secret in the log from here on, of one with
// several lines each line.
func (c *Commands) Mask(secret string) {
	for line := range strings.Lines(secret) {
		if line = strings.TrimRight(line, "\r\n"); strings.TrimSpace(line) != "" {
			c.gha.AddMask(line)
		}
	}
}

// Group begins a part of the log that can be folded.
func (c *Commands) Group(title string) { c.gha.Group(quiet(title)) }

// EndGroup ends it.
func (c *Commands) EndGroup() { c.gha.EndGroup() }

// Fence has the runner ignore commands in the log until the returned function
// is called: what strangers print goes between.
func (c *Commands) Fence() (end func()) {
	token := "cromt-" + rand.Text()
	c.gha.IssueCommand(&githubactions.Command{Name: "stop-commands", Message: token})
	return func() { c.gha.IssueCommand(&githubactions.Command{Name: token}) }
}

// Line writes a line to the log in which nothing is a command.
func (c *Commands) Line(text string) { fmt.Fprintln(c.out, quiet(text)) }

// Annotation is a message shown on the workflow's page, and at a place of the
// repository if it has one.
type Annotation struct {
	File, Title, Message string
	Line, EndLine, Col   int
}

// Error, Warning and Notice issue an annotation.
func (c *Commands) Error(a Annotation) { c.with(a).Errorf("%s", quiet(a.Message)) }

// Warning see [Commands.Error].
func (c *Commands) Warning(a Annotation) { c.with(a).Warningf("%s", quiet(a.Message)) }

// Notice see [Commands.Error].
func (c *Commands) Notice(a Annotation) { c.with(a).Noticef("%s", quiet(a.Message)) }

func (c *Commands) with(a Annotation) *githubactions.Action {
	fields := map[string]string{}
	for name, value := range map[string]string{"file": a.File, "title": quiet(a.Title)} {
		if value != "" {
			fields[name] = value
		}
	}
	for name, value := range map[string]int{"line": a.Line, "endLine": a.EndLine, "col": a.Col} {
		if value > 0 && a.File != "" {
			fields[name] = fmt.Sprint(value)
		}
	}
	return c.gha.WithFieldsMap(fields)
}

// Output sets an output of the step; a value has one line.
func (c *Commands) Output(name, value string) error {
	return c.file("GITHUB_OUTPUT", func() { c.gha.SetOutput(name, value) })
}

// Summary adds Markdown to the step's summary.
func (c *Commands) Summary(markdown string) error {
	return c.file("GITHUB_STEP_SUMMARY", func() { c.gha.AddStepSummary(markdown) })
}

// file does what writes to the file that a variable names. The library panics
// when that fails; outside of a workflow there is none, and nothing is done.
func (c *Commands) file(variable string, write func()) (err error) {
	if c.gha.Getenv(variable) == "" {
		return nil
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("write %s: %v", variable, p)
		}
	}()
	write()
	return nil
}

// quiet keeps a line from being read as a command. The runner takes "##[" as
// one anywhere in a line, "::" at its beginning after white space of any
// alphabet, and its log viewer makes groups of the former even where commands
// are stopped.
func quiet(line string) string {
	line = strings.ReplaceAll(line, "##[", "# #[")
	if strings.HasPrefix(strings.TrimLeftFunc(line, unicode.IsSpace), "::") {
		line = "| " + line
	}
	return line
}
