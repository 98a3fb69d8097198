package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/cromt/cromt/cmd/cromt/gitrepo"
	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
)

var errInterrupted = errors.New("interrupted")

// run carries out the plan. The first signal cancels it and waits for the
// hosts, the second returns at once, without a report.
func (s *session) run(ctx context.Context) (run *flow.Run, interrupted bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	signals, stop := catchSignals()
	defer stop()
	type outcome struct {
		run *flow.Run
		err error
	}
	ended := make(chan outcome, 1)
	go func() {
		run, err := s.engine().Run(ctx, s.options)
		ended <- outcome{run, err}
	}()
	for {
		select {
		case o := <-ended:
			return o.run, interrupted, o.err
		case sig := <-signals:
			if interrupted {
				s.quit()
				return nil, true, errors.New("quit before all hosts confirmed; jobs may still run there")
			}
			interrupted = true
			s.console.Messagef("%s: cancelling the remote jobs; once more to quit at once", sig)
			cancel(errInterrupted)
		}
	}
}

// engine joins the engine with this run's hosts and console.
func (s *session) engine() *flow.Engine {
	executor := sparky.NewExecutor(sparky.ExecutorConfig{
		Host: s.host, Secrets: s.secrets, Own: s.source, Clone: s.clone, Storage: s.storage(), RunID: s.options.ID,
		CancelWait: s.cancelWait, Logger: s.logger(),
	})
	s.openPools(executor.Probe)
	e := &flow.Engine{
		Executor:  executor,
		Pools:     s.pools,
		Reporters: append([]flow.Reporter{s.console}, s.reporters...),
		Resolve: func(ctx context.Context, src flow.Source) (string, error) {
			var auth gitrepo.Auth
			if c, ok := sparky.CredentialFor(s.clone, src.URL); ok {
				auth = gitrepo.Auth{Username: c.Username, Token: c.Token}
			}
			return gitrepo.ResolveWith(ctx, src.URL, src.Ref, auth)
		},
		Output:   s.log,
		FailFast: s.failFast,
	}
	if s.journalFile != nil {
		e.Journal = s.journalFile
	}
	return e
}

// log is where an attempt's log goes.
func (s *session) log(j *flow.Job, attempt int) io.Writer {
	shown := s.console.Output(j, attempt)
	if s.output == nil {
		return shown
	}
	w := s.output(j, attempt)
	if w == nil {
		return shown
	}
	return &teeLog{shown: shown, w: io.MultiWriter(shown, w)}
}

// teeLog is a log that goes to two places, of which the console's wants to
// know its end.
type teeLog struct{ shown, w io.Writer }

func (t *teeLog) Write(p []byte) (int, error) { return t.w.Write(p) }

func (t *teeLog) Close() error {
	if c, ok := t.shown.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// quit is for the second signal: the agents inside this process must not
// leave their jobs behind.
func (s *session) quit() {
	if s.agents != nil {
		s.closeAgents(quitTimeout)
	}
}

// closeAgents ends the agents inside this process, killing what still runs
// after the time is over.
func (s *session) closeAgents(limit time.Duration) {
	if s.ended {
		return
	}
	s.ended = true
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := s.agents.Close(ctx); err != nil {
		s.console.Messagef("embedded agent: %v", err)
	}
}

// catchSignals has those that end a program sent to the channel. A hang-up
// that was ignored, by nohup, stays so.
func catchSignals() (<-chan os.Signal, func()) {
	c := make(chan os.Signal, 2)
	sigs := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		sigs = append(sigs, syscall.SIGHUP)
	}
	signal.Notify(c, sigs...)
	return c, func() { signal.Stop(c) }
}

// outlivePipe keeps a closed stdout from ending a program that has jobs on
// other machines and reports to write; what goes to it fails instead.
func outlivePipe() (stop func()) {
	dropped := make(chan os.Signal, 1)
	signal.Notify(dropped, syscall.SIGPIPE)
	return func() { signal.Stop(dropped) }
}

// listens reports whether something takes connections at a TCP address.
func listens(ctx context.Context, addr string) bool {
	conn, err := (&net.Dialer{Timeout: probeTimeout}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}
