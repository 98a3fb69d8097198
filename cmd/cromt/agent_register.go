package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/cromt/cromt/bot/members"
	"github.com/cromt/cromt/sparky/agent"
	"github.com/cromt/cromt/sparky/tunnel"
)

// registerFlags are those of an agent that announces itself.
type registerFlags struct {
	Register      string        `placeholder:"URL" help:"The App to announce this host to. It is then called through a connection that it opens itself, and listens nowhere unless --listen says so."`
	Pool          string        `placeholder:"NAME" help:"Pool of the App to join; with --register."`
	Name          string        `placeholder:"NAME" help:"Name of this host in its pool; with --register. Default: the machine's."`
	Labels        []string      `placeholder:"LABEL,…" help:"What jobs can ask for; with --register."`
	JoinTokenFile string        `placeholder:"FILE" help:"File with a token of the pool, needed once; with --register. Or set CROMT_JOIN_TOKEN."`
	RegisterCA    string        `name:"register-ca" placeholder:"FILE" help:"Certificates, PEM, to trust for URL instead of the system's; with --register."`
	DrainTimeout  time.Duration `default:"1h" help:"How long jobs may go on after TERM; with --register."`
}

// registration is an agent's membership in a pool.
type registration struct {
	file   string // where its credential is kept
	token  string
	ca     *x509.CertPool
	client *tunnel.Client
	log    *slog.Logger
}

// memberFile is what an agent keeps of its membership.
type memberFile struct {
	URL        string `json:"url"`
	Pool       string `json:"pool"`
	Name       string `json:"name"`
	Credential string `json:"credential"`
	Joined     bool   `json:"joined"`
}

// registration checks the flags. The client has no credential, handler or
// slots yet.
func (c *agentCmd) registration(p *program, cfg agent.Config) (*registration, error) {
	if c.Register == "" {
		if c.Pool+c.Name+c.JoinTokenFile+c.RegisterCA != "" || len(c.Labels) > 0 {
			return nil, errors.New("--pool, --name, --labels, --join-token-file and --register-ca go with --register")
		}
		return nil, nil //nolint:nilnil // documented: an agent that is not registered
	}
	url, err := tunnel.CheckURL(c.Register)
	if err != nil {
		return nil, fmt.Errorf("--register %s: %w", c.Register, err)
	}
	if cfg.Users != "" && cfg.Token == "" {
		return nil, errors.New("--register: the App cannot sign in; give --token-file as well")
	}
	r := &registration{file: filepath.Join(cfg.Root, "member.json"), log: cfg.Logger, token: strings.TrimSpace(p.getenv("CROMT_JOIN_TOKEN"))}
	if c.JoinTokenFile != "" {
		token, err := os.ReadFile(c.JoinTokenFile)
		if err != nil {
			return nil, fmt.Errorf("--join-token-file: %w", err)
		}
		r.token = strings.TrimSpace(string(token))
	}
	if c.RegisterCA != "" {
		pem, err := os.ReadFile(c.RegisterCA)
		if err != nil {
			return nil, fmt.Errorf("--register-ca: %w", err)
		}
		if r.ca = x509.NewCertPool(); !r.ca.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--register-ca %s: there is no certificate in PEM in it", c.RegisterCA)
		}
	}
	name := c.Name
	if name == "" {
		if name, err = os.Hostname(); err != nil {
			return nil, fmt.Errorf("name of this host: %w; give --name", err)
		}
		name = memberName(name)
	}
	hello := tunnel.Hello{Pool: c.Pool, Name: name, Labels: c.Labels, Slots: 1, Version: buildVersion(), Instance: rand.Text()}
	if err := hello.Check(); err != nil {
		return nil, fmt.Errorf("--register: %w", err)
	}
	r.client = &tunnel.Client{URL: url, CA: r.ca, Hello: hello, Logger: cfg.Logger}
	return r, nil
}

// memberName makes a name for a member of the name of a machine.
func memberName(host string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '_' {
			return r
		}
		return '-'
	}, strings.ToLower(host))
	return strings.Trim(name[:min(len(name), tunnel.MaxName)], "._-")
}

// serve has the App call the agent until ctx is done, or the App does not let
// it in.
func (r *registration) serve(ctx context.Context, a *agent.Agent, token string) error {
	r.client.Handler = withToken(a, token)
	rejoined := false
	for {
		joined, err := r.join(ctx)
		if err != nil {
			return err
		}
		rejoined = rejoined || joined
		err = r.client.Run(ctx)
		if err == nil || !errors.Is(err, tunnel.ErrRefused) || rejoined || r.token == "" {
			return err
		}
		// It was forgotten while it was away; a token may let it in anew.
		r.log.Warn("joining again", "error", err)
		if err := os.Remove(r.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
}

// withToken gives requests the agent's token: who comes through the tunnel has
// proved who it is.
func withToken(a *agent.Agent, token string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token != "" {
			r.Header.Set("Token", token)
		}
		a.ServeHTTP(w, r)
	})
}

