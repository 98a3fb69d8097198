//go:build unix

package agent_test

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/sparky/agent"
)

// usersFile makes a file with the users given as name, password pairs.
func usersFile(t testing.TB, pairs ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "users")
	for i := 0; i < len(pairs); i += 2 {
		if err := agent.AddUser(path, pairs[i], pairs[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// signIn sends the form and returns the status, the place it leads to and the
// cookie.
func (h *host) signIn(form url.Values, header ...string) (code int, to, cookie string, res *http.Response) {
	h.t.Helper()
	req, err := http.NewRequest(http.MethodPost, h.url+"/default_login", strings.NewReader(form.Encode()))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	res, err = client.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	drain(res)
	for _, k := range res.Cookies() {
		if k.Value != "" {
			cookie = k.Name + "=" + k.Value
			if !k.HttpOnly || k.SameSite != http.SameSiteLaxMode || k.Path != "/" {
				h.t.Errorf("cookie %+v", k)
			}
		}
	}
	return res.StatusCode, res.Header.Get("Location"), cookie, res
}

// TestSignIn: people sign in by name and password, programs send the token.
func TestSignIn(t *testing.T) {
	t.Parallel()
	path := usersFile(t, "alice", "correct horse", "bob", "another word")
	h := start(t, agent.Config{Users: path, Token: "secret123"})
	h.token = ""
	for _, f := range []url.Values{{}, {"login": {"alice"}}, {"login": {"alice"}, "password": {"another word"}}, {"login": {"carol"}, "password": {"correct horse"}},
		{"login": {"alice:x"}, "password": {"correct horse"}}, {"password": {"secret123"}}, {"login": {"admin"}, "password": {"admin"}}} {
		if code, _, cookie, _ := h.signIn(f); code != 403 || cookie != "" {
			t.Errorf("%v: %d %q", f, code, cookie)
		}
	}
	code, to, cookie, _ := h.signIn(url.Values{"login": {"alice"}, "password": {"correct horse"}, "next": {"/project/p?x=1"}})
	if code != 303 || to != "/project/p?x=1" || cookie == "" {
		t.Fatalf("%d %s %s", code, to, cookie)
	}
	for _, path := range []string{"/builds", "/status/p/none", "/cromt", "/queue"} {
		if code, _ := h.do("GET", path, "", "Cookie", cookie); code == 403 || code == 303 {
			t.Errorf("%s: %d", path, code)
		}
	}
	if _, page := h.do("GET", "/builds", "", "Cookie", cookie); !strings.Contains(page, "<span>alice</span>") {
		t.Errorf("%s", page)
	}
	for _, next := range []string{"//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "evil", "/a\r\nSet-Cookie: x=y", "/%zz"} {
		if got := agent.LocalPath(next); got != "/" {
			t.Errorf("next %q leads to %q", next, got)
		}
	}
	// Another password ends the sessions.
	_, _, old, _ := h.signIn(url.Values{"login": {"bob"}, "password": {"another word"}})
	if err := agent.AddUser(path, "bob", "a third password"); err != nil {
		t.Fatal(err)
	}
	if code, _ := h.do("GET", "/cromt", "", "Cookie", old); code != 403 {
		t.Errorf("after a change of the password: %d", code)
	}
	if code, _ := h.do("GET", "/cromt", "", "Cookie", cookie); code != 200 {
		t.Errorf("of somebody else: %d", code)
	}
	if code, to := h.do("POST", "/logout", "", "Cookie", cookie); code != 303 || to != "/login" {
		t.Errorf("%d %s", code, to)
	}
	if code, _ := h.do("GET", "/cromt", "", "Cookie", cookie); code != 403 {
		t.Errorf("after signing out: %d", code)
	}
}

// TestForeignPages: another site's page can use no cookie of ours.
func TestForeignPages(t *testing.T) {
	root := t.TempDir()
	for name, cfg := range map[string]agent.Config{"open": {}, "users": {Users: usersFile(t, "alice", "correct horse")}} {
		cfg.Root = filepath.Join(root, name)
		h := start(t, cfg)
		marker := filepath.Join(t.TempDir(), "ran")
		folder(t, cfg.Root, "p", directLine(t, "/", program(t, "cromt", "touch "+marker+"\n")), "allow_manual_run: true\n")
		var cookie string
		if name == "users" {
			form := url.Values{"login": {"alice"}, "password": {"correct horse"}}
			if code, _, cookie, _ := h.signIn(form, "Origin", "https://evil.example"); code != 403 || cookie != "" {
				t.Errorf("signed in from another site: %d %s", code, cookie)
			}
			_, _, cookie, _ = h.signIn(form)
		}
		for _, from := range [][]string{{"Origin", "https://evil.example"}, {"Origin", "null"}, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}} {
			for _, path := range []string{"/build/project/p", "/build-with-tags/project/p", "/project/p/start", "/cancel/project/p/x", "/report/p/1/cancel", "/report/p/1/rebuild", "/queue", "/stash", "/logout"} {
				for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded"} {
					if code, _ := h.do("POST", path, "{}", "Cookie", cookie, "Content-Type", kind, from[0], from[1]); code != 403 {
						t.Errorf("%s: POST %s from %v: %d", name, path, from, code)
					}
				}
			}
		}
		if code, _ := h.do("POST", "/build/project/p", "", "Cookie", cookie, "Origin", h.url, "Sec-Fetch-Site", "same-origin"); code != 200 {
			t.Errorf("%s: from its own page: %d", name, code)
		}
		waitFor(t, func() bool { _, err := os.Stat(marker); return err == nil })
	}
}

// TestTokenSignIn: without a users file people sign in with the token.
func TestTokenSignIn(t *testing.T) {
	h := start(t, agent.Config{Token: "secret123"})
	if code, _, cookie, _ := h.signIn(url.Values{"login": {"admin"}, "password": {"secret124"}}); code != 403 || cookie != "" {
		t.Errorf("%d %s", code, cookie)
	}
	code, _, cookie, _ := h.signIn(url.Values{"password": {"secret123"}})
	if code != 303 || cookie == "" || strings.Contains(cookie, "secret") {
		t.Fatalf("%d %s", code, cookie)
	}
	h.token = ""
	if code, _ := h.do("GET", "/builds", "", "Cookie", cookie); code != 200 {
		t.Errorf("%d", code)
	}
}

// TestUsersWithoutToken: a program without a token is refused even on loopback.
func TestUsersWithoutToken(t *testing.T) {
	path := usersFile(t, "alice", "correct horse")
	h := start(t, agent.Config{Users: path})
	for _, token := range []string{"", "x"} {
		if code, _ := h.do("POST", "/queue", "{}", "token", token); code != 403 {
			t.Errorf("token %q: %d", token, code)
		}
	}
	a, err := agent.Open(agent.Config{Root: t.TempDir(), Users: path})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close(context.Background())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := agent.Serve(ctx, foreignListener{ln}, a, nil); err != nil {
		t.Errorf("with users it may be reached by others: %v", err)
	}
}

// TestGuessing: passwords cannot be tried quickly.
func TestGuessing(t *testing.T) {
	h := start(t, agent.Config{Token: "secret123"})
	h.token = ""
	codes := map[int]int{}
	for range 15 {
		code, _, _, res := h.signIn(url.Values{"password": {"wrong"}})
		codes[code]++
		if code == 429 && res.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	if codes[403] != 10 || codes[429] != 5 {
		t.Errorf("%v", codes)
	}
	if code, _, _, _ := h.signIn(url.Values{"password": {"secret123"}}); code != 429 {
		t.Errorf("the right one after that: %d", code)
	}
	now := time.Now()
	tries := func(addr string, now time.Time) (n int) {
		for n < 100 && agent.MayTry(h.a, addr, now) {
			n++
		}
		return n
	}
	for _, c := range []struct {
		addr  string
		after time.Duration
		want  int
	}{
		{"192.0.2.1:1000", 0, 10}, {"192.0.2.1:2000", 0, 0}, {"[::ffff:192.0.2.1]:1", 0, 0}, {"192.0.2.2:1", 0, 10}, {"192.0.2.1:1", 25 * time.Second, 2}, {"192.0.2.1:1", time.Hour, 10},
		{"[2001:db8::1]:1", 0, 10}, {"[2001:db8::2]:1", 0, 0}, {"[2001:db8:0:1::1]:1", 0, 10}, {"pipe", 0, 10}, {"@", 0, 0},
	} {
		if got := tries(c.addr, now.Add(c.after)); got != c.want {
			t.Errorf("%s after %s: %d tries, want %d", c.addr, c.after, got, c.want)
		}
	}
	for i := range 2000 { // addresses that are counted have an end, too
		agent.MayTry(h.a, net.IPv4(10, 0, byte(i>>8), byte(i)).String()+":1", now)
	}
	if agent.MayTry(h.a, "198.51.100.7:1", now) {
		t.Error("more addresses are counted than there is room for")
	}
	if !agent.MayTry(h.a, "198.51.100.7:1", now.Add(2*time.Hour)) {
		t.Error("there is no room later either")
	}
}

func TestUsersFile(t *testing.T) {
	path := usersFile(t, "alice", "correct horse")
	for _, bad := range [][2]string{{"", "long enough"}, {"a:b", "long enough"}, {"x\ny", "long enough"}, {"ok", "short"}, {"ok", strings.Repeat("x", 73)}, {"ok", "with\x00null"}} {
		if err := agent.AddUser(path, bad[0], bad[1]); err == nil {
			t.Errorf("%q was added", bad)
		}
	}
	open := func() error {
		a, err := agent.Open(agent.Config{Root: t.TempDir(), Users: path})
		if err == nil {
			a.Close(context.Background())
		}
		return err
	}
	if err := open(); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(text), "alice:$2a$") {
		t.Fatalf("%s %v", text, err)
	}
	if err := os.WriteFile(path, []byte("# ours\n\n"+strings.Replace(string(text), "$2a$", "$2y$", 1)), 0o600); err != nil { // as htpasswd writes it
		t.Fatal(err)
	}
	h := start(t, agent.Config{Users: path})
	if code, _, cookie, _ := h.signIn(url.Values{"login": {"alice"}, "password": {"correct horse"}}); code != 303 || cookie == "" {
		t.Errorf("a line of htpasswd: %d %q", code, cookie)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := open(); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("readable by others: %v", err)
	}
	for _, text := range []string{"", "# nobody\n", "alice\n", "alice:plain\n", "alice:$apr1$x$y\n", "a b:$2y$05$abcdefghijklmnopqrstuuC8hD2Y8Ov6nVVBnXQ3eKcTc7gUEjG4a\n", "alice:$2y$31$abcdefghijklmnopqrstuuC8hD2Y8Ov6nVVBnXQ3eKcTc7gUEjG4a\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := open(); err == nil || !strings.Contains(err.Error(), "users file "+path) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
