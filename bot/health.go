package bot

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
)

// Health looks at the hosts of the configuration now and then, whether or not
// anything runs there, and keeps what it finds in the store.
type Health struct {
	Store   *store.Store
	Hosts   []flow.HostEntry
	Host    func(flow.HostEntry) (sparky.HostConfig, error) // see Settings
	Metrics *Metrics
	Logger  *slog.Logger
}

// Watch looks at all hosts until ctx is done.
func (h *Health) Watch(ctx context.Context) {
	var all sync.WaitGroup
	for n, entry := range h.Hosts {
		all.Go(func() { h.watch(ctx, entry, min(time.Duration(n)*healthSpread, healthInterval)) })
	}
	all.Wait()
}

func (h *Health) watch(ctx context.Context, entry flow.HostEntry, wait time.Duration) {
	var client *sparky.Client
	config, err := h.Host(entry)
	if err == nil {
		client, err = sparky.NewClient(config)
	}
	if err != nil {
		h.Logger.Error("host is not looked at", "host", entry.URL, "error", err)
		return
	}
	defer client.CloseIdle()
	was := ""
	for first := true; ; first = false {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		p, _ := probe(ctx, client)
		if ctx.Err() != nil {
			return
		}
		h.Metrics.Probed(entry.URL, p.Error == "", p.Latency)
		switch {
		case p.Error != "" && (first || was == ""):
			h.Logger.Warn("host does not answer", "host", entry.URL, "error", p.Error)
		case p.Error == "" && was != "":
			h.Logger.Info("host answers again", "host", entry.URL)
		}
		was = p.Error
		if err := h.Store.SaveHost(ctx, p); err != nil && ctx.Err() == nil {
			h.Logger.Warn("health not kept", "host", entry.URL, "error", err)
		}
		wait = time.Duration(float64(healthInterval) * (1 - healthJitter + 2*healthJitter*rand.Float64()))
	}
}

// probe looks at a host once: it starts nothing there. A host that is no agent
// of ours, but a Sparky, has no version.
func probe(ctx context.Context, c *sparky.Client) (store.HostProbe, error) {
	ctx, cancel := context.WithTimeout(ctx, healthTime)
	defer cancel()
	start := time.Now()
	hello, err := c.Hello(ctx)
	p := store.HostProbe{URL: c.URL(), At: time.Now(), Latency: time.Since(start)}
	switch {
	case err != nil:
		p.Error = err.Error()
	case hello != nil:
		p.Version, p.Queued, p.Running = hello.Agent, hello.Queued, hello.Running
	}
	return p, err
}
