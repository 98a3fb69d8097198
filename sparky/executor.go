package sparky

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cromt/cromt/flow"
)

// ExecutorConfig is what an Executor needs.
type ExecutorConfig struct {
	// Host returns how the host of that URL is reached; an error refuses it.
	Host func(url string) (HostConfig, error)
	// Secrets are the values of the secrets by name. All of them are masked in
	// every log and error, whichever job they are for.
	Secrets map[string]string
	// Clone are the credentials with which hosts clone private repositories.
	// They are masked as secrets are. A real Sparky shows the data of its jobs
	// to anyone on its port, so that it is sent one only when its HostConfig
	// has PublicPort; without, attempts that need one there are refused.
	Clone []CloneCredential
	// CloneFor, when not nil, is asked for a credential when a host is about to
	// be told to clone a repository that Clone has none for; a zero one says
	// that none is needed. Its token is masked in that attempt.
	CloneFor func(ctx context.Context, repo string) (CloneCredential, error)
	// Admit, when not nil, is asked before a job's data is sent to its host;
	// agent says that this is our agent, not a real Sparky. An error that wraps
	// flow.ErrRefused refuses the attempt; any other has it tried again.
	Admit func(ctx context.Context, a flow.Attempt, agent bool) error
	// Own is the run's own repository.
	Own OwnSource
	// Storage is the URL of the host that keeps the run's artifacts; "": they
	// stay on the host that made them and are relayed from there.
	Storage string
	// Lease of the jobs: how long this process may be silent before our agent
	// cancels them. 0 is DefaultLease; below 0 there is none.
	Lease time.Duration
	// RunID names what is put to hosts once per run.
	RunID string
	// CancelWait is how long the confirmation of a cancelled job is waited
	// for; 0 is DefaultCancelWait.
	CancelWait time.Duration
	// Logger is told of what is retried; nil discards it.
	Logger *slog.Logger
}

// OwnSource is the run's own repository: where hosts can clone it, and, when
// it is given, an archive of it that is put to each host once.
type OwnSource struct {
	URL           string // "" when no host can clone it
	Commit        string // "" for a working tree
	Archive       string // path of a .tar.gz on this machine; "": hosts clone URL
	ArchiveSHA256 string // of Archive, in hex
}

// Executor runs a flow's attempts on Sparky hosts. It implements
// [flow.Executor] and is safe for several goroutines.
type Executor struct {
	cfg ExecutorConfig

	mu    sync.Mutex
	hosts map[string]*host
	ways  ways
	hides map[string]hidden // by the token of the host
}

var _ flow.Executor = (*Executor)(nil)

// NewExecutor returns an Executor. It opens no connection yet.
func NewExecutor(cfg ExecutorConfig) *Executor {
	if cfg.Lease == 0 {
		cfg.Lease = DefaultLease
	}
	if cfg.CancelWait <= 0 {
		cfg.CancelWait = DefaultCancelWait
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Executor{cfg: cfg, hosts: map[string]*host{}, hides: map[string]hidden{}}
}

// Close closes the idle connections. Attempts that still run are not ended:
// cancel their contexts first.
func (e *Executor) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, h := range e.hosts {
		h.client.CloseIdle()
	}
}

// host is one host as the Executor knows it.
type host struct {
	client *Client
	config HostConfig
	hidden
	hello shared[*Hello] // nil Hello: a real Sparky

	mu       sync.Mutex
	slots    chan struct{} // made when the host has been asked
	archive  *shared[struct{}]
	archived time.Time
}

// hidden is what is masked in all that comes from a host. Hosts with the same
// token share it.
type hidden struct {
	secrets []string
	mask    *flow.Mask
}

// hide returns what is masked of hosts with the token. The caller holds the lock.
func (e *Executor) hide(token string) hidden {
	if h, ok := e.hides[token]; ok {
		return h
	}
	secrets := append(slices.Collect(maps.Values(e.cfg.Secrets)), token)
	for _, c := range e.cfg.Clone {
		if c.Token != "" {
			secrets = append(secrets, c.Token, c.Basic())
		}
	}
	h := hidden{secrets, flow.NewMask(secrets)}
	e.hides[token] = h
	return h
}

