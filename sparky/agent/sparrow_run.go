package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/tomtit"
)

// sparrowRun is one run of a sparrowfile.
type sparrowRun struct {
	a     *Agent
	j     *job
	file  *sparrowJob
	cfg   jobConfig
	dir   string // of the run: its TMPDIR and, unless it has a project's folder, where it runs
	token string // of this run alone, for the sparrowfile's own requests
	out   *flow.Masker
	mask  *flow.Mask
}

// runSparrow runs a job that is no cromt job: the command in the first line of
// a sparrowfile that cromt wrote, any other by the host's sparrowdo.
func (a *Agent) runSparrow(ctx context.Context, j *job, file *sparrowJob) result {
	s := &sparrowRun{a: a, j: j, file: file, out: (*flow.Mask)(nil).Writer(j.log)}
	dir, err := a.work.take()
	if err != nil {
		return s.refuse(err)
	}
	s.dir = dir
	defer a.returnFolder(j, dir)
	ctx, stop := context.WithTimeoutCause(ctx, j.timeout, errTimedOut)
	defer stop()
	ctx, unwatch := a.watchDisk(ctx, j, dir)
	defer unwatch()
	if err := json.Unmarshal(j.snapshot().Config, &s.cfg); err != nil {
		return s.refuse(fmt.Errorf("job settings: %w", err))
	}
	if a.cfg.Token != "" {
		var revoke func()
		s.token, revoke = a.access.lend()
		defer revoke()
	}
	secrets := []string{s.token}
	for _, v := range file.Secrets {
		secrets = append(secrets, v)
	}
	s.mask = flow.NewMask(secrets)
	s.out = s.mask.Writer(j.log)
	cmd, grace, err := s.command()
	if err != nil {
		return s.refuse(err)
	}
	return s.run(ctx, cmd, grace)
}

func (s *sparrowRun) run(ctx context.Context, cmd *exec.Cmd, grace time.Duration) result {
	cmd.Stdout, cmd.Stderr = s.out, s.out
	err := tomtit.Exec(ctx, cmd, grace)
	_ = s.out.Flush() // a jobLog takes everything
	if cause := context.Cause(ctx); cause != nil {
		if err := killLeftovers([]string{s.a.env.marker(s.j.id)}); err != nil {
			s.a.log.Warn("processes are still there", "job", s.j.id, "error", err)
		}
		res := cancelledResult(s.j, cause)
		if cause == errCancelled { //nolint:errorlint // it is that value
			s.sayf("Terminated\n") // as a Sparky says it
		} else {
			s.sayf("%s\n", res.Error)
		}
		return res
	}
	if err == nil {
		return result{State: sparky.CodeOK}
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return s.refuse(err)
	}
	code, signal := exit.ExitCode(), 0
	if code < 0 {
		signal = signalOf(exit)
		code = 128 + signal
	}
	// The line by which clients of a Sparky learn the exit code.
	s.sayf("The spawned command '%s' exited unsuccessfully (exit code: %d, signal: %d)\n", cmd.Args[0], max(0, exit.ExitCode()), signal)
	return result{State: sparky.CodeFailed, Cause: flow.CauseTask, Exit: code, Error: fmt.Sprintf("exit code %d", code)}
}

// refuse ends a job that could not be run, with the reason in its report.
func (s *sparrowRun) refuse(err error) result {
	s.sayf("%s\nmeta: result=failed step=prepare exit=%d\n", err, exitSetup)
	return result{State: sparky.CodeFailed, Cause: causeInfrastructure, Exit: exitSetup, Error: oneLine(s.mask.String(err.Error()))}
}

func (s *sparrowRun) sayf(format string, args ...any) {
	_, _ = fmt.Fprintf(s.out, format, args...) // a jobLog takes everything
	_ = s.out.Flush()
}

// tags are what tags() gives the sparrowfile.
func (s *sparrowRun) tags() map[string]string {
	tags := map[string]string{}
	for k, v := range s.cfg.Tags {
		tags[k] = v
	}
	for k, v := range s.file.Secrets {
		tags[k] = v
	}
	tags["SPARKY_PROJECT"], tags["SPARKY_JOB_ID"], tags["SPARKY_WORKER"] = s.j.project, s.j.id, "localhost"
	for _, place := range []string{"host", "docker"} {
		if isSet(s.cfg.Sparrowdo[place]) {
			tags["SPARKY_WORKER"] = place
		}
	}
	host, port, err := net.SplitHostPort(s.a.cfg.Listen)
	if err != nil {
		host, port = "", "4000"
	}
	tags["SPARKY_TCP_PORT"] = port
	if ip := net.ParseIP(host); ip != nil && !ip.IsUnspecified() {
		tags["SPARKY_HOST"] = host
	}
	if s.a.cfg.TLS {
		tags["SPARKY_USE_TLS"] = "1"
	}
	if s.token != "" {
		tags["SPARKY_API_TOKEN"] = s.token
	}
	return tags
}

