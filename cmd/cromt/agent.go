package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/cromt/cromt/sparky/agent"
)

type agentCmd struct {
	Listen    string `default:"127.0.0.1:4000" placeholder:"ADDR" help:"Address to listen on."`
	Root      string `placeholder:"DIR" help:"Folder for state, logs, files and checkouts. Default: ~/.sparky."`
	TokenFile string `placeholder:"FILE" help:"File with the token that clients must send; required to listen elsewhere than on loopback."`
	TLSCert   string `name:"tls-cert" placeholder:"FILE" help:"Certificate chain, PEM."`
	TLSKey    string `name:"tls-key" placeholder:"FILE" help:"Its key, PEM."`
	MaxJobs   int    `placeholder:"N" help:"Jobs that run at once. Default: twice the CPUs, at least 4."`
	Verbose   bool   `short:"v" help:"Log what is asked and done."`
}

// Help implements kong.HelpProvider.
func (agentCmd) Help() string {
	return `Whoever reaches the agent and has its token runs commands as the user of the agent. Without a
token it listens on loopback only, where every user of this machine reaches it.

TERM or ctrl-C ends it; jobs that run are killed and recorded as lost. Its queue is kept.`
}

// Run is the subcommand.
func (c *agentCmd) Run(ctx context.Context, p *program) error {
	if !agentsRunHere {
		return usage(errNoAgents)
	}
	cfg, err := c.config(p)
	if err != nil {
		return usage(err)
	}
	tlsConfig, err := c.tls()
	if err != nil {
		return usage(err)
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return usage(fmt.Errorf("listen: %w", err))
	}
	if cfg.Token == "" && !isLoopback(ln.Addr()) {
		_ = ln.Close()
		return usage(agent.ErrNoToken)
	}
	a, err := agent.Open(cfg)
	if err != nil {
		_ = ln.Close()
		return usage(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	signals, stop := catchSignals()
	defer stop()
	go func() {
		select {
		case sig := <-signals:
			fmt.Fprintf(p.stderr, "cromt: %s: stopping\n", sig)
			cancel()
		case <-ctx.Done():
		}
	}()
	c.ready(p, ln.Addr(), cfg, tlsConfig != nil)
	err = agent.Serve(ctx, ln, a, tlsConfig)
	grace, done := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer done()
	if err = errors.Join(err, a.Close(grace)); err != nil {
		return &exitError{exitInfra, err}
	}
	return nil
}

func (c *agentCmd) config(p *program) (agent.Config, error) {
	cfg := agent.Config{Root: c.Root, MaxJobs: c.MaxJobs, Version: buildVersion(), Tom: "auto"}
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

// ready says where the agent is and who can reach it.
func (c *agentCmd) ready(p *program, addr net.Addr, cfg agent.Config, secure bool) {
	scheme := "http"
	if secure {
		scheme = "https"
	}
	fmt.Fprintf(p.stderr, "cromt: agent ready at %s://%s, root %s\n", scheme, addr, cfg.Root)
	switch {
	case cfg.Token == "":
		fmt.Fprintln(p.stderr, "cromt: warning: it has no token: every user of this machine can run commands as you; give --token-file to prevent that")
	case !secure && !isLoopback(addr):
		fmt.Fprintln(p.stderr, "cromt: warning: it listens without TLS: who can read the network's traffic can take the token; give --tls-cert and --tls-key")
	}
}

func isLoopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}
