package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/cromt/cromt/bot/config"
	"github.com/cromt/cromt/bot/githubapp"
	"github.com/cromt/cromt/bot/setup"
)

// signInPath is where GitHub sends people who sign in to the App's pages.
const signInPath = "/signin/callback"

// setup makes the App with the help of a page, and ends when its files are
// written.
func (c *serveCmd) setup(ctx context.Context, p *program) error {
	listen := cmp.Or(c.Listen, config.DefaultListen)
	flow, err := setup.New(setup.Config{
		GitHub:    githubapp.Config{APIURL: cmp.Or(c.APIURL, p.getenv("CROMT_GITHUB_API_URL")), UserAgent: "cromt/" + buildVersion()},
		PublicURL: cmp.Or(c.PublicURL, p.getenv("CROMT_PUBLIC_URL")), Listen: listen, File: c.Config, CallbackPath: signInPath,
	})
	if err != nil {
		return usage(err)
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		return usage(fmt.Errorf("listen: %w; name another address with --listen", err))
	}
	web := &http.Server{Handler: flow.Handler(), ReadHeaderTimeout: setupHeaderTime, MaxHeaderBytes: 64 << 10}
	served := make(chan error, 1)
	go func() { served <- web.Serve(ln) }()
	fmt.Fprintf(p.stderr, "cromt: open http://%s%s\n", browsable(ln.Addr()), flow.Path())
	if c.PublicURL != "" {
		fmt.Fprintf(p.stderr, "cromt: or, where a proxy leads to it already, %s%s\n", strings.TrimRight(c.PublicURL, "/"), flow.Path())
	}
	limit, cancel := context.WithTimeout(ctx, setup.Time)
	defer cancel()
	select {
	case <-flow.Done():
	case err = <-served:
	case <-limit.Done():
		if err = errors.New("setup: nobody has finished it; start again"); ctx.Err() != nil {
			err = &exitError{exitInterrupted, nil}
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), setupHeaderTime)
	defer cancel()
	if serr := web.Shutdown(last); err == nil {
		err = serr // the browser may not have the last page
	}
	if err != nil {
		return err
	}
	made := flow.Made()
	fmt.Fprintf(p.stderr, "cromt: the App %s is made, and %s is written; next:\n", made.Name, c.Config)
	fmt.Fprintf(p.stderr, "  install it: %s/installations/new\n  list your hosts in %s\n  cromt serve --config %[2]s --check\n", made.Page, c.Config)
	return nil
}

// browsable is an address that a browser on this machine can open.
func browsable(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if ip := net.ParseIP(host); err == nil && ip.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return a.String()
}
