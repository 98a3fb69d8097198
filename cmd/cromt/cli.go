package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky/place"
)

// The exit codes, which scripts rely on.
const (
	exitOK          = 0
	exitTask        = 1   // a job failed by itself, timed out or was cancelled
	exitUsage       = 2   // nothing was dispatched: usage, file, secret or token
	exitInfra       = 3   // no job failed by itself, but some by infrastructure
	exitInterrupted = 130 // remote jobs were cancelled first
)

// program is what a subcommand works with.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	parser         *kong.Kong
}

type commands struct {
	Run        runCmd        `cmd:"" help:"Run a flow: the named projects with all they need, or the file's roots."`
	Validate   validateCmd   `cmd:"" help:"Check a jobs.yaml and report every problem at once."`
	Plan       planCmd       `cmd:"" help:"Show what would run, where, in which order."`
	Graph      graphCmd      `cmd:"" help:"Draw the plan as Mermaid, Graphviz dot or SVG."`
	Apply      applyCmd      `cmd:"" help:"Install the projects of a flow file on the Sparky of this machine."`
	Agent      agentCmd      `cmd:"" help:"Be a Sparky-compatible host that runs jobs on this machine."`
	Action     actionCmd     `cmd:"" help:"Be a step of a GitHub workflow; action.yml calls it."`
	Serve      serveCmd      `cmd:"" help:"Be the GitHub App: webhooks in, check runs out."`
	Token      tokenCmd      `cmd:"" help:"Make a token with which a host joins a pool of the App."`
	Schema     schemaCmd     `cmd:"" help:"Print the JSON Schema of jobs.yaml, for editors."`
	Version    versionCmd    `cmd:"" help:"Print the version."`
	Completion completionCmd `cmd:"" help:"Print a completion script for a shell."`
}

const description = `Runs the jobs of a jobs.yaml, a DAG of Bash and Raku scenarios, on many Sparky hosts.

    cromt run --local    try ./jobs.yaml: this process serves every host of it
    cromt run            run it on the hosts themselves`

// exitError ends a subcommand with a code. Its error, when there is one, is
// told on stderr.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usage makes err end with exit code 2.
func usage(err error) error { return &exitError{exitUsage, err} }

// run is the program: it returns the exit code and leaves nothing behind. On
// stderr go messages to people, lower case and after "cromt: "; problems of a
// file stand as FILE:LINE:COL: message instead. On stdout go results.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, getenv func(string) string) int {
	p := &program{stdin: stdin, stdout: stdout, stderr: stderr, getenv: getenv}
	var cmds commands
	helped := false
	parser, err := kong.New(&cmds,
		kong.Name("cromt"), kong.Description(description), kong.Writers(stdout, stderr),
		kong.Exit(func(int) { helped = true }), // only --help exits, and kong goes on after it
		kong.UsageOnError(), kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
	)
	if err != nil {
		return p.fail(err)
	}
	p.parser = parser
	if meansApply(args, parser) {
		args = append([]string{"apply"}, args...)
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	if args[0] == place.Command { // not for people: a copy of this program on another machine
		return place.There(stdin, stdout, stderr)
	}
	kctx, err := parser.Parse(args)
	switch {
	case helped:
		return exitOK
	case err != nil:
		return p.fail(usage(fmt.Errorf("%w; see cromt --help", err)))
	}
	kctx.BindTo(ctx, (*context.Context)(nil))
	if err := kctx.Run(p); err != nil {
		return p.fail(err)
	}
	return exitOK
}

// meansApply reports whether the arguments are those of the original cromt,
// which installs projects: a --conf without a subcommand.
func meansApply(args []string, parser *kong.Kong) bool {
	if len(args) == 0 || args[0] != "--conf" && !strings.HasPrefix(args[0], "--conf=") {
		return false
	}
	for _, c := range parser.Model.Children {
		if slices.Contains(args, c.Name) {
			return false
		}
	}
	return true
}

// fail tells an error and returns its exit code.
func (p *program) fail(err error) int {
	code := exitUsage
	var exit *exitError
	if errors.As(err, &exit) {
		code = exit.code
		if err = exit.err; err == nil {
			return code
		}
	}
	var list flow.ErrorList
	if errors.As(err, &list) {
		fmt.Fprintln(p.stderr, list.Error())
		return code
	}
	fmt.Fprintln(p.stderr, "cromt: "+err.Error())
	return code
}
