package main

import (
	"context"
	"io"
	"path/filepath"
	"strings"
)

type graphCmd struct {
	confFlag
	Format   string   `enum:"mermaid,dot,svg," default:"" help:"mermaid, dot or svg. Default: as the ending of -o says, else mermaid."`
	Output   string   `short:"o" placeholder:"FILE" help:"Write to FILE instead of stdout."`
	Projects []string `arg:"" optional:"" name:"project" help:"Projects to draw. Default: those that no other project names."`
}

// Help implements kong.HelpProvider.
func (graphCmd) Help() string {
	return `GitHub shows Mermaid in Markdown; dot is for Graphviz; an SVG opens in a browser:

    cromt graph -o flow.svg`
}

// Run is the subcommand.
func (c *graphCmd) Run(ctx context.Context, p *program) error {
	file, err := c.open(p)
	if err != nil {
		return err
	}
	plan, err := planOf(ctx, file, c.Projects)
	if err != nil {
		return err
	}
	var picture string
	switch c.format() {
	case "dot":
		picture = plan.Dot()
	case "svg":
		picture = string(plan.SVG(nil))
	default:
		picture = plan.Mermaid(nil)
	}
	if !strings.HasSuffix(picture, "\n") {
		picture += "\n"
	}
	write := func(w io.Writer) error {
		_, err := io.WriteString(w, picture)
		return err
	}
	if c.Output == "" {
		return write(p.stdout)
	}
	out, err := createFile(c.Output)
	if err != nil {
		return usage(err)
	}
	return out.commit(write)
}

func (c *graphCmd) format() string {
	if c.Format != "" {
		return c.Format
	}
	switch strings.ToLower(filepath.Ext(c.Output)) {
	case ".dot", ".gv":
		return "dot"
	case ".svg":
		return "svg"
	}
	return "mermaid"
}
