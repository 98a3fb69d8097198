package bot_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cromt/cromt/bot"
	"github.com/cromt/cromt/sparky/sparkytest"
)

const secret = "It's a Secret to Everybody"

func sign(body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// inbox takes each GUID once.
type inbox struct {
	mu   sync.Mutex
	seen map[string]bot.Delivery
	err  error
}

func (b *inbox) accept(_ context.Context, d bot.Delivery) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return false, b.err
	}
	_, dup := b.seen[d.GUID]
	b.seen[d.GUID] = d
	return !dup, nil
}

func newWebhook(t testing.TB) (http.Handler, *inbox, map[string]int) {
	t.Helper()
	in := &inbox{seen: map[string]bot.Delivery{}}
	results := map[string]int{}
	var mu sync.Mutex
	h, err := bot.NewWebhook([]byte(secret), in.accept, func(event, result string) {
		mu.Lock()
		defer mu.Unlock()
		results[event+" "+result]++
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return h, in, results
}

func payload(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "testdata", "webhooks", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// post sends a delivery; change may break it.
func post(t testing.TB, h http.Handler, event, body string, change func(*http.Request)) (int, string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/webhook", strings.NewReader(body))
	r.Header.Set("X-GitHub-Event", event)
	r.Header.Set("X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958")
	r.Header.Set("X-Hub-Signature-256", sign(body))
	r.Header.Set("Content-Type", "application/json")
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func TestWebhookAccepts(t *testing.T) {
	h, in, results := newWebhook(t)
	body := payload(t, "push/push.5.json")
	for i, want := range []int{http.StatusAccepted, http.StatusOK} { // the second is a duplicate
		if code, text := post(t, h, "push", body, nil); code != want {
			t.Errorf("delivery %d: %d %s", i+1, code, text)
		}
	}
	d := in.seen["72d3162e-cc78-11e3-81ab-4c9367dc0958"]
	if d.Event.Push == nil || string(d.Payload) != body || d.ReceivedAt.IsZero() {
		t.Errorf("stored %+v", d.Event)
	}
	if code, text := post(t, h, "ping", payload(t, "ping/ping.json"), header("X-GitHub-Delivery", "2")); code != http.StatusOK || text != "pong\n" {
		t.Errorf("ping: %d %s", code, text)
	}
	if code, _ := post(t, h, "star", `{}`, header("X-GitHub-Delivery", "3")); code != http.StatusAccepted {
		t.Errorf("unknown event: %d", code)
	}
	in.err = errors.New("disk full")
	if code, text := post(t, h, "push", body, header("X-GitHub-Delivery", "4")); code != http.StatusServiceUnavailable || strings.Contains(text, "disk") {
		t.Errorf("not stored: %d %s", code, text)
	}
	if len(in.seen) != 1 || results["push accepted"] != 1 || results["push duplicate"] != 1 || results["push failed"] != 1 || results["other ignored"] != 1 {
		t.Errorf("stored %d, results %v", len(in.seen), results)
	}
}

func TestWebhookRefuses(t *testing.T) {
	body := payload(t, "push/push.5.json")
	right := sign(body)
	for _, c := range []struct {
		name   string
		event  string
		body   string
		change func(*http.Request)
		want   int
	}{
		{"no signature", "push", body, header("X-Hub-Signature-256", ""), http.StatusUnauthorized},
		{"SHA-1 alone", "push", body, func(r *http.Request) {
			r.Header.Del("X-Hub-Signature-256")
			r.Header.Set("X-Hub-Signature", "sha1=0123456789012345678901234567890123456789")
		}, http.StatusUnauthorized},
		{"truncated", "push", body, header("X-Hub-Signature-256", right[:len(right)-2]), http.StatusUnauthorized},
		{"longer", "push", body, header("X-Hub-Signature-256", right+"00"), http.StatusUnauthorized},
		{"upper case", "push", body, header("X-Hub-Signature-256", "sha256="+strings.ToUpper(right[7:])), http.StatusUnauthorized},
		{"no prefix", "push", body, header("X-Hub-Signature-256", right[7:]), http.StatusUnauthorized},
		{"of another body", "push", body, header("X-Hub-Signature-256", sign(body+" ")), http.StatusUnauthorized},
		{"GET", "push", body, func(r *http.Request) { r.Method = http.MethodGet }, http.StatusMethodNotAllowed},
		{"form", "push", body, header("Content-Type", "application/x-www-form-urlencoded"), http.StatusUnsupportedMediaType},
		{"gzip", "push", body, header("Content-Encoding", "gzip"), http.StatusUnsupportedMediaType},
		{"no GUID", "push", body, header("X-GitHub-Delivery", ""), http.StatusBadRequest},
		{"odd GUID", "push", body, header("X-GitHub-Delivery", "../../etc/passwd"), http.StatusBadRequest},
		{"another event's body", "pull_request", body, nil, http.StatusBadRequest},
		{"no JSON", "push", "hello", nil, http.StatusBadRequest},
		{"odd event", "push\x00", body, nil, http.StatusBadRequest},
		{"says 26 MB", "push", body, func(r *http.Request) { r.ContentLength = 26 << 20 }, http.StatusRequestEntityTooLarge},
		{"is 25 MB and a byte", "push", strings.Repeat(" ", bot.MaxWebhook+1), func(r *http.Request) { r.ContentLength = -1 }, http.StatusRequestEntityTooLarge},
		{"shorter than it says", "push", body, func(r *http.Request) { r.ContentLength = int64(len(body)) + 1 }, http.StatusBadRequest},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, in, _ := newWebhook(t)
			code, text := post(t, h, c.event, c.body, c.change)
			if code != c.want || len(in.seen) != 0 {
				t.Errorf("%d %s, stored %d; want %d", code, text, len(in.seen), c.want)
			}
		})
	}
}

// GitHub's own example of a signature, and each of its bits turned.
func TestWebhookSignature(t *testing.T) {
	h, in, results := newWebhook(t)
	const vector = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
	good, err := hex.DecodeString(vector)
	if err != nil {
		t.Fatal(err)
	}
	for bit := range 8 * len(good) {
		bad := append([]byte{}, good...)
		bad[bit/8] ^= 1 << (bit % 8)
		if code, _ := post(t, h, "ping", "Hello, World!", header("X-Hub-Signature-256", "sha256="+hex.EncodeToString(bad))); code != http.StatusUnauthorized {
			t.Fatalf("bit %d: %d", bit, code)
		}
	}
	// With the right one it gets as far as not being JSON.
	if code, text := post(t, h, "ping", "Hello, World!", header("X-Hub-Signature-256", "sha256="+vector)); code != http.StatusBadRequest {
		t.Errorf("the vector: %d %s", code, text)
	}
	if results["ping forged"] != 256 || len(in.seen) != 0 {
		t.Errorf("%v, stored %d", results, len(in.seen))
	}
}

func TestWebhookWantsSecret(t *testing.T) {
	for _, s := range []string{"", " \n"} {
		if _, err := bot.NewWebhook([]byte(s), (&inbox{}).accept, nil, nil); err == nil {
			t.Errorf("secret %q is taken", s)
		}
	}
}

// Senders that never finish hold up nobody else.
func TestWebhookSlowSenders(t *testing.T) {
	h, _, _ := newWebhook(t)
	s := httptest.NewServer(h)
	defer s.Close()
	var slow []net.Conn
	defer func() {
		for _, c := range slow {
			c.Close()
		}
	}()
	for i := range 100 {
		c, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		slow = append(slow, c)
		length := "Content-Length: 1000\r\n"
		if i%2 == 0 {
			length = "Transfer-Encoding: chunked\r\n"
		}
		fmt.Fprintf(c, "POST /webhook HTTP/1.1\r\nHost: x\r\nX-Hub-Signature-256: %s\r\n%s\r\n1\r\n", sign("x"), length)
	}
	answersAtOnce(t, s.URL)
}

// answersAtOnce sends good deliveries, and looks that the quickest of twenty
// is answered within 50 ms: on a busy machine others wait for it alone.
func answersAtOnce(t *testing.T, url string) {
	t.Helper()
	body := payload(t, "push/push.5.json")
	quickest := time.Hour
	for i := range 20 {
		begun := time.Now()
		if code := send(t, url, strings.NewReader(body), sign(body), fmt.Sprintf("%08d-0", i)); code != http.StatusAccepted {
			t.Errorf("HTTP %d", code)
		}
		quickest = min(quickest, time.Since(begun))
	}
	if quickest > 50*time.Millisecond {
		t.Errorf("a good delivery takes %v", quickest)
	}
}

// send posts a delivery to a server and returns the answer's status.
func send(t *testing.T, url string, body io.Reader, signature, guid string) int {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, url, body)
	if err != nil {
		t.Error(err)
		return 0
	}
	for name, value := range map[string]string{"X-GitHub-Event": "push", "X-GitHub-Delivery": guid, "X-Hub-Signature-256": signature, "Content-Type": "application/json"} {
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// Large bodies of strangers take the memory of two, however many there are,
// and those of GitHub are taken all the same.
func TestWebhookLargeSenders(t *testing.T) {
	h, in, _ := newWebhook(t)
	s := httptest.NewServer(h)
	defer s.Close()
	large := bytes.Repeat([]byte(" "), bot.MaxWebhook)
	right := payload(t, "push/push.5.json")
	right += strings.Repeat(" ", 1<<20)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			var body io.Reader = bytes.NewReader(large)
			if i%2 == 0 {
				body = struct{ io.Reader }{body} // of unknown length
			}
			if code := send(t, s.URL, body, sign("x"), "1"); code != http.StatusUnauthorized {
				t.Errorf("sender %d: HTTP %d", i, code)
			}
		})
	}
	answersAtOnce(t, s.URL)
	all.Wait()
	runtime.ReadMemStats(&after)
	// 55 MiB; a third buffer is made when a sender comes late.
	if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 85<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
	for i, body := range []io.Reader{strings.NewReader(right), struct{ io.Reader }{strings.NewReader(right)}} {
		guid := fmt.Sprint(100 + i)
		code := send(t, s.URL, body, sign(right), guid)
		in.mu.Lock()
		if code != http.StatusAccepted || string(in.seen[guid].Payload) != right {
			t.Errorf("a good one of %d bytes: HTTP %d, %d bytes stored", len(right), code, len(in.seen[guid].Payload))
		}
		in.mu.Unlock()
	}
	// Full to the last byte, and cut.
	full := right + strings.Repeat(" ", bot.MaxWebhook-len(right))
	if code, text := post(t, h, "ping", full, func(r *http.Request) { r.ContentLength = -1 }); code != http.StatusOK {
		t.Errorf("25 MB: HTTP %d %s", code, text)
	}
	if code, text := post(t, h, "push", right, func(r *http.Request) { r.ContentLength++ }); code != http.StatusBadRequest {
		t.Errorf("cut: HTTP %d %s", code, text)
	}
}

