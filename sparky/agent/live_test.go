//go:build unix

package agent_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/sparky/agent"
)

// event is a server-sent one.
type event struct{ id, name, text string }

// live reads the events of a build's log.
func (h *host) live(path string, header ...string) (events <-chan event, stop func()) {
	h.t.Helper()
	req, err := http.NewRequest(http.MethodGet, h.url+path, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" {
		h.t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	out := make(chan event, 1000)
	go func() {
		defer close(out)
		var e event
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			key, value, _ := strings.Cut(lines.Text(), ": ")
			switch key {
			case "id":
				e.id = value
			case "event":
				e.name = value
			case "data":
				_ = json.Unmarshal([]byte(value), &e.text) // an empty text fails the test
				out <- e
			}
		}
	}()
	return out, func() { res.Body.Close() }
}

func (h *host) next(events <-chan event) event {
	h.t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(20 * time.Second):
		h.t.Fatal("no event")
		panic("unreachable")
	}
}

// TestLiveLog reads a log as it grows, from the beginning and from where a
// connection broke.
func TestLiveLog(t *testing.T) {
	h := start(t, agent.Config{})
	dir := scenarios(t, "x", "printf '\\e[31mred <b>\\xc3'; until [ -e go1 ]; do sleep 0.02; done; printf '\\xa9\\e[0m\\n'; until [ -e go2 ]; do sleep 0.02; done; echo end; exit 3\n")
	h.queue("p", inDir(dir, "x"))
	waitFor(t, func() bool { code, _ := h.do("GET", "/report/p/1", ""); return code == 200 })
	events, stop := h.live("/report/p/1/live?offset=0")
	defer stop()
	var text, last string
	read := func(until string) {
		t.Helper()
		for !strings.Contains(text, until) {
			switch e := h.next(events); e.name {
			case "log":
				text += e.text
				last = e.id
			case "state":
				if e.text != "Running" && e.text != "Failed" && e.text != "Queued" {
					t.Errorf("%+v", e)
				}
			default:
				t.Fatalf("%+v after %q", e, text)
			}
		}
	}
	read("red &lt;b&gt;")
	if strings.Contains(text, "�") {
		t.Errorf("half a character was sent: %q", text)
	}
	again, stopAgain := h.live("/report/p/1/live?offset=0", "Last-Event-ID", last)
	defer stopAgain()
	touch(t, filepath.Join(dir, "go1"))
	read("é")
	touch(t, filepath.Join(dir, "go2"))
	read("meta: result=failed")
	if want := "meta: step=tom-x\n<span class=\"c1\">red &lt;b&gt;</span><span class=\"c1\">é</span>\nend\nmeta: result=failed step=tom-x exit=3\n"; text != want {
		t.Errorf("%q, want %q", text, want)
	}
	for e := h.next(events); e.name != "end"; e = h.next(events) {
		if e.name != "state" {
			t.Errorf("%+v", e)
		}
	}
	if _, ok := <-events; ok {
		t.Error("it goes on after its end")
	}
	rest := ""
	for e := h.next(again); e.name != "end"; e = h.next(again) {
		if e.name == "log" {
			rest += e.text
		}
	}
	if rest != "é\nend\nmeta: result=failed step=tom-x exit=3\n" {
		t.Errorf("after a broken connection: %q", rest)
	}
	if code, _ := h.do("GET", "/report/p/1/live?offset=-1", ""); code != 400 {
		t.Errorf("negative offset: %d", code)
	}
	if _, page := h.do("GET", "/report/p/1", ""); !strings.Contains(page, "<span class=\"c1\">red &lt;b&gt;é</span>\nend\n") || strings.Contains(page, "data-live") {
		t.Errorf("%s", page)
	}
}

// TestLiveLogs: readers have a limit, and end with the agent.
func TestLiveLogs(t *testing.T) {
	h := start(t, agent.Config{})
	dir := scenarios(t, "x", "until [ -e go ]; do sleep 0.02; done\n")
	h.queue("p", inDir(dir, "x"))
	var all []<-chan event
	for range agent.MaxStreams {
		events, stop := h.live("/report/p/1/live?offset=0")
		defer stop()
		all = append(all, events)
		h.next(events)
	}
	if code, body := h.do("GET", "/report/p/1/live?offset=0", ""); code != 503 {
		t.Errorf("%d %s", code, body)
	}
	begun := time.Now()
	h.stop()
	for _, events := range all {
		for range events {
		}
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("the end took %s", took)
	}
}

// TestReadersKeepNoLease: people who look on do not stand for the orchestrator.
func TestReadersKeepNoLease(t *testing.T) {
	h := start(t, agent.Config{})
	spec := inDir(scenarios(t, "x", "while :; do echo tick; sleep 0.1; done\n"), "x")
	spec.Lease = 1
	h.queue("p", spec)
	events, stop := h.live("/report/p/1/live?offset=0")
	defer stop()
	var last event
	for last = h.next(events); last.name != "end"; last = h.next(events) {
		if code, _ := h.do("GET", "/report/p/1", ""); code != 200 {
			t.Fatal(code)
		}
	}
	if last.text != "Cancelled" {
		t.Errorf("%+v", last)
	}
}

func TestANSI(t *testing.T) {
	for _, c := range []struct {
		pieces []string
		want   string
	}{
		{[]string{"plain <b>&\"'"}, "plain &lt;b&gt;&amp;&#34;&#39;"},
		{[]string{"\x1b[1;31mred\x1b[0m no"}, `<span class="b c1">red</span> no`},
		{[]string{"\x1b[3", "1mx\x1b", "[m y"}, `<span class="c1">x</span> y`},
		{[]string{"\x1b[38;5;9mx\x1b[48;2;1;2;3my\x1b[94mz"}, `xy<span class="c12">z</span>`},
		{[]string{"a\r\nb\rc\r", "\nd\r"}, "a\nb\nc\nd"},
		{[]string{"\x1b]0;title<script>\x07x\x1b]8;;http://a\x1b\\link\x1b]8;;\x1b\\"}, "xlink"},
		{[]string{"\x1b(Bx\x1b=\x00\x08y\x7f"}, "Bxy"},
		{[]string{"\xe2\x82", "\xac \xff \xc3"}, "€ � �"},
		{[]string{"\x1b[?25lx\x1b[2Ky"}, "xy"},
		{[]string{"\x1b"}, ""},
	} {
		if got := agent.ANSI(c.pieces...); got != c.want {
			t.Errorf("%q: %q, want %q", c.pieces, got, c.want)
		}
	}
	if got := agent.ANSI("\x1b["+strings.Repeat("1;", 3000), "x", "\x1b]"+strings.Repeat("y", 5000), "z"); !strings.HasSuffix(got, "yz") {
		t.Errorf("sequences without an end hide what follows: %d bytes, …%q", len(got), got[max(0, len(got)-20):])
	}
}

func FuzzANSI(f *testing.F) {
	f.Add("a\x1b[31", "mb<\xc3", "\xa9\r\n")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		whole, split := agent.ANSI(a+b+c), agent.ANSI(a, b, c)
		for _, html := range []string{whole, split} {
			rest := strings.ReplaceAll(html, "</span>", "")
			for strings.Contains(rest, `<span class="`) {
				i := strings.Index(rest, `<span class="`)
				j := strings.Index(rest[i:], `">`)
				rest = rest[:i] + rest[i+j+2:]
			}
			if strings.ContainsAny(rest, "<>\x1b\x00") {
				t.Fatalf("%q %q %q: %q", a, b, c, html)
			}
		}
	})
}