// command returns what to run, and how long it may take to end by itself when
// it is cancelled.
func (s *sparrowRun) command() (*exec.Cmd, time.Duration, error) {
	text, dir := s.file.Sparrowfile, s.dir
	if s.file.Folder {
		p, err := s.a.readFolder(s.j.project)
		if err != nil {
			return nil, 0, err
		}
		text, dir = p.sparrowfile, p.path
	}
	direct, err := sparky.ParseDirect(text)
	switch {
	case err != nil:
		return nil, 0, err
	case direct != nil:
		cmd, err := s.direct(direct)
		return cmd, sparky.DirectGrace, err
	}
	cmd, err := s.sparrowdo(text, dir)
	return cmd, sparky.KillGrace, err
}

func (s *sparrowRun) environment() []string {
	return append(slices.Clone(s.a.env.git), "TMPDIR="+s.dir, "SPARKY_PROJECT="+s.j.project, "SPARKY_JOB_ID="+s.j.id, s.a.env.marker(s.j.id))
}

func (s *sparrowRun) direct(d *sparky.Direct) (*exec.Cmd, error) {
	dir := d.Dir
	if rest, ok := strings.CutPrefix(dir, "~"); ok {
		dir = filepath.Join(s.a.env.home, rest)
	}
	if fi, err := os.Stat(dir); err != nil || !fi.IsDir() {
		return nil, errors.Join(fmt.Errorf("folder %s of the sparrowfile's command: not there; run cromt apply again where the file now is", dir), err)
	}
	env := s.environment()
	path := d.Argv[0]
	if !filepath.IsAbs(path) {
		if path = findProgram(path, env); path == "" {
			return nil, fmt.Errorf("program %s of the sparrowfile's command: not in PATH of the agent", d.Argv[0])
		}
	}
	return &exec.Cmd{Path: path, Args: d.Argv, Dir: dir, Env: append(env, "SP6_TAGS="+encodeTags(s.tags()))}, nil
}

// sparrowdo prepares the folder and the command as a Sparky does, but that no
// shell sees the arguments.
func (s *sparrowRun) sparrowdo(text, dir string) (*exec.Cmd, error) {
	if s.a.sparrowdo == "" {
		return nil, errors.New("this job is a sparrowfile in Raku, which is run by sparrowdo, and this host has none in PATH or ~/.raku/bin; " +
			"install it (zef install Sparrowdo), or let cromt make the job: its own need no Raku")
	}
	settings := s.cfg.Sparrowdo
	if !s.file.Folder {
		config, err := rakuConfig(s.file.Config)
		if err != nil {
			return nil, err
		}
		dir = filepath.Join(s.dir, "run")
		if err := os.Mkdir(dir, 0o700); err != nil {
			return nil, err
		}
		for name, data := range map[string]string{"sparrowfile": text, "config.raku": config} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
				return nil, err
			}
		}
		own := map[string]any{"conf": "config.raku"}
		for k, v := range settings {
			if k != "conf" {
				own[k] = v
			}
		}
		settings = own
	}
	args, err := sparrowdoArgs(s.j.project, settings, s.tags())
	if err != nil {
		return nil, err
	}
	env := append(s.environment(), "TERM=xterm", "SP6_FORMAT_COLOR=1")
	return &exec.Cmd{Path: s.a.sparrowdo, Args: append([]string{"sparrowdo"}, args...), Dir: dir, Env: env}, nil
}

// findSparrowdo returns the path of the host's sparrowdo, "" when it has none.
func (e baseEnv) findSparrowdo() string {
	if path := findProgram("sparrowdo", e.list); path != "" {
		return path
	}
	return executable(filepath.Join(e.home, ".raku", "bin", "sparrowdo"))
}

// findProgram looks for a program in the PATH of env, "" when it is not there.
func findProgram(name string, env []string) string {
	for _, v := range env {
		list, ok := strings.CutPrefix(v, "PATH=")
		if !ok {
			continue
		}
		for _, dir := range filepath.SplitList(list) {
			if path := executable(filepath.Join(dir, name)); filepath.IsAbs(dir) && path != "" {
				return path
			}
		}
	}
	return ""
}

func executable(path string) string {
	if fi, err := os.Stat(path); err != nil || !fi.Mode().IsRegular() || fi.Mode()&0o111 == 0 {
		return ""
	}
	return path
}
