package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"sync"

	"github.com/cromt/cromt/sparky"
)

// Local keeps agents inside this process, one for every URL that it is asked
// for, so that a flow runs with nothing installed. They are reached by
// connections in memory, whatever the scheme and name of their URLs.
type Local struct {
	dir string
	cfg Config

	mu     sync.Mutex
	hosts  map[string]*localHost
	closed bool
}

type localHost struct {
	agent  *Agent
	ln     *pipeListener
	stop   context.CancelFunc
	served chan error
}

// NewLocal returns a Local whose agents keep their state below dir. The Root
// and Token of cfg are not used.
func NewLocal(dir string, cfg Config) *Local {
	return &Local{dir: dir, cfg: cfg, hosts: map[string]*localHost{}}
}

// Host returns how the agent for the URL is reached, starting it the first
// time. Its URL has the scheme http: nothing in memory needs TLS.
func (l *Local) Host(hostURL string) (sparky.HostConfig, error) {
	none := sparky.HostConfig{}
	u, err := url.Parse(hostURL)
	if err != nil || u.Host == "" {
		return none, fmt.Errorf("local host %q: not a URL", hostURL)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return none, errors.New("local hosts: closed")
	}
	h := l.hosts[hostURL]
	if h == nil {
		if h, err = l.start(hostURL); err != nil {
			return none, err
		}
		l.hosts[hostURL] = h
	}
	return sparky.HostConfig{URL: "http://" + u.Host, Slots: h.agent.cfg.MaxJobs,
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return h.ln.dial(ctx) }}, nil
}

func (l *Local) start(hostURL string) (*localHost, error) {
	sum := sha256.Sum256([]byte(hostURL))
	cfg := l.cfg
	cfg.Root, cfg.Token = filepath.Join(l.dir, hex.EncodeToString(sum[:8])), "" // nobody else reaches it
	cfg.Users = ""
	if cfg.Name == "" {
		cfg.Name = hostURL
	}
	a, err := Open(cfg)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	h := &localHost{agent: a, ln: newPipeListener(), stop: stop, served: make(chan error, 1)}
	go func() { h.served <- serve(ctx, h.ln, a, a, nil) }()
	return h, nil
}

// Close ends all agents and their jobs. It returns when everything has ended.
func (l *Local) Close(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	errs := make(chan error)
	for _, h := range l.hosts {
		go func() {
			err := h.agent.Close(ctx) // waiters are told how their jobs ended
			h.stop()
			errs <- errors.Join(err, <-h.served)
		}()
	}
	var all []error
	for range l.hosts {
		all = append(all, <-errs)
	}
	clear(l.hosts)
	return errors.Join(all...)
}
