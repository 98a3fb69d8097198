//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cromt/cromt/bot/githubtest"
)

// write puts the letters in an order that GitHub does not promise either, with
// as many more of what was sent already, half of it under another GUID.
func (c *chaos) write() {
	c.rng.Shuffle(len(c.letters), func(i, j int) { c.letters[i], c.letters[j] = c.letters[j], c.letters[i] })
	unique := len(c.letters)
	for len(c.letters) < c.plan.letters {
		again := c.letters[c.rng.IntN(unique)]
		if again.forged {
			continue
		}
		c.counts.add("sent again", 1)
		if len(c.letters)%2 == 0 {
			again.guid = c.guid()
			c.counts.add("of these under another GUID", 1)
		}
		c.letters = append(c.letters, again)
	}
	c.rng.Shuffle(len(c.letters), func(i, j int) { c.letters[i], c.letters[j] = c.letters[j], c.letters[i] })
}

// postOffice is what GitHub remembers of its deliveries.
type postOffice struct {
	mu    sync.Mutex
	sent  map[int64]letter // by the attempt's id
	asked int              // attempts that the App has asked to repeat
}

// deliver sends the letters, kills the App meanwhile, and waits for all that
// they lead to.
func (c *chaos) deliver() {
	c.t.Helper()
	ctx, cancel := c.context()
	defer cancel()
	begin := time.Now()
	all := make(chan letter)
	var senders, office sync.WaitGroup
	for n := range c.plan.senders {
		senders.Go(func() { c.send(ctx, n, all) })
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, m := range c.letters {
			select {
			case all <- m:
			case <-ctx.Done():
			}
		}
		close(all)
		senders.Wait()
		c.t.Logf("sent after %.1f s", time.Since(begin).Seconds())
	}()
	served, stop := context.WithCancel(ctx)
	office.Go(func() { c.serveOffice(served) })
	if c.plan.endEvery > 0 {
		c.storm(ctx)
	} else {
		c.killAll(ctx)
	}
	<-done
	if c.plan.sweeps {
		c.kill(0) // when it starts it looks for what it has missed
	}
	c.wait(ctx)
	stop()
	office.Wait()
	c.t.Logf("all concluded after %.1f s", time.Since(begin).Seconds())
}

// killAll kills the replicas in turn, as the letters go out.
func (c *chaos) killAll(ctx context.Context) {
	c.t.Helper()
	for n := range c.plan.kills {
		for int(c.sent.Load()) < n*len(c.letters)/c.plan.kills && c.sleep(ctx, 10*time.Millisecond) {
		}
		c.mu.Lock()
		d := time.Duration(c.rng.Int64N(int64(c.plan.storm)))
		c.mu.Unlock()
		if !c.sleep(ctx, d) {
			c.t.Fatalf("%d of %d kills: it takes too long", n, c.plan.kills)
		}
		c.kill(n % len(c.sites))
	}
}

// kill kills a replica and starts it anew.
func (c *chaos) kill(i int) {
	c.t.Helper()
	c.killing.Lock()
	defer c.killing.Unlock()
	if n := len(c.kills); c.plan.sweeps && n%5 != 0 { // most of what would not be taken waits: the App asks for 60 a minute
		c.addrs[i].Store(nil)
	}
	c.sites[i].kill()
	c.counts.add("kills", 1)
	if err := c.start(i); err != nil {
		c.t.Fatal(err)
	}
}

func (c *chaos) sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// send sends letters to each replica in turn. What fails is sent again after
// the others, or listed as failed, and sent again when the App asks for it.
func (c *chaos) send(ctx context.Context, n int, all <-chan letter) {
	var failed []letter
	for m := range all {
		if !c.attempt(ctx, n, m, false) {
			failed = append(failed, m)
		}
		n++
		c.sent.Add(1)
		c.sleep(ctx, c.plan.pace)
	}
	for n := 0; len(failed) > 0 && c.sleep(ctx, c.plan.pace); n++ {
		m := failed[0]
		if failed = failed[1:]; !c.attempt(ctx, n, m, false) {
			failed = append(failed, m)
		}
	}
}

// attempt sends a letter once. It reports whether its sender is done with it.
func (c *chaos) attempt(ctx context.Context, n int, m letter, again bool) bool {
	status, err := sendLetter(ctx, c.address(n), m)
	ok := err == nil && status < 500
	switch {
	case ctx.Err() != nil:
		return true
	case !ok:
		c.counts.add("attempts that failed", 1)
	case m.forged:
		c.counts.add("forged", 1)
		if status != http.StatusUnauthorized {
			c.t.Errorf("a forged delivery was answered %d", status)
		}
	case status == http.StatusAccepted, status == http.StatusOK:
		c.counts.add(fmt.Sprintf("answered %d", status), 1)
	default:
		c.t.Errorf("a delivery was answered %d", status)
	}
	if m.forged || !c.plan.sweeps {
		return ok
	}
	if !ok {
		status = http.StatusBadGateway // as GitHub calls it
	}
	c.post.mu.Lock()
	defer c.post.mu.Unlock()
	id := c.gh.AddDelivery(githubtest.Delivery{GUID: m.guid, Event: m.event, StatusCode: status, Redelivery: again})
	if c.post.sent == nil {
		c.post.sent = map[int64]letter{}
	}
	if !ok {
		c.post.sent[id] = m
	}
	return true
}

// serveOffice delivers again what the App asks for. What comes while it is dead
// it asks for once more.
func (c *chaos) serveOffice(ctx context.Context) {
	for c.plan.sweeps && c.sleep(ctx, 50*time.Millisecond) {
		asked := c.gh.Redeliveries()
		for ; c.post.asked < len(asked); c.post.asked++ {
			c.post.mu.Lock()
			m, ok := c.post.sent[asked[c.post.asked]]
			c.post.mu.Unlock()
			if !ok {
				c.t.Errorf("delivery %d was asked for, and had been taken", asked[c.post.asked])
				continue
			}
			c.counts.add("asked for again", 1)
			c.attempt(ctx, c.post.asked, m, true)
		}
	}
}

// address is that of a replica that is up, the nth if that is.
func (c *chaos) address(n int) string {
	for {
		for i := range c.addrs {
			if addr := c.addrs[(n+i)%len(c.addrs)].Load(); addr != nil {
				return *addr
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func sendLetter(ctx context.Context, addr string, m letter) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/webhook", bytes.NewReader(m.body))
	if err != nil {
		return 0, err
	}
	signLetter(r, m)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// tallies count what has happened.
type tallies struct {
	mu sync.Mutex
	n  map[string]int
}

func (t *tallies) add(what string, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n == nil {
		t.n = map[string]int{}
	}
	t.n[what] += n
}

func (t *tallies) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(t.n)) {
		parts = append(parts, fmt.Sprintf("%s: %d", what, t.n[what]))
	}
	return strings.Join(parts, ", ")
}
