package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cromt/cromt/sparky/agent"
)

type agentCmd struct {
	Listen    string `placeholder:"ADDR" help:"Address to listen on. Default: 127.0.0.1:4000; with --register none."`
	Root      string `placeholder:"DIR" help:"Folder for state, logs, files and checkouts. Default: ~/.sparky."`
	TokenFile string `placeholder:"FILE" help:"File with the token that clients must send; required to listen elsewhere than on loopback."`
	TLSCert   string `name:"tls-cert" placeholder:"FILE" help:"Certificate chain, PEM."`
	TLSKey    string `name:"tls-key" placeholder:"FILE" help:"Its key, PEM."`
	Users     string `placeholder:"FILE" help:"File of who may sign in to the pages, NAME:HASH a line, as htpasswd -B writes it. Without it people sign in with the token."`
	AddUser   string `placeholder:"NAME" help:"Add NAME to the --users file, or change their password, which is read from standard input, and end."`
	MaxJobs   int    `placeholder:"N" help:"Jobs that run at once. Default: four for each CPU, at least 8."`
	MaxDisk   string `placeholder:"SIZE" default:"16G" help:"Space that one job's checkout and temporary files may take, as 500M, 16G or 1T; a job over it is killed."`
	Verbose   bool   `short:"v" help:"Log what is asked and done."`

	registerFlags `embed:""`
}

// defaultListen is where agents are looked for.
const defaultListen = "127.0.0.1:4000"

// Help implements kong.HelpProvider.
func (agentCmd) Help() string {
	return `A host for jobs: the HTTP API of a Sparky, its project folders (ROOT/projects/NAME with a
sparrowfile and a sparky.yaml), crontabs and SCM triggers, and its pages.

Whoever reaches the agent and has its token, or may sign in, runs commands as the user of the
agent. Without a token and users it listens on loopback only, where every user of this machine
reaches it and its pages are open. With a token every route asks for it, or for a sign-in, those
that only show logs, files and stashes too.

TERM or ctrl-C ends it; jobs that run are killed and recorded as lost. Its queue is kept.

With --register it joins a pool of the App, over one connection that it opens itself, so that it
needs no address of its own. TERM then takes it out of the pool: what waits on it runs elsewhere,
what runs goes on, and it ends after that. A second signal ends it at once.`
}

// Run is the subcommand.
func (c *agentCmd) Run(ctx context.Context, p *program) error {
	if !agentsRunHere {
		return usage(errNoAgents)
	}
	if c.AddUser != "" {
		return c.addUser(p)
	}
	cfg, err := c.config(p)
	if err != nil {
		return usage(err)
	}
	tlsConfig, err := c.tls()
	if err != nil {
		return usage(err)
	}
	reg, err := c.registration(p, cfg)
	if err != nil {
		return usage(err)
	}
	if p.getenv("GOGC") == "" {
		defer debug.SetGCPercent(debug.SetGCPercent(agentGC))
	}
	signals, stop := catchSignals() // before others can see that it listens
	defer stop()
	ln, err := c.listen(ctx, &cfg, reg != nil)
	if err != nil {
		return usage(err)
	}
	cfg.TLS = tlsConfig != nil
	a, err := agent.Open(cfg)
	if err != nil {
		if ln != nil {
			_ = ln.Close()
		}
		return usage(err)
	}
	if ln != nil {
		c.ready(p, ln.Addr(), cfg, tlsConfig != nil)
	}
	if reg != nil {
		err = c.serveMember(ctx, p, a, reg, signals, cfg, ln, tlsConfig)
	} else {
		err = c.serve(ctx, p, a, signals, ln, tlsConfig)
	}
	grace, done := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer done()
	if err = errors.Join(err, a.Close(grace)); err != nil {
		return &exitError{exitInfra, err}
	}
	return nil
}

// listen listens where the flags say. An agent that announces itself need not:
// then there is no listener.
func (c *agentCmd) listen(ctx context.Context, cfg *agent.Config, registered bool) (net.Listener, error) {
	address := c.Listen
	if address == "" {
		if registered {
			return nil, nil //nolint:nilnil // documented
		}
		address = defaultListen
	}
	ln, err := listenPatiently(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	cfg.Listen = ln.Addr().String()
	if cfg.Token == "" && cfg.Users == "" && !isLoopback(ln.Addr()) {
		_ = ln.Close()
		return nil, agent.ErrNoToken
	}
	return ln, nil
}

// listenPatiently listens, and waits for an address that is in use: the program
// that a killed agent was just about to start holds it for a moment.
func listenPatiently(ctx context.Context, address string) (net.Listener, error) {
	for end := time.Now().Add(listenPatience); ; {
		ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		if err == nil || !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(end) {
			return ln, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(listenPause):
		}
	}
}

// serve answers on the listener until a signal comes.
func (c *agentCmd) serve(ctx context.Context, p *program, a *agent.Agent, signals <-chan os.Signal, ln net.Listener, tlsConfig *tls.Config) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case sig := <-signals:
			fmt.Fprintf(p.stderr, "cromt: %s: stopping\n", sig)
			cancel()
		case <-ctx.Done():
		}
	}()
	return agent.Serve(ctx, ln, a, tlsConfig)
}

