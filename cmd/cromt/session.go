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
	"time"

	"github.com/cromt/cromt/cmd/cromt/console"
	"github.com/cromt/cromt/cmd/cromt/hosts"
	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/agent"
)

// settings are what a run is to do: the flags of cromt run, or the inputs of
// a workflow's step.
type settings struct {
	plan     *flow.Plan
	book     *hosts.Book
	secrets  map[string]string // by name
	clone    []sparky.CloneCredential
	own      ownCode
	local    bool // every host is served by this process
	failFast bool
	verbose  bool
	report   string // files to write, "" is none
	junit    string
	journal  string
	// cancelWait is how long a cancelled job's host is waited for; 0 is
	// sparky's default. closeWait is that for the agents inside this process.
	cancelWait, closeWait time.Duration
}

// session is one run: what is made ready before anything is dispatched, and
// given back at the end.
type session struct {
	*program
	settings
	notes       []string // for the report
	temp        string   // folder; "" until it is needed
	reportFile  *outFile
	junitFile   *outFile
	journalFile *flow.Journal
	options     flow.RunOptions
	source      sparky.OwnSource
	console     *console.Console
	reporters   []flow.Reporter                          // beside the console
	output      func(j *flow.Job, attempt int) io.Writer // beside the console's; nil: none
	agents      *agent.Local                             // serves every host, or those of served
	ended       bool                                     // agents is closed
	served      []string                                 // the names of localhost that agents serves
	pools       *flow.Pools                              // nil before engine
}

// agentsRunHere is false where the agent cannot run.
const agentsRunHere = runtime.GOOS != "windows"

var errNoAgents = errors.New("the agent does not run on Windows, so neither do --local and the localhost fallback; use Sparky hosts on other machines")

// prepare finds what can still be wrong before a job is dispatched.
func (s *session) prepare(ctx context.Context) error {
	if s.local && !agentsRunHere {
		return errNoAgents
	}
	s.plan.Trim()
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
	for _, pool := range s.plan.Pools {
		for _, h := range pool.Hosts {
			add(h.URL)
		}
	}
	add(s.storage())
	return urls
}

func (s *session) storage() string { return strings.TrimRight(s.plan.File.Storage.Value, "/") }

// checkHosts reads the tokens and certificates of all hosts, so that one
// that is missing is found now.
func (s *session) checkHosts() error {
	if s.local {
		return nil
	}
	list := s.checkPools()
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
	if s.journal == "" {
		return nil
	}
	j, err := flow.OpenJournal(s.journal)
	if err != nil {
		return err
	}
	s.journalFile = j
	id, history, err := j.History(s.plan)
	if err != nil || len(history) == 0 {
		return err
	}
	if s.local {
		return fmt.Errorf("journal %s: a run with --local cannot be resumed: its hosts ended with it; name another file", s.journal)
	}
	s.options.ID, s.options.History = id, history
	s.own.resume(history[0].Commit)
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
	if needed {
		if err := s.makeTemp(); err != nil {
			return err
		}
	}
	own, err := s.own.settle(ctx, needed, filepath.Join(s.temp, "own.tar.gz"))
	if err != nil {
		return err
	}
	s.source = own.source
	s.notes = append(own.notes, s.notes...)
	s.options.Repo, s.options.SHA, s.options.WorkingTree = s.own.url(), own.commit, own.workingTree
	return nil
}

func (s *session) openFiles() (err error) {
	if s.report != "" {
		if s.reportFile, err = createFile(s.report); err != nil {
			return err
		}
	}
	if s.junit != "" {
		s.junitFile, err = createFile(s.junit)
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
func (s *session) show(o console.Options) {
	s.console = console.New(s.plan, o)
	for _, n := range s.notes {
		s.console.Messagef("%s", n)
	}
}

// connect starts the agents inside this process, where some are needed.
func (s *session) connect(ctx context.Context) error {
	if !s.local {
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
	s.agents = agent.NewLocal(filepath.Join(s.temp, "hosts"), agent.Config{Tom: "auto", Version: buildVersion(), Logger: s.logger()})
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
	if s.local || slices.Contains(s.served, u) {
		c, err := s.agents.Host(u)
		if c.Name = s.book.Name(u); c.Name == "" {
			c.Name = u
		}
		return c, err
	}
	return s.book.Config(u)
}

func (s *session) logger() *slog.Logger {
	if !s.verbose {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(s.console, nil))
}

// writeFiles writes the report where files of it are wanted.
func (s *session) writeFiles(run *flow.Run) error {
	var errs []error
	if s.reportFile != nil {
		errs = append(errs, s.reportFile.commit(func(w io.Writer) error { return writeJSON(w, run) }))
	}
	if s.junitFile != nil {
		errs = append(errs, s.junitFile.commit(func(w io.Writer) error { return flow.WriteJUnit(w, run) }))
	}
	return errors.Join(errs...)
}

// close gives back what prepare and connect took.
func (s *session) close() {
	if s.console != nil {
		s.console.Close()
	}
	if s.pools != nil {
		s.pools.Close()
	}
	if s.agents != nil {
		s.closeAgents(s.closeWait)
	}
	s.reportFile.discard()
	s.junitFile.discard()
	if s.journalFile != nil {
		_ = s.journalFile.Close()
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
