//go:build unix

package agent_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/sparky/agent"
)

func TestLocal(t *testing.T) {
	l := agent.NewLocal(t.TempDir(), agent.Config{Token: "unused"})
	dir := scenarios(t, "x", "sleep 600\n")
	seen := map[string]bool{}
	for _, u := range []string{"https://hostA:4000", "https://hostB:4000", "https://hostA:4000"} {
		cfg, err := l.Host(u)
		if err != nil {
			t.Fatal(err)
		}
		client := &http.Client{Transport: &http.Transport{DialContext: cfg.Dial}}
		res, err := client.Get(cfg.URL + "/cromt")
		if err != nil {
			t.Fatal(err)
		}
		if body := string(drain(res)); res.StatusCode != http.StatusOK || !strings.Contains(body, u) {
			t.Errorf("%d %s", res.StatusCode, body)
		}
		id := "same.id"
		res, err = client.Post(cfg.URL+"/queue", "application/json", strings.NewReader(queueBody("p", id, inDir(dir, "x"))))
		if err != nil {
			t.Fatal(err)
		}
		if body := string(drain(res)); strings.Contains(body, "attached") != seen[u] {
			t.Errorf("%s: %s", u, body)
		}
		seen[u] = true
		// A body larger than the buffer goes both ways.
		big := strings.Repeat("x", 1<<20)
		req, err := http.NewRequest(http.MethodPut, cfg.URL+"/file/project/p/job/j/filename/f", strings.NewReader(big))
		if err != nil {
			t.Fatal(err)
		}
		if res, err = client.Do(req); err != nil {
			t.Fatal(err)
		}
		drain(res)
		if res, err = client.Get(cfg.URL + "/file/p/j/f"); err != nil {
			t.Fatal(err)
		}
		if got := drain(res); string(got) != big {
			t.Errorf("%d bytes came back", len(got))
		}
		client.CloseIdleConnections()
	}
	if _, err := l.Host("nonsense"); err == nil {
		t.Error("a host without a URL")
	}
	if err := l.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if _, err := l.Host("https://hostC"); err == nil {
		t.Error("a host after the end")
	}
}

func TestPipe(t *testing.T) {
	a, b := agent.NewPipe()
	if err := a.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: %v", err)
	}
	var timeout net.Error
	if _, err := a.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("read: %v is no timeout", err)
	}
	if err := a.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := b.SetWriteDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	n, err := b.Write(make([]byte, 1<<20))
	if !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 || n == 1<<20 {
		t.Errorf("write: %d %v", n, err)
	}
	done := make(chan string)
	go func() {
		data, err := io.ReadAll(a)
		done <- fmt.Sprint(len(data), err)
	}()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if got := <-done; got != fmt.Sprint(n, nil) {
		t.Errorf("read %s, want %d", got, n)
	}
	if _, err := a.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("write to a closed reader: %v", err)
	}
	if _, err := b.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
}
