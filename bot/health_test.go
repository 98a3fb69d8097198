package bot_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cromt/cromt/bot"
	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
)

// A host that dies is known to be dead within 30 s, and it is known when it is
// back.
func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "cromt.db"), store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		var mu sync.Mutex
		dead := false
		metrics := bot.NewMetrics(nil)
		h := &bot.Health{
			Store: s, Hosts: []flow.HostEntry{{URL: "http://hostA:4000"}}, Metrics: metrics, Logger: slog.New(slog.DiscardHandler),
			Host: func(e flow.HostEntry) (sparky.HostConfig, error) {
				return sparky.HostConfig{URL: e.URL, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
					client, server := net.Pipe()
					go answer(server, func() bool { mu.Lock(); defer mu.Unlock(); return dead })
					return client, nil
				}}, nil
			},
		}
		ctx, stop := context.WithCancel(t.Context())
		var done sync.WaitGroup
		done.Go(func() { h.Watch(ctx) })
		host := func() store.Host {
			t.Helper()
			all, err := s.Hosts(t.Context())
			if err != nil || len(all) != 1 {
				t.Fatalf("%v, %v", all, err)
			}
			return all[0]
		}
		time.Sleep(time.Second)
		if got := host(); got.Version != "v9" || got.Queued != 3 || got.Running != 2 || got.Failures != 0 || got.OKAt.IsZero() {
			t.Errorf("%+v", got)
		}
		mu.Lock()
		dead = true
		mu.Unlock()
		time.Sleep(30 * time.Second)
		if got := host(); got.Failures == 0 || got.Error == "" {
			t.Errorf("after 30 s: %+v", got)
		}
		if _, text := scrape(t, metrics); !strings.Contains(text, `cromt_host_up{host="http://hostA:4000"} 0`) || !strings.Contains(text, `cromt_host_probe_failures_total{host="http://hostA:4000"} 1`) {
			t.Errorf("metrics:\n%s", text)
		}
		mu.Lock()
		dead = false
		mu.Unlock()
		time.Sleep(30 * time.Second)
		if got := host(); got.Failures != 0 || got.Error != "" {
			t.Errorf("when it is back: %+v", got)
		}
		stop()
		done.Wait()
	})
}

// answer is an agent on a connection: one that is dead says nothing at all.
func answer(conn net.Conn, dead func() bool) {
	defer conn.Close()
	for in := bufio.NewReader(conn); ; {
		if _, err := http.ReadRequest(in); err != nil {
			return
		}
		if dead() {
			_, _ = in.ReadByte() // until the other side gives up
			return
		}
		body := `{"agent":"v9","version":1,"queued":3,"running":2}`
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
}
