package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cromt/cromt/cmd/cromt/console"
	"github.com/cromt/cromt/cmd/cromt/gitrepo"
	"github.com/cromt/cromt/cmd/cromt/hosts"
	"github.com/cromt/cromt/flow"
)

type runCmd struct {
	confFlag
	Local      bool     `help:"Serve every host of the file from agents inside this process; nothing needs to be installed."`
	Var        []string `sep:"none" placeholder:"K=V" help:"Set a variable that the file declares. Repeatable."`
	Hosts      string   `placeholder:"FILE" help:"How hosts are reached: tokens, certificates, names. Default: CROMT_HOSTS, then ~/.config/cromt/hosts.yaml."`
	HostToken  []string `sep:"none" placeholder:"URL=TOKEN" help:"Token of a host; one in a file is safer. Repeatable."`
	SecretFile []string `sep:"none" placeholder:"NAME=FILE" help:"Take a secret from a file, without its last newline. Repeatable."`
	Report     string   `placeholder:"FILE" help:"Write the run as JSON."`
	JUnit      string   `name:"junit" placeholder:"FILE" help:"Write the run as JUnit XML."`
	Journal    string   `placeholder:"FILE" help:"Keep the run's state in FILE; run again with it to go on after a crash."`
	Repo       string   `placeholder:"URL" help:"The run's own repository. Default: the remote origin."`
	SHA        string   `name:"sha" placeholder:"SHA" help:"Its commit, or with --repo a ref like refs/heads/main. Default: HEAD, which must be on origin."`
	Folder     string   `placeholder:"DIR" help:"Where in it the flow file is, for a copy of the file elsewhere. Default: as it lies in the repository around it."`
	FailFast   bool     `help:"Cancel the rest when the first job has failed."`
	Timeout    string   `placeholder:"D" help:"Cancel the run after this time: 90s, 1h30m, or seconds."`
	LogFormat  string   `enum:"text,json" default:"text" help:"json: an event a line on stdout."`
	Verbose    bool     `short:"v" help:"Show what jobs print on a terminal too, and what is retried."`
	Projects   []string `arg:"" optional:"" name:"project" help:"Projects to start. Default: those that no other project names."`
}

// Help implements kong.HelpProvider.
func (runCmd) Help() string {
	return `Examples:

    cromt run --local                   try ./jobs.yaml with nothing installed
    cromt run --var VERSION=1.2 deploy  run project deploy and all it needs
    cromt run --report run.json --junit run.xml

The run's own repository (path: . in the file) is the git repository around the file: with --local its working tree as it is, else HEAD, which must have been pushed to origin. When nothing listens at http://127.0.0.1:4000 and a job is for it, the embedded agent serves it. Ctrl-C cancels the remote jobs and waits for their hosts to confirm; a second one quits at once.

Environment:

    CROMT_SECRET_<NAME>  the secret NAME
    CROMT_HOSTS          the hosts file
    NO_COLOR             turns colours off

Output: what jobs print and the report go to stdout, messages to stderr. On a terminal there is a live view. With --log-format json, each line of stdout is an object with "time" and "event", which is one of

    run_started, commit_resolved, job_waiting, job_queued, job_started, log,
    attempt_completed, job_completed, run_completed, note

and, as the event has them: run, job, project, host, label, attempt, job_id, line, conclusion, cause, exit_code, error, started_at, completed_at, retry_at, artifacts, source, commit, message.

Exit codes:

    0    all jobs succeeded (or were neutral)
    1    a job failed, timed out or was cancelled
    2    usage, an invalid file, a missing secret or token; nothing was dispatched
    3    no job failed by itself, but some by infrastructure
    130  interrupted; remote jobs were cancelled first`
}

// Run is the subcommand.
func (c *runCmd) Run(ctx context.Context, p *program) error {
	timeout, err := parseTimeout(c.Timeout)
	if err != nil {
		return usage(fmt.Errorf("--timeout %w", err))
	}
	defer outlivePipe()()
	settings, err := c.settings(ctx, p)
	if err != nil {
		return usage(err)
	}
	s := &session{program: p, settings: *settings}
	defer s.close()
	if err := s.prepare(ctx); err != nil {
		return usage(err)
	}
	display := console.Options{Out: p.stdout, Err: p.stderr, JSON: c.LogFormat == "json", Verbose: c.Verbose}
	display.Detect(p.getenv)
	s.show(display)
	if err := s.connect(ctx); err != nil {
		return usage(err)
	}
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	run, interrupted, err := s.run(ctx)
	s.console.Close()
	if run == nil {
		return &exitError{exitInterrupted, err}
	}
	code := exitCode(run)
	if interrupted && run.Conclusion != flow.Success {
		code = exitInterrupted
	}
	if tellErr := s.tell(run, display); err == nil {
		err = tellErr
	}
	if err != nil && code == exitOK {
		code = exitInfra
	}
	if code == exitOK {
		return nil
	}
	return &exitError{code, err}
}

