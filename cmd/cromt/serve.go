package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/cromt/cromt/bot"
	"github.com/cromt/cromt/bot/config"
	"github.com/cromt/cromt/bot/githubapp"
	"github.com/cromt/cromt/bot/members"
	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/bot/trust"
	"github.com/cromt/cromt/bot/web"
	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/tunnel"
)

type serveCmd struct {
	Config  string `default:"bot.yaml" placeholder:"FILE" help:"The configuration."`
	Cache   string `placeholder:"DIR" help:"Folder for source archives, which can be had again. Default: a folder of the user's cache."`
	Verbose bool   `short:"v" help:"Log what is asked and done."`
	Check   bool   `xor:"mode" help:"Say what is wrong with the configuration, the App on GitHub, the database and the hosts, and end: 0 or 2."`
	Setup   bool   `xor:"mode" help:"Make the App on GitHub with the help of a page, write its configuration, and end."`

	Listen    string `group:"With --setup:" placeholder:"ADDRESS" help:"Where the page is, and the App will be. Default: 127.0.0.1:8080."`
	PublicURL string `name:"public-url" group:"With --setup:" placeholder:"URL" help:"Where GitHub and browsers will reach the App."`
	APIURL    string `name:"api-url" group:"With --setup:" placeholder:"URL" help:"The API of a GitHub Enterprise server, like https://github.example.com/api/v3."`
}

// Help implements kong.HelpProvider.
func (serveCmd) Help() string {
	return `The GitHub App: it takes webhooks at /webhook, runs the jobs.yaml of repositories that have installed it on
the hosts that its configuration lists, and shows each run as check runs and, to those who sign in with
GitHub, on pages. Every key of the configuration can be set by a variable CROMT_… instead.

--setup makes the App: it prints the address of a page that only you know. --check says what is
still missing.

/healthz, /readyz and /metrics are for those who operate it. TERM or ctrl-C ends it without cancelling
anything: the next process goes on with the runs.`
}

// Run is the subcommand.
func (c *serveCmd) Run(ctx context.Context, p *program) error {
	if c.Setup {
		return c.setup(ctx, p)
	}
	if c.Listen+c.PublicURL+c.APIURL != "" {
		return usage(errors.New("--listen, --public-url and --api-url go with --setup; otherwise the configuration has them"))
	}
	if c.Check {
		return c.check(ctx, p)
	}
	cfg, err := config.Load(c.Config, p.getenv)
	if err != nil {
		return usage(err)
	}
	for _, w := range cfg.Warnings {
		fmt.Fprintln(p.stderr, "cromt: warning: "+w)
	}
	level := slog.LevelInfo
	if c.Verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewJSONHandler(p.stderr, &slog.HandlerOptions{Level: level}))
	s, err := c.server(ctx, cfg, p, log)
	if err != nil {
		return usage(err)
	}
	defer func() { _ = s.Store.Close() }() // what it has taken is committed
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return usage(fmt.Errorf("listen: %w", err))
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	log.Info("ready", "address", ln.Addr().String(), "version", buildVersion(), "hosts", len(cfg.Hosts))
	if err := s.Serve(ctx, ln); err != nil {
		return &exitError{exitInfra, err}
	}
	log.Info("stopped")
	return nil
}