// join makes the agent a member, if it is none yet. It tries until ctx is done
// or the App refuses.
func (r *registration) join(ctx context.Context) (joined bool, err error) {
	h := r.client.Hello
	m, err := r.load()
	if err != nil {
		return false, err
	}
	if m.URL != r.client.URL || m.Pool != h.Pool || m.Name != h.Name {
		m = memberFile{URL: r.client.URL, Pool: h.Pool, Name: h.Name, Credential: rand.Text() + rand.Text()}
	}
	r.client.Credential = m.Credential
	if m.Joined {
		return false, nil
	}
	if r.token == "" {
		return false, errors.New("this host is no member yet, and has no token to join with; give --join-token-file or set CROMT_JOIN_TOKEN, to what cromt token prints")
	}
	// First it is kept, then it is sent: whatever gets lost, it is the same one.
	if err := r.save(m); err != nil {
		return false, err
	}
	for pause := joinPause; ; pause = min(2*pause, maxJoinPause) {
		err := tunnel.Join(ctx, m.URL, r.ca, r.token, tunnel.JoinRequest{Pool: m.Pool, Name: m.Name, CredentialSHA256: members.Sum(m.Credential)})
		switch {
		case err == nil:
			m.Joined = true
			return true, r.save(m)
		case ctx.Err() != nil:
			return false, nil
		case errors.Is(err, tunnel.ErrRefused):
			return false, err
		}
		r.log.Warn("not joined yet", "error", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return false, nil
		}
	}
}

func (r *registration) load() (m memberFile, err error) {
	data, err := os.ReadFile(r.file)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &m)
	}
	if err != nil {
		return m, fmt.Errorf("%s: %w; remove it to join anew", r.file, err)
	}
	return m, nil
}

func (r *registration) save(m memberFile) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(r.file), ".member-*") // with mode 0600
	if err != nil {
		return fmt.Errorf("membership: %w", err)
	}
	defer os.Remove(f.Name()) // after its rename it is not there
	_, err = f.Write(append(data, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), r.file)
	}
	if err != nil {
		return fmt.Errorf("membership: %w", err)
	}
	return nil
}

// watch keeps the agent's state where the App asks for it.
func (r *registration) watch(ctx context.Context, a *agent.Agent) {
	tick := time.NewTicker(loadInterval)
	defer tick.Stop()
	for {
		running, waiting := a.Load()
		r.client.Status.Update(func(s *tunnel.State) { s.Running, s.Queued = running, waiting })
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// serveMember has the App call the agent, and answers on the listener if there
// is one, until a signal comes and the jobs have ended, another comes, or the
// App refuses the agent.
func (c *agentCmd) serveMember(ctx context.Context, p *program, a *agent.Agent, r *registration, signals <-chan os.Signal, cfg agent.Config, ln net.Listener, tlsConfig *tls.Config) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.client.Hello.Slots = min(a.Slots(), tunnel.MaxSlots)
	r.client.Status = tunnel.NewStatus(tunnel.State{Slots: r.client.Hello.Slots})
	var tasks sync.WaitGroup
	ended := make(chan error, 2)
	tasks.Go(func() { ended <- r.serve(ctx, a, cfg.Token) })
	tasks.Go(func() { r.watch(ctx, a) })
	if ln != nil {
		tasks.Go(func() { ended <- agent.Serve(ctx, ln, a, tlsConfig) })
	}
	fmt.Fprintf(p.stderr, "cromt: agent registers at %s as %s of pool %s, root %s\n", r.client.URL, r.client.Hello.Name, c.Pool, cfg.Root)
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
	case sig := <-signals:
		fmt.Fprintf(p.stderr, "cromt: %s: ending\n", sig)
		drained := make(chan struct{})
		tasks.Go(func() {
			defer close(drained)
			c.drain(ctx, p, a, r)
		})
		select {
		case <-drained:
		case err = <-ended:
		case sig := <-signals:
			fmt.Fprintf(p.stderr, "cromt: %s: stopping\n", sig)
		}
	}
	cancel()
	tasks.Wait()
	return err
}

// drain takes no new jobs, waits for those that run, at most for as long as
// the flag says, and leaves.
func (c *agentCmd) drain(ctx context.Context, p *program, a *agent.Agent, r *registration) {
	r.client.Status.Update(func(s *tunnel.State) { s.Draining = true })
	a.Drain()
	running, _ := a.Load()
	fmt.Fprintf(p.stderr, "cromt: draining: %d jobs go on, at most for %v; another signal ends them\n", running, c.DrainTimeout)
	limit, cancel := context.WithTimeout(ctx, c.DrainTimeout)
	defer cancel()
	tick := time.NewTicker(loadInterval)
	defer tick.Stop()
	for {
		running, waiting := a.Load()
		if running+waiting == 0 {
			break
		}
		select {
		case <-tick.C:
		case <-limit.Done():
			fmt.Fprintf(p.stderr, "cromt: %d jobs have not ended, and are lost\n", running)
			return
		}
	}
	leave, done := context.WithTimeout(ctx, leaveTimeout)
	defer done()
	r.client.Leave(leave)
	fmt.Fprintln(p.stderr, "cromt: drained")
}
