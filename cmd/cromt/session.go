package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/cromt/cromt/cmd/cromt/console"
	"github.com/cromt/cromt/cmd/cromt/gitrepo"
	"github.com/cromt/cromt/cmd/cromt/hosts"
	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/agent"
)

// session is one cromt run: what is made ready before anything is dispatched,
// and given back at the end.
type session struct {
	*program
	cmd     *runCmd
	plan    *flow.Plan
	book    *hosts.Book
	secrets map[string]string
	own     ownRepo
	notes   []string // for the report
	temp    string   // folder; "" until it is needed
	report  *outFile
	junit   *outFile
	journal *flow.Journal
	options flow.RunOptions
	console *console.Console
	display console.Options
	local   *agent.Local // serves every host, or those of served
	ended   bool         // local is closed
	served  []string     // the names of localhost that local serves
}

// agentsRunHere is false where the agent cannot run.
const agentsRunHere = runtime.GOOS != "windows"

var errNoAgents = errors.New("the agent does not run on Windows, so neither do --local and the localhost fallback; use Sparky hosts on other machines")

// prepare finds everything that can be wrong before a job is dispatched.
func (s *session) prepare(ctx context.Context) error {
	if s.cmd.Local && !agentsRunHere {
		return errNoAgents
	}
	file, err := s.cmd.open(s.program)
	if err != nil {
		return err
	}
	if err := s.openBook(); err != nil {
		return err
	}
	vars, err := parsePairs("--var", "K=V", s.cmd.Var)
	if err != nil {
		return err
	}
	repo, err := gitrepo.Find(ctx, filepath.Dir(file.Name))
	if err != nil {
		return err
	}
	s.own = ownRepo{cmd: s.cmd, repo: repo, dir: filepath.Dir(file.Name)}
	s.plan, err = flow.NewPlan(file, flow.PlanOptions{
		Roots: s.cmd.Projects, Repo: s.own.url(), Folder: s.own.folder(), Vars: vars, HostName: s.book.Name,
	})
	if err != nil {
		return err
	}
	if s.secrets, err = s.readSecrets(s.plan, s.cmd.SecretFile); err != nil {
		return err
	}
	if err := s.checkHosts(); err != nil {
		return err
	}
	if err := s.openJournal(); err != nil {
		return err
	}
	if err := s.findOwn(ctx); err != nil {
		return err
	}
	return s.openFiles()
}

func (s *session) openBook() error {
	file, asked := s.cmd.Hosts, true
	if file == "" {
		file = s.getenv("CROMT_HOSTS")
	}
	if home := s.home(); file == "" && home != "" {
		file, asked = filepath.Join(home, ".config", "cromt", "hosts.yaml"), false
	}
	book, err := hosts.Load(file, asked, s.home())
	if err != nil {
		return err
	}
	for _, t := range s.cmd.HostToken {
		if err := book.SetToken(t); err != nil {
			return err
		}
	}
	s.book = book
	return nil
}

// urls are the hosts that the run talks to, each once.
func (s *session) urls() []string {
	var urls []string
	seen := map[string]bool{}
	add := func(u string) {
		if u != "" && !seen[u] {
			seen[u] = true
			urls = append(urls, u)
		}
	}
	for _, j := range s.plan.Jobs {
		add(j.Host)
	}
	add(s.storage())
	return urls
}

func (s *session) storage() string { return strings.TrimRight(s.plan.File.Storage.Value, "/") }

// checkHosts reads the tokens and certificates of all hosts, so that one
// that is missing is found now.
func (s *session) checkHosts() error {
	if s.cmd.Local {
		return nil
	}
	var list flow.ErrorList
	for _, u := range s.urls() {
		var l flow.ErrorList
		if _, err := s.book.Config(u); errors.As(err, &l) {
			list = append(list, l...)
		} else if err != nil {
			return err
		}
	}
	if len(list) == 0 {
		return nil
	}
	list.Sort()
	return list
}

// openJournal opens the journal, and takes from it the run to go on with.
func (s *session) openJournal() error {
	s.options = flow.RunOptions{ID: flow.NewRunID(), Plan: s.plan}
	if s.cmd.Journal == "" {
		return nil
	}
	j, err := flow.OpenJournal(s.cmd.Journal)
	if err != nil {
		return err
	}
	s.journal = j
	id, history, err := j.History(s.plan)
	if err != nil || len(history) == 0 {
		return err
	}
	if s.cmd.Local {
		return fmt.Errorf("journal %s: a run with --local cannot be resumed: its hosts ended with it; name another file", s.cmd.Journal)
	}
	s.options.ID, s.options.History = id, history
	if s.cmd.SHA == "" {
		s.own.commit = history[0].Commit // HEAD may have moved on
	}
	return nil
}

