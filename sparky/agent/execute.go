package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/place"
	"github.com/cromt/cromt/sparky/tomtit"
)

// Exit codes of results that are no program's own.
const (
	exitNoFile    = 66  // an output is missing, as in sysexits.h
	exitTimeout   = 124 // as of timeout(1)
	exitCancelled = 130 // as of a program that ctrl-C ends
	exitSetup     = 1   // the job could not be prepared
)

// execution is one run of a job.
type execution struct {
	a       *Agent
	j       *job
	spec    *sparky.Spec
	out     *flow.Masker
	mask    *flow.Mask
	dir     string // of the run: its TMPDIR and its checkout
	root    string // of the checkout
	work    string // where the actions run: root or below
	env     []string
	commit  string
	outputs []flow.Artifact
	there   *there // nil: the actions run on this machine
}

// stepError says which step failed and how the job ends by it.
type stepError struct {
	step  string
	cause flow.Cause
	exit  int
	err   error
}

func (e *stepError) Error() string { return e.err.Error() }
func (e *stepError) Unwrap() error { return e.err }

// execute runs the job to its end and returns how it ended. Nothing of the
// job is left when it returns.
func (a *Agent) execute(ctx context.Context, j *job) result {
	j.mu.Lock()
	spec, file := j.spec, j.file
	j.mu.Unlock()
	spill := time.AfterFunc(spillAfter, j.log.save)
	defer spill.Stop()
	if spec == nil {
		return a.runSparrow(ctx, j, file)
	}
	e := &execution{a: a, j: j, spec: spec, out: (*flow.Mask)(nil).Writer(j.log), commit: spec.Source.Commit}
	dir, err := a.work.take()
	if err != nil {
		return e.conclude(err)
	}
	e.dir = dir
	defer a.returnFolder(j, dir)
	ctx, unwatch := a.watchDisk(ctx, j, dir)
	defer unwatch()
	env, secrets, err := a.env.jobEnv(j, spec, e.dir)
	e.env, e.mask = env, flow.NewMask(secrets)
	e.out = e.mask.Writer(j.log)
	if err == nil {
		err = e.run(ctx)
	}
	if cause := context.Cause(ctx); cause != nil || errors.Is(err, errTimedOut) {
		if cause == nil {
			cause = errTimedOut
		}
		if err := killLeftovers([]string{e.a.env.marker(j.id)}); err != nil {
			a.log.Warn("processes are still there", "job", j.id, "error", err)
		}
		res := cancelledResult(j, cause)
		if errors.As(cause, new(*quotaError)) {
			e.sayf("%s\n", res.Error)
			return e.end(res, "quota")
		}
		return e.end(res, "cancelled")
	}
	return e.conclude(err)
}

func (e *execution) run(ctx context.Context) (err error) {
	if e.there, err = e.goThere(ctx); err != nil {
		return &stepError{"prepare", causeInfrastructure, exitSetup, err}
	}
	if e.there != nil {
		defer e.there.leave()
		return e.runThere(ctx)
	}
	if err := e.checkout(ctx); err != nil {
		return err
	}
	if err := e.placeInputs(); err != nil {
		return &stepError{"artifacts", causeInfrastructure, exitSetup, err}
	}
	if err := e.actions(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	return e.keepOutputs()
}

// actions runs the job's actions in order, up to the first that fails.
func (e *execution) actions(ctx context.Context) error {
	if e.j.timeout > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeoutCause(ctx, e.j.timeout, errTimedOut)
		defer stop()
	}
	if e.there != nil {
		return e.each(ctx, e.there.run)
	}
	runner := tomtit.Runner{Dir: e.work, Env: e.env, Out: e.out, Tom: e.a.tom, Cache: e.dir, Grace: sparky.KillGrace}
	if _, own := e.spec.Env["PATH"]; !own {
		runner.Bash = e.a.bash
	}
	for _, action := range e.spec.Actions[1:] { // Run checks the first one by itself
		if err := runner.Check(action); err != nil {
			e.sayf("%s\n", err)
			return &stepError{"tom-" + action, blame(err), exitSetup, err}
		}
	}
	return e.each(ctx, runner.Run)
}

// each runs the actions with run, which returns an exit code.
func (e *execution) each(ctx context.Context, run func(ctx context.Context, action string, options []string) (int, error)) error {
	for _, action := range e.spec.Actions {
		step := "tom-" + action
		e.sayf("meta: step=%s\n", step)
		code, err := run(ctx, action, e.spec.Options)
		e.flush()
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		if err != nil {
			e.sayf("%s\n", err)
			return &stepError{step, blame(err), max(code, 1), err}
		}
		if code != 0 {
			return &stepError{step, flow.CauseTask, code, fmt.Errorf("action %s: exit code %d", action, code)}
		}
	}
	return nil
}

// blame says whose fault it is that an action could not be run: the scenario's,
// or that of a machine that has too little of something.
func blame(err error) flow.Cause {
	for _, lack := range []error{place.ErrLost, syscall.EMFILE, syscall.ENFILE, syscall.EAGAIN, syscall.ENOMEM, syscall.ENOSPC, syscall.EIO} {
		if errors.Is(err, lack) {
			return causeInfrastructure
		}
	}
	return flow.CauseTask
}

// conclude returns the result of a run that ended by itself.
func (e *execution) conclude(err error) result {
	if err == nil {
		return e.end(result{State: sparky.CodeOK, Artifacts: e.outputs}, "")
	}
	var failed *stepError
	if !errors.As(err, &failed) {
		failed = &stepError{"prepare", causeInfrastructure, exitSetup, err}
	}
	if failed.step == "prepare" || failed.step == "artifacts" {
		e.sayf("%s\n", err)
	}
	// What fails after the actions have run must not look as if they had not.
	ran := failed.cause == causeInfrastructure && (strings.HasPrefix(failed.step, "artifact-") || strings.HasPrefix(failed.step, "tom-"))
	return e.end(result{State: sparky.CodeFailed, Cause: failed.cause, Lost: ran, Exit: failed.exit, Error: err.Error()}, failed.step)
}

// end completes the log and the result.
func (e *execution) end(res result, step string) result {
	res.Commit, res.Error = e.commit, oneLine(e.mask.String(res.Error))
	e.flush()
	switch {
	case res.State == sparky.CodeOK:
		e.sayf("meta: result=ok\n")
	case step == "cancelled":
		e.sayf("meta: cancelled\n%s\nmeta: result=failed step=%s exit=%d\n", res.Error, step, res.Exit)
	default:
		e.sayf("meta: result=failed step=%s exit=%d\n", step, res.Exit)
	}
	return res
}

// sayf writes a line of the agent's own to the log.
func (e *execution) sayf(format string, args ...any) {
	_, _ = fmt.Fprintf(e.out, format, args...) // a jobLog takes everything
	e.flush()
}

func (e *execution) flush() { _ = e.out.Flush() } // a jobLog takes everything

// returnFolder gives back the folder of a job that has ended.
func (a *Agent) returnFolder(j *job, dir string) {
	if err := a.work.giveBack(dir); err != nil {
		a.log.Warn("folder of a job not removed", "job", j.id, "error", err)
	}
}

// oneLine returns the first line of s, shortened.
func oneLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return cut(s, maxErrorLine)
}
