package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/cromt/cromt/bot"
	"github.com/cromt/cromt/bot/config"
	"github.com/cromt/cromt/bot/githubapp"
	"github.com/cromt/cromt/bot/store"
)

// check says what is wrong, and what to do about it. It is a result: it goes
// to stdout.
func (c *serveCmd) check(ctx context.Context, p *program) error {
	cfg, err := config.Load(c.Config, p.getenv)
	if err != nil {
		return usage(err)
	}
	wrong := 0
	report := func(f bot.Finding) {
		if f.Level == bot.Wrong {
			wrong++
		}
		fmt.Fprintf(p.stdout, "%-5s  %-13s  %s\n", f.Level, f.What, oneLine(f.Text))
		if f.Hint != "" {
			fmt.Fprintf(p.stdout, "%22s> %s\n", "", oneLine(f.Hint))
		}
	}
	report(bot.Finding{Level: bot.OK, What: "configuration", Text: fmt.Sprintf("%s: %d hosts, %s in repositories", c.Config, len(cfg.Hosts), cfg.ConfigPath)})
	for _, w := range cfg.Warnings {
		report(bot.Finding{Level: bot.Note, What: "configuration", Text: w})
	}
	app, err := githubapp.New(githubapp.Config{
		AppID: cfg.GitHub.AppID, PrivateKey: []byte(cfg.GitHub.PrivateKey.Reveal()), APIURL: cfg.GitHub.APIURL,
		UserAgent: "cromt/" + buildVersion(), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return usage(err)
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	d := &bot.Diagnosis{
		GitHub: app, Settings: botSettings(cfg, app.WebURL()), Report: report,
		Database: func(ctx context.Context) (string, error) { return store.Inspect(ctx, databaseAddress(cfg)) },
	}
	d.Run(ctx)
	if wrong > 0 {
		fmt.Fprintf(p.stdout, "\n%d wrong\n", wrong)
		return &exitError{exitUsage, nil}
	}
	fmt.Fprintln(p.stdout, "\nnothing is wrong")
	return nil
}

// oneLine is a text of others on one line.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// databaseAddress is the database as the store wants it.
func databaseAddress(cfg *config.Config) string {
	if cfg.Database.Driver == "sqlite" {
		return "sqlite:" + cfg.Database.Source.Reveal()
	}
	return cfg.Database.Source.Reveal()
}