// findOwn settles the run's own repository and its commit.
func (s *session) findOwn(ctx context.Context) error {
	needed := false
	var folders []string
	for _, j := range s.plan.Jobs {
		needed = needed || j.Source.Kind == flow.SourceOwn
		if j.Source.Kind == flow.SourceDir && !slices.Contains(folders, j.Source.Dir) {
			folders = append(folders, j.Source.Dir)
		}
	}
	if len(folders) > 0 {
		s.notes = append(s.notes, "folders of hosts run as they are there, not at a pinned commit: "+shorten(folders, maxNoted))
	}
	if s.cmd.Local && needed {
		if err := s.makeTemp(); err != nil {
			return err
		}
	}
	notes, err := s.own.settle(ctx, needed, filepath.Join(s.temp, "own.tar.gz"))
	if err != nil {
		return err
	}
	s.notes = append(notes, s.notes...)
	s.options.Repo, s.options.SHA, s.options.WorkingTree = s.own.url(), s.own.commit, s.own.source.Archive != ""
	return nil
}

func (s *session) openFiles() (err error) {
	if s.cmd.Report != "" {
		if s.report, err = createFile(s.cmd.Report); err != nil {
			return err
		}
	}
	if s.cmd.JUnit != "" {
		s.junit, err = createFile(s.cmd.JUnit)
	}
	return err
}

func (s *session) makeTemp() (err error) {
	if s.temp == "" {
		s.temp, err = os.MkdirTemp("", "cromt-")
	}
	return err
}

// show begins the console; from here on messages go through it.
func (s *session) show() {
	s.display = console.Options{Out: s.stdout, Err: s.stderr, JSON: s.cmd.LogFormat == "json", Verbose: s.cmd.Verbose}
	s.display.Detect(s.getenv)
	s.console = console.New(s.plan, s.display)
	for _, n := range s.notes {
		s.console.Messagef("%s", n)
	}
}

// connect starts the agents inside this process, where some are needed.
func (s *session) connect(ctx context.Context) error {
	if !s.cmd.Local {
		if s.served = s.unserved(ctx); len(s.served) == 0 {
			return nil
		}
		if !agentsRunHere {
			return errNoAgents
		}
		s.console.Messagef("nothing listens at %s, so the embedded agent serves it for this run", strings.Join(s.served, " and "))
	}
	if err := s.makeTemp(); err != nil {
		return err
	}
	s.local = agent.NewLocal(filepath.Join(s.temp, "hosts"), agent.Config{Tom: "auto", Version: buildVersion(), Logger: s.logger()})
	return nil
}

// unserved are the names of localhost that jobs are for, when nothing listens there.
func (s *session) unserved(ctx context.Context) []string {
	names := slices.DeleteFunc(s.urls(), func(u string) bool {
		return hosts.Key(u) != flow.DefaultHostURL && hosts.Key(u) != "http://localhost:4000"
	})
	if len(names) > 0 && listens(ctx, "127.0.0.1:4000") {
		return nil
	}
	return names
}

// host says how a host is reached: by its agent inside this process, when it
// has one.
func (s *session) host(u string) (sparky.HostConfig, error) {
	if s.cmd.Local || slices.Contains(s.served, u) {
		c, err := s.local.Host(u)
		if c.Name = s.book.Name(u); c.Name == "" {
			c.Name = u
		}
		return c, err
	}
	return s.book.Config(u)
}

func (s *session) logger() *slog.Logger {
	if !s.cmd.Verbose {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(s.console, nil))
}

// tell writes the report where it is wanted.
func (s *session) tell(run *flow.Run) error {
	var errs []error
	if !s.display.JSON { // the notes of the start were shown then
		err := console.WriteReport(s.stdout, run, s.display.Color)
		if !errors.Is(err, syscall.EPIPE) { // a reader that has seen enough is no failure
			errs = append(errs, err)
		}
	}
	run.Notes = append(slices.Clone(s.notes), run.Notes...)
	if s.report != nil {
		errs = append(errs, s.report.commit(func(w io.Writer) error { return writeJSON(w, run) }))
	}
	if s.junit != nil {
		errs = append(errs, s.junit.commit(func(w io.Writer) error { return flow.WriteJUnit(w, run) }))
	}
	return errors.Join(errs...)
}

// close gives back what prepare and connect took.
func (s *session) close() {
	if s.console != nil {
		s.console.Close()
	}
	if s.local != nil {
		s.closeLocal(closeTimeout)
	}
	s.report.discard()
	s.junit.discard()
	if s.journal != nil {
		_ = s.journal.Close()
	}
	if s.temp != "" {
		_ = os.RemoveAll(s.temp)
	}
}

// shorten joins the first most names, and says how many more there are.
func shorten(names []string, most int) string {
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