// settings reads what the flags name: the flow file, the hosts file, secrets.
func (c *runCmd) settings(ctx context.Context, p *program) (*settings, error) {
	file, err := c.open(p)
	if err != nil {
		return nil, err
	}
	book, err := c.book(p)
	if err != nil {
		return nil, err
	}
	files, err := parsePairs("--secret-file", "NAME=FILE", c.SecretFile)
	if err != nil {
		return nil, err
	}
	book.Secrets(func(name string) string {
		value, _ := p.secret(name, files) // a file that cannot be read is a token that has no value
		return value
	})
	vars, err := parsePairs("--var", "K=V", c.Var)
	if err != nil {
		return nil, err
	}
	dir := filepath.Dir(file.Name)
	repo, err := gitrepo.Find(ctx, dir)
	if err != nil {
		return nil, err
	}
	own := &ownRepo{local: c.Local, named: c.Repo, namedSHA: c.SHA, namedFolder: strings.Trim(c.Folder, "/"), repo: repo, dir: dir}
	plan, err := flow.NewPlan(file, flow.PlanOptions{
		Roots: c.Projects, Repo: own.url(), Folder: own.folder(), Vars: vars, HostName: book.Name, AnyPool: c.Local,
	})
	if err != nil {
		return nil, err
	}
	secrets, err := readSecrets(plan,
		func(name string) (string, error) { return p.secret(name, files) },
		func(name string) string {
			return fmt.Sprintf("set CROMT_SECRET_%s or give --secret-file %s=FILE", name, name)
		})
	if err != nil {
		return nil, err
	}
	return &settings{
		plan: plan, book: book, secrets: secrets, own: own,
		local: c.Local, failFast: c.FailFast, verbose: c.Verbose,
		report: c.Report, junit: c.JUnit, journal: c.Journal, closeWait: closeTimeout,
	}, nil
}

func (c *runCmd) book(p *program) (*hosts.Book, error) {
	file, asked := c.Hosts, true
	if file == "" {
		file = p.getenv("CROMT_HOSTS")
	}
	if home := p.home(); file == "" && home != "" {
		file, asked = filepath.Join(home, ".config", "cromt", "hosts.yaml"), false
	}
	book, err := hosts.Load(file, asked, p.home())
	if err != nil {
		return nil, err
	}
	for _, t := range c.HostToken {
		if err := book.SetToken(t); err != nil {
			return nil, err
		}
	}
	return book, nil
}

// tell writes the report where it is wanted.
func (s *session) tell(run *flow.Run, o console.Options) error {
	var err error
	if !o.JSON { // the notes of the start were shown then
		err = console.WriteReport(s.stdout, run, o.Color)
		if errors.Is(err, syscall.EPIPE) { // a reader that has seen enough is no failure
			err = nil
		}
	}
	run.Notes = append(slices.Clone(s.notes), run.Notes...)
	return errors.Join(err, s.writeFiles(run))
}

// parseTimeout reads a Go duration or a number of seconds; "" is 0.
func parseTimeout(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if n, nerr := strconv.Atoi(s); nerr == nil {
		d, err = time.Duration(n)*time.Second, nil
	}
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%s: write a time like 90s or 1h30m", s)
	}
	return d, nil
}

// exitCode is the contract's: a job that failed by itself outweighs any
// number that failed by their hosts.
func exitCode(r *flow.Run) int {
	code := exitOK
	if !r.Conclusion.Passed() {
		code = exitInfra
	}
	for i := range r.Jobs {
		j := &r.Jobs[i]
		if j.Conclusion.Passed() || j.Conclusion == flow.Skipped {
			continue
		}
		if j.Cause != flow.CauseInfrastructure {
			return exitTask
		}
		code = exitInfra
	}
	return code
}

// parsePairs reads NAME=VALUE arguments; of several for a name the last wins.
func parsePairs(flag, form string, args []string) (map[string]string, error) {
	m := make(map[string]string, len(args))
	for _, a := range args {
		name, value, ok := strings.Cut(a, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("%s: write %s", flag, form)
		}
		m[name] = value
	}
	return m, nil
}

// readSecrets finds the values of the secrets that the plan's jobs need.
// Every missing one is named with its place; hint says how to give it.
func readSecrets(plan *flow.Plan, lookup func(name string) (string, error), hint func(name string) string) (map[string]string, error) {
	values := map[string]string{}
	missing := map[string]bool{}
	var list flow.ErrorList
	for _, j := range plan.Jobs {
		for _, name := range j.Secrets {
			if values[name] != "" || missing[name] {
				continue
			}
			value, err := lookup(name)
			if err != nil {
				return nil, err
			}
			if value == "" {
				missing[name] = true
				list = append(list, &flow.Error{
					File: plan.File.Name, Pos: secretPos(j, name),
					Msg:  fmt.Sprintf("secret %q of %s has no value", name, j.Key),
					Hint: hint(name),
				})
			}
			values[name] = value
		}
	}
	if len(list) > 0 {
		list.Sort()
		return nil, list
	}
	return values, nil
}

func (p *program) secret(name string, files map[string]string) (string, error) {
	path, ok := files[name]
	if !ok {
		return p.getenv("CROMT_SECRET_" + name), nil
	}
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxSecretFile {
		err = errors.New("larger than 1 MiB")
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(path)
	}
	if err != nil {
		return "", fmt.Errorf("--secret-file %s: %w", name, err)
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r"), nil
}

// secretPos is where a job's project names a secret; else where the job is.
func secretPos(j *flow.Job, name string) flow.Pos {
	pr := j.Invocation.Project
	lists := [][]flow.Text{pr.Secrets}
	for _, h := range pr.Hosts {
		lists = append(lists, h.Secrets)
	}
	for _, l := range lists {
		for _, t := range l {
			if t.Value == name {
				return t.Pos
			}
		}
	}
	return j.Pos
}