// Those who send a byte a second are cut off, and cost little meanwhile.
func TestWebhookCutsSlowSenders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, in, _ := newWebhook(t)
		dial := sparkytest.Serve(t, h)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		begun := time.Now()
		var all sync.WaitGroup
		for i := range 100 {
			c, err := dial(t.Context(), "", "")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			length := "Content-Length: 20000000\r\n"
			if i%2 == 0 {
				length = "Transfer-Encoding: chunked\r\n"
			}
			all.Go(func() {
				defer c.Close()
				_, err := fmt.Fprintf(c, "POST /webhook HTTP/1.1\r\nHost: x\r\nX-GitHub-Event: push\r\nX-GitHub-Delivery: %d\r\nContent-Type: application/json\r\nX-Hub-Signature-256: %s\r\n%s\r\n", i, sign("x"), length)
				for n := 0; err == nil && n < 3600; n++ {
					time.Sleep(time.Second)
					_, err = io.WriteString(c, "1\r\n1\r\n")
				}
				if err == nil {
					t.Errorf("sender %d is never cut off", i)
				}
			})
			go io.Copy(io.Discard, c) // until it is closed
		}
		all.Wait()
		runtime.ReadMemStats(&after)
		if took := time.Since(begun); took > time.Minute {
			t.Errorf("took %v", took)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 64<<20 {
			t.Errorf("took %d MiB", grown>>20)
		}
		if len(in.seen) != 0 {
			t.Errorf("%d are stored", len(in.seen))
		}
	})
}

// Every example of GitHub's is taken or refused, and nothing panics.
func FuzzWebhook(f *testing.F) {
	f.Add("push", `{"ref":"refs/heads/main"}`)
	f.Add("issue_comment", payload(f, "issue_comment/created.json"))
	h, _, _ := newWebhook(f)
	f.Fuzz(func(t *testing.T, event, body string) {
		code, _ := post(t, h, "push", body, func(r *http.Request) { r.Header["X-Github-Event"] = []string{event} })
		if code != 200 && code != 202 && code != 400 {
			t.Errorf("%q: %d", event, code)
		}
	})
}