// host returns the host of that URL; its errors are refusals.
func (e *Executor) host(url string) (*host, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if h := e.hosts[url]; h != nil {
		return h, nil
	}
	if e.cfg.Host == nil {
		return nil, refuse(fmt.Errorf("host %s: no hosts are configured", redactURL(url)))
	}
	config, err := e.cfg.Host(url)
	if err != nil {
		return nil, refuse(err)
	}
	client, err := newClient(config, e.ways.of)
	if err != nil {
		return nil, refuse(err)
	}
	h := &host{client: client, config: config, hidden: e.hide(config.Token)}
	e.hosts[url] = h
	return h, nil
}

// ask returns what the host announces, asked once.
func (h *host) ask(ctx context.Context) (*Hello, error) {
	return h.hello.do(ctx, h.client.Hello)
}

// slot waits for a free place among the jobs that the host may have at once.
func (h *host) slot(ctx context.Context, hello *Hello) (release func(), err error) {
	h.mu.Lock()
	if h.slots == nil {
		n := h.config.Slots
		if n <= 0 && hello != nil {
			n = 2 * hello.MaxJobs // one waits on the host while one runs
		}
		if n <= 0 {
			n = DefaultSlots
		}
		h.slots = make(chan struct{}, min(n, maxSlots))
	}
	slots := h.slots
	h.mu.Unlock()
	if ctx.Err() != nil {
		return nil, ctx.Err() // select would choose at random
	}
	select {
	case slots <- struct{}{}:
		return func() { <-slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Exec runs one attempt on its host. See [flow.Executor] for what it returns.
func (e *Executor) Exec(ctx context.Context, a flow.Attempt, log io.Writer) (flow.Result, error) {
	if a.Job == nil {
		return flow.Result{}, refuse(errors.New("attempt without a job"))
	}
	if a.Host == "" {
		a.Host = a.Job.Host
	}
	h, err := e.host(a.Host)
	if err != nil {
		return flow.Result{}, err
	}
	t := &attempt{e: e, h: h, a: a, mask: h.mask, log: newLogSink(log, h.mask)}
	res, err := t.run(ctx)
	if ferr := t.log.flush(); ferr != nil {
		e.cfg.Logger.Warn("log of job not written", "job", a.Job.Key, "error", ferr)
	}
	res.Error = t.mask.String(res.Error)
	if err != nil {
		err = maskError(t.mask, err)
	}
	return res, err
}

// Probe asks the host of that URL whether it answers, for
// [flow.PoolsConfig].
func (e *Executor) Probe(ctx context.Context, url string) error {
	h, err := e.host(url)
	if err != nil {
		return err
	}
	_, err = h.client.Hello(ctx)
	return err
}

// startError says that the scenario has certainly not started.
type startError struct {
	err     error
	refused bool // and that another try cannot help
	others  bool // and that something else than the host has failed
}

func (s *startError) Error() string { return s.err.Error() }
func (s *startError) Unwrap() error { return s.err }
func (s *startError) Is(target error) bool {
	return target == flow.ErrNotStarted || s.refused && target == flow.ErrRefused || s.others && target == flow.ErrElsewhere
}

// notStarted marks err, by its Kind also as a refusal.
func notStarted(err error) *startError {
	kind := KindOf(err)
	return &startError{err: err, refused: kind == KindRefused || kind == KindUntrusted}
}

// blame marks what not the attempt's host has failed at: the one that has an
// artifact, or this machine.
func (t *attempt) blame(s *startError) *startError {
	var e *Error
	s.others = !errors.As(s.err, &e) || e.Host != t.h.client.URL()
	return s
}

// refuse marks err as one that another try cannot help.
func refuse(err error) error { return &startError{err: err, refused: true} }

// maskedError is an error whose text had a secret in it.
type maskedError struct {
	error
	text string
}

func (m *maskedError) Error() string { return m.text }
func (m *maskedError) Unwrap() error { return m.error }

func maskError(m *flow.Mask, err error) error {
	if text := m.String(err.Error()); text != err.Error() {
		return &maskedError{err, text}
	}
	return err
}
