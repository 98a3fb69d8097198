package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/cromt/cromt/bot/checks"
	"github.com/cromt/cromt/cmd/cromt/action"
	"github.com/cromt/cromt/cmd/cromt/console"
	"github.com/cromt/cromt/flow"
)

type actionCmd struct {
	Run    actionRunCmd    `cmd:"" default:"1" help:"Run the flow of the checked-out repository (the default)."`
	Cancel actionCancelCmd `cmd:"" help:"Cancel what a step of this job, that was killed, has left running on hosts."`
}

// Help implements kong.HelpProvider.
func (actionCmd) Help() string {
	return `Reads INPUT_* and GITHUB_* from the environment; action.yml says what each input means. Use it in a workflow as

    - uses: cromt/cromt@v1

Exit codes are those of cromt run.`
}

type actionRunCmd struct{}

type actionCancelCmd struct{}

// Run is the subcommand.
func (actionRunCmd) Run(ctx context.Context, p *program) error { return p.action(ctx, false) }

// Run is the subcommand.
func (actionCancelCmd) Run(ctx context.Context, p *program) error { return p.action(ctx, true) }

// actionStep is a step of a workflow.
type actionStep struct {
	*program
	commands *action.Commands
	in       action.Inputs
	step     action.Step
	target   action.Target
	client   *checks.Client // nil without a token
	flow     *actionFlow
	session  *session
	reporter *checks.Reporter
	folder   string // for what is kept until the job's end
}

// action is the step: it tells what is wrong in the runner's own way.
func (p *program) action(ctx context.Context, cancel bool) error {
	s := &actionStep{program: p, commands: action.NewCommands(p.stdout, p.getenv)}
	defer outlivePipe()()
	// From here on a signal ends no step by itself, not even while it reports.
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := s.prepare(ctx)
	switch {
	case err != nil:
		return s.stop(ctx, err)
	case cancel || s.in.Cancel:
		return s.cancelLeft(ctx)
	case s.target.Skip != "":
		return s.skip()
	}
	if err := s.open(ctx); err != nil {
		return s.stop(ctx, err)
	}
	defer s.session.close()
	if err := s.start(ctx); err != nil {
		return s.stop(ctx, err)
	}
	return s.run(ctx)
}

// prepare reads what the runner says, and decides what is to run.
func (s *actionStep) prepare(ctx context.Context) (err error) {
	in, inErr := action.ReadInputs(s.getenv)
	s.in = in
	for _, secret := range in.Masked() {
		s.commands.Mask(secret)
	}
	if s.step, err = action.ReadStep(s.getenv); err != nil || inErr != nil {
		return errors.Join(err, inErr)
	}
	if in.GitHubToken != "" {
		s.client, err = checks.NewClient(checks.ClientConfig{
			APIURL: s.step.APIURL, Token: in.GitHubToken, HTTP: &http.Client{Timeout: githubTimeout}, UserAgent: "cromt/" + buildVersion(),
		})
		if err != nil {
			return err
		}
	}
	var gh action.GitHub
	if s.client != nil {
		gh = s.client
	}
	s.target, err = action.Decide(ctx, s.step, in, gh)
	s.in.FailFast = s.in.FailFast || s.target.FailFast
	if s.target.Timeout > 0 {
		s.in.Timeout = s.target.Timeout
	}
	return err
}

// start makes the run ready, and everything that shows it.
func (s *actionStep) start(ctx context.Context) error {
	if err := s.session.prepare(ctx); err != nil {
		return err
	}
	s.session.show(console.Options{View: action.NewLog(s.commands, s.folder), Color: true})
	s.session.console.Messagef("run %s: %d jobs, commit %.12s", s.session.options.ID, len(s.session.plan.Jobs), s.session.options.SHA)
	if err := s.session.connect(ctx); err != nil {
		return err
	}
	s.reporter = checks.NewReporter(s.session.plan, s.checksConfig())
	s.session.reporters = []flow.Reporter{s.reporter}
	s.session.output = s.reporter.Output
	return nil
}

// checksConfig says how the run is shown on GitHub.
func (s *actionStep) checksConfig() checks.Config {
	c := checks.Config{
		Client: s.client, Repo: s.step.Repository, SHA: s.target.CheckSHA, Name: "cromt (action)", Mode: checks.Mode(s.in.Checks),
		Run: s.session.options.ID, RunURL: s.step.RunURL(), Scan: s.flow.scan,
	}
	if s.client == nil {
		c.Mode = checks.ModeOff // finish says so
	}
	return c
}

// run carries out the plan and leaves its result behind.
func (s *actionStep) run(ctx context.Context) error {
	runCtx := context.WithoutCancel(ctx) // the session has its own way with signals
	if s.in.Timeout > 0 {
		var cancel context.CancelFunc
		runCtx, cancel = context.WithTimeout(runCtx, s.in.Timeout)
		defer cancel()
	}
	run, interrupted, err := s.session.run(runCtx)
	s.session.console.Close()
	if run != nil {
		s.reporter.SetRun(run)
	}
	if ferr := s.finish(ctx, run); err == nil {
		err = ferr
	}
	if run == nil {
		return &exitError{exitInterrupted, err}
	}
	code := exitCode(run)
	if interrupted && run.Conclusion != flow.Success {
		code = exitInterrupted
	}
	if err != nil && code == exitOK {
		code = exitInfra
	}
	if code == exitOK {
		return nil
	}
	return &exitError{code, err}
}

// cancelLeft goes on with what a step that was killed has left, just to
// cancel it: a run that is cancelled is one that is resumed without a chance.
func (s *actionStep) cancelLeft(ctx context.Context) error {
	journals, err := filepath.Glob(filepath.Join(s.runsFolder(), "*", journalName))
	if err != nil {
		return s.refuse(err)
	}
	var errs []error
	left := 0
	for _, j := range journals {
		switch err := s.cancelRun(ctx, j); {
		case err == nil:
			left++
		case !errors.Is(err, flow.ErrRunComplete):
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return s.refuse(err)
	}
	if left == 0 {
		s.commands.Line("cromt: no step of this job has left anything running")
	}
	return nil
}

// cancelRun cancels what is left of the run with that journal. For one that
// has ended the error is [flow.ErrRunComplete].
func (s *actionStep) cancelRun(ctx context.Context, journal string) error {
	defer func() { s.session = nil }()
	s.folder = filepath.Dir(journal)
	if err := s.open(ctx); err != nil {
		return err
	}
	s.session.journal, s.session.report, s.session.junit = journal, "", ""
	defer s.session.close()
	if err := s.session.prepare(ctx); err != nil {
		return err
	}
	s.session.show(console.Options{View: action.NewLog(s.commands, s.folder)})
	if err := s.session.connect(ctx); err != nil {
		return err
	}
	gone, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	cancel(errInterrupted)
	run, err := s.session.engine().Run(gone, s.session.options)
	s.session.console.Close()
	if err == nil {
		s.commands.Line(fmt.Sprintf("cromt: run %s: %s", run.ID, run.Count()))
		err = os.RemoveAll(s.folder)
	}
	return err
}
