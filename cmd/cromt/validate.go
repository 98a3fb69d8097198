package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cromt/cromt/flow"
)

type validateCmd struct {
	confFlag
	Format string `enum:"text,json,github" default:"text" help:"text: FILE:LINE:COL: message; json: one object; github: annotations of a workflow."`
}

// Help implements kong.HelpProvider.
func (validateCmd) Help() string {
	return `Exit codes: 0 the file is good, 2 it is not.

The JSON is one object:

    {"file":"jobs.yaml","valid":false,"errors":[{"file":"jobs.yaml","line":3,"column":5,"message":"…","hint":"…"}]}`
}

// Run is the subcommand. The problems found are its result, so they go to stdout.
func (c *validateCmd) Run(ctx context.Context, p *program) error {
	file, err := c.open(p)
	var plan *flow.Plan
	if err == nil {
		plan, err = planOf(ctx, file, nil)
	}
	var list flow.ErrorList
	if err != nil && !errors.As(err, &list) {
		return err
	}
	switch {
	case c.Format == "json":
		err = writeProblems(p.stdout, c.name(file, list), list)
	case len(list) == 0:
		fmt.Fprintf(p.stderr, "%s: %d projects, %d jobs, no problems\n", file.Name, len(file.Projects), len(plan.Jobs))
	default:
		for _, e := range list {
			line := e.Error()
			if c.Format == "github" {
				line = annotation(e)
			}
			fmt.Fprintln(p.stdout, line)
		}
	}
	if err != nil && list == nil {
		return err
	}
	if len(list) > 0 {
		return &exitError{code: exitUsage}
	}
	return nil
}

func (c *validateCmd) name(file *flow.File, list flow.ErrorList) string {
	switch {
	case file != nil:
		return file.Name
	case len(list) > 0:
		return list[0].File
	}
	return c.Conf
}

// problem is a flow.Error as --format json writes it.
type problem struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

func writeProblems(w io.Writer, name string, list flow.ErrorList) error {
	problems := make([]problem, len(list))
	for i, e := range list {
		problems[i] = problem{e.File, e.Pos.Line, e.Pos.Col, e.Msg, e.Hint}
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(struct {
		File   string    `json:"file"`
		Valid  bool      `json:"valid"`
		Errors []problem `json:"errors"`
	}{name, len(list) == 0, problems})
}

// annotation is a problem as a workflow command of GitHub Actions.
func annotation(e *flow.Error) string {
	var b strings.Builder
	fmt.Fprintf(&b, "::error file=%s", escapeProperty(e.File))
	if e.Pos.IsSet() {
		fmt.Fprintf(&b, ",line=%d,col=%d", e.Pos.Line, e.Pos.Col)
	}
	msg := e.Msg
	if e.Hint != "" {
		msg += "; " + e.Hint
	}
	b.WriteString("::" + escapeData(msg))
	return b.String()
}

// escapeData and escapeProperty keep text from ending the command it is in.
func escapeData(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}

func escapeProperty(s string) string {
	return strings.NewReplacer(":", "%3A", ",", "%2C").Replace(escapeData(s))
}