func (c *agentCmd) config(p *program) (agent.Config, error) {
	cfg := agent.Config{Root: c.Root, MaxJobs: c.MaxJobs, Version: buildVersion(), Tom: "auto", Sparrowdo: "auto", Users: c.Users}
	var err error
	if cfg.MaxDisk, err = parseSize(c.MaxDisk); err != nil {
		return cfg, fmt.Errorf("--max-disk: %w", err)
	}
	if c.MaxJobs < 0 {
		return cfg, errors.New("--max-jobs: give a number above 0")
	}
	if cfg.Root == "" {
		home := p.home()
		if home == "" {
			return cfg, errors.New("no home directory for ~/.sparky; give --root")
		}
		cfg.Root = filepath.Join(home, ".sparky")
	}
	if abs, err := filepath.Abs(cfg.Root); err == nil {
		cfg.Root = abs
	}
	if c.TokenFile != "" {
		token, err := os.ReadFile(c.TokenFile)
		if err != nil {
			return cfg, fmt.Errorf("--token-file: %w", err)
		}
		if cfg.Token = strings.TrimSpace(string(token)); cfg.Token == "" {
			return cfg, fmt.Errorf("--token-file %s is empty", c.TokenFile)
		}
	}
	level := slog.LevelWarn
	if c.Verbose {
		level = slog.LevelInfo
	}
	cfg.Logger = slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: level}))
	return cfg, nil
}

func (c *agentCmd) tls() (*tls.Config, error) {
	if c.TLSCert == "" && c.TLSKey == "" {
		return nil, nil
	}
	if c.TLSCert == "" || c.TLSKey == "" {
		return nil, errors.New("--tls-cert and --tls-key go together")
	}
	pair, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

// parseSize reads a number of bytes, such as 500M.
func parseSize(text string) (int64, error) {
	digits, shift := strings.TrimRight(strings.ToUpper(text), "IB"), 0 // 16GiB
	for i, unit := range []string{"K", "M", "G", "T"} {
		if rest, ok := strings.CutSuffix(digits, unit); ok {
			digits, shift = rest, 10*(i+1)
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n <= 0 || n > math.MaxInt64>>shift {
		return 0, fmt.Errorf("%q: must be a number above 0 with K, M, G or T", text)
	}
	return n << shift, nil
}

// addUser writes a user to the file, with the password from standard input.
func (c *agentCmd) addUser(p *program) error {
	if c.Users == "" {
		return usage(errors.New("--add-user: give the file with --users FILE"))
	}
	if f, ok := p.stdin.(*os.File); ok {
		if fi, err := f.Stat(); err == nil && fi.Mode()&os.ModeCharDevice != 0 {
			fmt.Fprintf(p.stderr, "cromt: password of %s, which is shown as you type it: ", c.AddUser)
		}
	}
	line, err := bufio.NewReader(io.LimitReader(p.stdin, 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return usage(fmt.Errorf("--add-user: password: %w", err))
	}
	if err := agent.AddUser(c.Users, c.AddUser, strings.TrimRight(line, "\r\n")); err != nil {
		return usage(fmt.Errorf("--add-user: %w", err))
	}
	fmt.Fprintf(p.stderr, "cromt: %s may sign in by %s\n", c.AddUser, c.Users)
	return nil
}

// ready says where the agent is and who can reach it.
func (c *agentCmd) ready(p *program, addr net.Addr, cfg agent.Config, secure bool) {
	scheme := "http"
	if secure {
		scheme = "https"
	}
	fmt.Fprintf(p.stderr, "cromt: agent ready at %s://%s, root %s\n", scheme, addr, cfg.Root)
	switch {
	case cfg.Token == "" && cfg.Users == "":
		fmt.Fprintln(p.stderr, "cromt: warning: it has no token: every user of this machine can run commands as you; give --token-file to prevent that")
	case cfg.Token == "":
		fmt.Fprintln(p.stderr, "cromt: only people who sign in can use it: it has no token, so cromt run and other programs are refused; give --token-file for them")
	case cfg.Users == "":
		fmt.Fprintln(p.stderr, "cromt: every route asks for the token; people sign in with it at /login; give --users for names and passwords")
	default:
		fmt.Fprintln(p.stderr, "cromt: every route asks for the token of a program or a person's sign-in")
	}
	if cfg.Token+cfg.Users != "" && !secure && !isLoopback(addr) {
		fmt.Fprintln(p.stderr, "cromt: warning: it listens without TLS: who can read the network's traffic can take the token and passwords; give --tls-cert and --tls-key")
	}
}

func isLoopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}