// server joins what the configuration names.
func (c *serveCmd) server(ctx context.Context, cfg *config.Config, p *program, log *slog.Logger) (*bot.Server, error) {
	cache := c.Cache
	if cache == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("cache: %w; name a folder with --cache", err)
		}
		cache = filepath.Join(dir, "cromt", "sources")
	}
	db, err := store.Open(ctx, databaseAddress(cfg), store.Options{Logger: log})
	if err != nil {
		return nil, err
	}
	metrics := bot.NewMetrics(bot.QueueOf(db))
	app, err := githubapp.New(githubapp.Config{
		AppID: cfg.GitHub.AppID, PrivateKey: []byte(cfg.GitHub.PrivateKey.Reveal()), APIURL: cfg.GitHub.APIURL,
		ClientID: cfg.GitHub.ClientID, ClientSecret: cfg.GitHub.ClientSecret.Reveal(),
		UserAgent: "cromt/" + buildVersion(), Logger: log, Observe: metrics.GitHub,
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	settings := botSettings(cfg, app.WebURL())
	if len(cfg.Pools) > 0 {
		settings.Pools = botPools(cfg, db, settings, log)
		metrics.Pools(settings.Pools)
	}
	pages, err := botPages(cfg, db, app, settings, log)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &bot.Server{
		Store: db, GitHub: app, Settings: settings, Secret: []byte(cfg.GitHub.WebhookSecret.Reveal()), Folder: cache,
		Metrics: metrics, Pages: pages, Logger: log, Retention: cfg.Retention,
	}, nil
}

// botPages are the App's pages.
func botPages(cfg *config.Config, db *store.Store, app *githubapp.App, settings *bot.Settings, log *slog.Logger) (http.Handler, error) {
	hosts := make([]web.Host, len(cfg.Hosts))
	for i, h := range cfg.Hosts {
		hosts[i] = web.Host{URL: h.URL, Name: h.Name, Slots: h.Slots, MayUse: func(repo string) bool { return trust.MayUse(h.HostEntry, repo) }}
	}
	var pools func(context.Context) ([]web.PoolHost, error)
	if settings.Pools != nil {
		pools = func(ctx context.Context) ([]web.PoolHost, error) { return poolHosts(ctx, db, settings.Pools) }
	}
	return web.New(web.Config{
		Store: db, GitHub: app, Plan: settings.Plan, Hosts: hosts, Pools: pools, PublicURL: cfg.PublicURL,
		// Of the two secrets that all replicas know it is the one that is always there.
		Secret: []byte(cfg.GitHub.WebhookSecret.Reveal()), Version: buildVersion(), Logger: log,
	})
}

// poolHosts are the hosts of the pools as they stand: those of the
// configuration and those that have announced themselves.
func poolHosts(ctx context.Context, db *store.Store, pools *bot.Pools) ([]web.PoolHost, error) {
	members, err := db.Members(ctx)
	if err != nil {
		return nil, err
	}
	now := map[string]flow.HostState{}
	for _, h := range pools.Place.Hosts() {
		now[h.URL] = h
	}
	var list []web.PoolHost
	add := func(e *flow.PoolEntry, url string, h web.PoolHost) {
		is := now[url]
		h.Pool, h.Used, h.Out, h.Reason = e.Name, is.Used, is.Out, is.Reason
		h.Draining = h.Draining || is.Draining
		h.MayUse = func(repo string) bool { return trust.MayUse(flow.HostEntry{Repos: e.Repos}, repo) }
		list = append(list, h)
	}
	for i := range pools.Entries {
		e := &pools.Entries[i]
		for _, h := range e.Hosts {
			add(e, h.URL, web.PoolHost{Name: h.URL, Labels: h.Labels, Slots: h.Slots, Connected: true})
		}
		for _, m := range members {
			if m.Pool == e.Name {
				add(e, tunnel.URL(m.Pool, m.Name), web.PoolHost{
					Name: m.Name, Labels: m.Labels, Slots: m.Slots, Version: m.Version, Draining: m.Draining,
					Connected: len(m.Replicas) > 0, SeenAt: m.SeenAt,
				})
			}
		}
	}
	return list, nil
}

// botPools are the App's pools.
func botPools(cfg *config.Config, db *store.Store, settings *bot.Settings, log *slog.Logger) *bot.Pools {
	c := bot.PoolsConfig{Members: members.Config{Store: db, Logger: log}, Host: settings.Host, Hosts: settings.Hosts, Logger: log}
	for _, p := range cfg.Pools {
		c.Entries = append(c.Entries, p.PoolEntry)
		if p.Register {
			c.Members.Pools = append(c.Members.Pools, members.Pool{
				Name: p.Name, JoinKey: []byte(p.JoinKey.Reveal()), JoinSums: p.JoinSums, Revoked: p.Revoked, Max: p.MaxMembers,
			})
		}
	}
	return bot.NewPools(c)
}

// botSettings are what of the configuration runs need.
func botSettings(cfg *config.Config, gitURL string) *bot.Settings {
	secrets := cfg.Secrets()
	return &bot.Settings{
		ConfigPath: cfg.ConfigPath, DefaultHost: cfg.DefaultHost, Hosts: cfg.Entries(), PublicURL: cfg.PublicURL, GitURL: gitURL,
		Clone: cfg.Clone,
		Host: func(e flow.HostEntry) (sparky.HostConfig, error) {
			h, ok := cfg.Host(e)
			if !ok {
				return sparky.HostConfig{}, fmt.Errorf("host %s is not in the configuration", e.URL)
			}
			return sparky.HostConfig{
				URL: e.URL, Name: e.Name, Token: h.Token.Reveal(), CA: h.CA, InsecureSkipVerify: e.InsecureSkipVerify,
				Slots: e.Slots, SparrowRepo: e.SparrowRepo, PublicPort: e.PublicPort,
			}, nil
		},
		Secret: func(repo, name string) (string, error) {
			value, err := secrets.Lookup(repo, name)
			return value.Reveal(), err
		},
	}
}
