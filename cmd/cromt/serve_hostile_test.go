//go:build unix

package main

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/cromt/cromt/bot/githubtest"
)

// alive looks that the App is up, has not panicked, and works.
func (s *appSite) alive() {
	s.t.Helper()
	sha := strings.Repeat("f", 40)
	s.push(sha, map[string]string{"jobs.yaml": "projects:\n  app: {path: /x}\n"})
	s.concluded("cromt", sha)
	if log := s.log.String(); strings.Contains(log, "panic") {
		s.t.Error("something has panicked")
	}
	resp, err := http.Get("http://" + s.addr + "/readyz")
	if err != nil {
		s.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		s.t.Errorf("ready is answered %d", resp.StatusCode)
	}
}

// knock sends a request to the webhook as it is.
func (s *appSite) knock(m letter, change func(*http.Request)) (int, error) {
	r, err := http.NewRequest(http.MethodPost, "http://"+s.addr+"/webhook", bytes.NewReader(m.body))
	if err != nil {
		return 0, err
	}
	signLetter(r, m)
	change(r)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// Nothing that GitHub has not signed, or has signed for another body, starts
// anything; nor does what is too large or for nobody.
func TestServeHostileSenders(t *testing.T) {
	t.Parallel()
	s := newAppSite(t, "")
	sha := strings.Repeat("e", 40)
	s.repo.SetBranch("main", sha)
	s.repo.SetFile(sha, "jobs.yaml", s.onHosts("echo run >> $DIR/log\n", ""))
	good := letter{event: "push", guid: "00000001-0000-0000-0000-000000000000", body: payloadOf(actionRepo, s.install, pushOf(sha, "refs/heads/main"))}
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	var right string
	probe := httptest.NewRequest(http.MethodPost, "/", nil)
	signLetter(probe, good)
	right = probe.Header.Get("X-Hub-Signature-256")
	for _, c := range []struct {
		name   string
		body   []byte
		change func(*http.Request)
		want   int
	}{
		{"no signature", good.body, func(r *http.Request) { r.Header.Del("X-Hub-Signature-256") }, http.StatusUnauthorized},
		{"empty signature", good.body, header("X-Hub-Signature-256", ""), http.StatusUnauthorized},
		{"truncated signature", good.body, header("X-Hub-Signature-256", right[:20]), http.StatusUnauthorized},
		{"forged signature", good.body, header("X-Hub-Signature-256", "sha256="+strings.Repeat("0", 64)), http.StatusUnauthorized},
		{"signature of another body", append(bytes.Clone(good.body), ' '), header("X-Hub-Signature-256", right), http.StatusUnauthorized},
		{"SHA-1 alone", good.body, func(r *http.Request) {
			r.Header.Del("X-Hub-Signature-256")
			r.Header.Set("X-Hub-Signature", "sha1="+strings.Repeat("0", 40))
		}, http.StatusUnauthorized},
		{"GET", nil, func(r *http.Request) { r.Method = http.MethodGet }, http.StatusMethodNotAllowed},
		{"26 MB", bytes.Repeat([]byte(" "), 26<<20), func(*http.Request) {}, http.StatusRequestEntityTooLarge},
		{"26 MB of unknown length", bytes.Repeat([]byte(" "), 26<<20), func(r *http.Request) { r.ContentLength = -1 }, http.StatusRequestEntityTooLarge},
		{"unknown event", good.body, header("X-GitHub-Event", "star"), http.StatusAccepted},
		{"another event", good.body, header("X-GitHub-Event", "issue_comment"), http.StatusBadRequest},
		{"no event", good.body, header("X-GitHub-Event", ""), http.StatusBadRequest},
	} {
		m := good
		m.body = c.body
		// Who stops reading may be cut off before the answer is read.
		if code, err := s.knock(m, c.change); code != c.want && (err == nil || len(c.body) < 1<<20) {
			t.Errorf("%s: %d, %v; want %d", c.name, code, err, c.want)
		}
	}
	s.alive()
	if n := len(s.repo.CheckRuns()); n != 1 { // alive's
		t.Errorf("%d check runs", n)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "log")); err == nil {
		t.Error("something ran")
	}
}

// A body that was signed once counts once, whoever sends it again as what; two
// pushes that lead back to a commit are two.
func TestServeReplays(t *testing.T) {
	t.Parallel()
	s := newAppSite(t, "")
	a, b := strings.Repeat("a", 40), strings.Repeat("b", 40)
	file := "overlap: allow\n" + s.onHosts("echo run >> $DIR/log\n", "") // so that the order is of no matter
	for _, sha := range []string{a, b} {
		s.repo.SetBranch("main", sha)
		s.repo.SetFile(sha, "jobs.yaml", file)
	}
	push := func(before, after string, at int) []byte {
		p := pushOf(after, "refs/heads/main")
		p["before"], p["created"], p["forced"] = before, false, at > 1
		p["repository"] = map[string]any{"id": 1, "name": "app", "full_name": actionRepo, "owner": map[string]any{"login": "octo", "id": 1}, "default_branch": "main", "pushed_at": at}
		return payloadOf(actionRepo, s.install, p)
	}
	bodies := [][]byte{push(strings.Repeat("0", 40), a, 1), push(a, b, 2), push(b, a, 3), push(a, b, 4)}
	for i, body := range bodies { // back and forth: all count
		if code := s.post("push", fmt.Sprintf("0000000%d-0000-0000-0000-000000000000", i), body); code != http.StatusAccepted {
			t.Errorf("push %d: %d", i, code)
		}
	}
	for n := range 1000 {
		if code := s.post("push", fmt.Sprintf("1%07d-0000-0000-0000-000000000000", n), bodies[n%4]); code != http.StatusOK {
			t.Fatalf("replay %d: %d", n, code)
		}
	}
	for _, sha := range []string{a, b} {
		if k := s.concluded("cromt", sha); k.Conclusion != "success" {
			t.Errorf("%+v", k)
		}
	}
	s.alive()
	if log, _ := os.ReadFile(filepath.Join(s.dir, "log")); strings.Count(string(log), "run") != 4 {
		t.Errorf("ran %q", log)
	}
}

// Every example of GitHub's payloads is answered well, and leads to nothing:
// they are of repositories that are not here.
func TestServeExamples(t *testing.T) {
	t.Parallel()
	s := newAppSite(t, "")
	root := filepath.Join("..", "..", "testdata", "webhooks")
	sent := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".json" {
			return err
		}
		body, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		sent++
		event := filepath.Base(filepath.Dir(path))
		if code := s.post(event, fmt.Sprintf("%08d-1111-0000-0000-000000000000", sent), body); code/100 != 2 {
			t.Errorf("%s: %d", path, code)
		}
		return nil
	})
	if err != nil || sent < 100 {
		t.Fatalf("%d examples, %v", sent, err)
	}
	// Those for which GitHub would have to be asked are tried again for a while.
	s.eventually("all are worked", func() bool {
		again := map[string]bool{}
		for _, m := range regexp.MustCompile(`"msg":"delivery","delivery":(\d+)`).FindAllStringSubmatch(s.log.String(), -1) {
			again[m[1]] = true
		}
		return strings.Contains(s.metrics(), fmt.Sprintf("\ncromt_queue_depth %d\n", len(again)))
	})
	s.alive()
	if n := strings.Count(s.log.String(), "run created"); n != 1 { // alive's
		t.Errorf("%d runs were created", n)
	}
}

func (s *appSite) metrics() string {
	s.t.Helper()
	resp, err := http.Get("http://" + s.addr + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// A configuration that is made to exhaust who reads it is a failing check that
// says so.
func TestServeBombs(t *testing.T) {
	t.Parallel()
	s := newAppSite(t, "")
	laughs := "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
	for i := 1; i < 12; i++ {
		laughs += fmt.Sprintf("a%d: &a%[1]d [%s]\n", i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 9), ","))
	}
	keys := &strings.Builder{}
	for i := range 300_000 {
		fmt.Fprintf(keys, "  k%d: {}\n", i)
	}
	for name, config := range map[string]string{
		"aliases":   laughs + "projects: *a11\n",
		"recursion": "projects: &a\n  x: *a\n",
		"depth":     "projects: " + strings.Repeat("[", 100_000),
		"size":      "projects:\n  a: {path: /x}\n#" + strings.Repeat("x", 4<<20),
		"keys":      "projects:\n" + keys.String(),
		"binary":    "\x00\xff\xfe\x01projects",
		"jobs":      "projects:\n  a:\n    path: /x\n    trigger: true\n    hosts: [" + strings.Repeat("{url: 'http://127.0.0.1:1'},", 25_000) + "]\n",
	} {
		t.Run(name, func(t *testing.T) {
			sha := fmt.Sprintf("%040x", len(s.repo.CheckRuns())+1)
			s.push(sha, map[string]string{"jobs.yaml": config})
			k := s.concluded("cromt", sha)
			if k.Conclusion != "failure" || !strings.HasPrefix(k.Title, "nothing ran: jobs.yaml") || len(k.Title) > 300 {
				t.Errorf("%s %q %q", k.Conclusion, k.Title, k.Summary[:min(len(k.Summary), 300)])
			}
			t.Log(k.Title)
		})
	}
	s.alive()
}

// canary counts who comes.
type canary struct {
	url   string
	calls atomic.Int64
}

func newCanary(t *testing.T, answer http.HandlerFunc) *canary {
	t.Helper()
	c := &canary{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.calls.Add(1)
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	c.url = s.URL
	return c
}

// A host that the App's configuration does not list is not called, however its
// URL is written, and whoever points to it.
func TestServeHostileHosts(t *testing.T) {
	t.Parallel()
	victim := newCanary(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	var mu sync.Mutex
	tokens := map[string]bool{}
	liar := newCanary(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		tokens[r.Header.Get("Token")] = true
		mu.Unlock()
		http.Redirect(w, r, victim.url+r.URL.Path, http.StatusFound)
	})
	dir := t.TempDir()
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte("s3cret"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newAppSite(t, fmt.Sprintf("  - url: %s\n    name: liar\n    token_file: %s\n    repos: [\"octo/*\"]\n", liar.url, token))
	address := strings.TrimPrefix(victim.url, "http://")
	port := address[strings.LastIndexByte(address, ':'):]
	listed := strings.TrimPrefix(s.hosts[0], "http://")
	for i, url := range []string{
		victim.url, "https://" + address, "http://localhost" + port, "http://127.1" + port, "http://2130706433" + port, "http://0x7f000001" + port,
		"http://127.0.0.1." + port, "http://[::ffff:127.0.0.1]" + port, "http://[::1]" + port, "http://0" + port,
		"http://" + listed + "@" + address, "http://user:password@" + listed, "http://" + listed + "." + address, "http://" + listed + "#@" + address,
		"http://" + listed + "/../" + address, `http://` + listed + `\@` + address, "ftp://" + listed, "file:///etc/passwd", "unix:///tmp/socket",
		"http://" + strings.Replace(listed, "127.0.0.1", "127.0.0.1%2e", 1), "javascript:alert(1)", "http://[::1%25lo]" + port,
	} {
		t.Run(url, func(t *testing.T) {
			sha := fmt.Sprintf("%040x", i+1)
			s.push(sha, map[string]string{"jobs.yaml": fmt.Sprintf("projects:\n  app:\n    path: /x\n    trigger: true\n    url: '%s'\n", url)})
			k := s.concluded("cromt", sha)
			if k.Conclusion != "failure" || len(k.Annotations) != 1 || !strings.Contains(k.Annotations[0].Message, "host ") && !strings.Contains(k.Annotations[0].Message, `"url"`) || strings.Contains(fmt.Sprintf("%+v", k), "password@") {
				t.Errorf("%+v", k)
			}
		})
	}
	sha := strings.Repeat("d", 40)
	s.push(sha, map[string]string{"jobs.yaml": fmt.Sprintf("projects:\n  app:\n    path: /x\n    trigger: true\n    timeout: 5\n    url: '%s'\n", liar.url)})
	if k := s.concluded("cromt", sha); k.Conclusion != "failure" {
		t.Errorf("%+v", k)
	}
	s.alive()
	if n := victim.calls.Load(); n > 0 {
		t.Errorf("a host that is not listed was called %d times", n)
	}
	if mu.Lock(); !tokens["s3cret"] {
		t.Error("the liar was never sent its token: this proves nothing")
	}
	mu.Unlock()
}

// What strangers name and print is shown as the text that it is.
func TestServeHostileTexts(t *testing.T) {
	t.Parallel()
	s := newAppSite(t, "")
	script := `printf '\033[31mred\033[0m \033]0;title\007 \033]8;;https://evil.example\033\\link\033]8;;\033\\\n'
printf '` + "````" + `\n</details><img src=x onerror=alert(1)>\n@octo/everyone @octo look\n'
printf '::error file=../../etc/passwd,line=1::no\n::set-output name=a::b\n::add-mask::done\n::stop-commands::x\n'
printf 'bad \377\376 utf-8 \u202e\n'
head -c 3000000 /dev/zero | tr '\0' 'x'
echo; echo the end; exit 1
`
	title := "fix\x1b[31m `\"><script>alert(1)</script> @octo/everyone ::error::x | [a](javascript:b) \u202e" + strings.Repeat("y", 5000)
	file := s.onHosts(script, "")
	file = strings.Replace(file, "trigger: true", "trigger: {push: {branches: ['**']}, pull_request: {}}", 1)
	branches := []string{"a;$(id)`id`", "\u202etxt.exe", "emoji-\U0001f4a5", strings.Repeat("l", 240), "x'\"<b>&", "@octo/everyone", "main"}
	for i, branch := range branches {
		sha := fmt.Sprintf("%040x", i+1)
		s.repo.SetBranch(branch, sha)
		s.repo.SetFile(sha, "jobs.yaml", file)
		p := pushOf(sha, "refs/heads/"+branch)
		p["head_commit"] = map[string]any{"id": sha, "message": title}
		if code := s.deliver("push", p); code != http.StatusAccepted {
			t.Errorf("%q: %d", branch, code)
		}
	}
	for _, branch := range []string{"-x", "--upload-pack=touch", "a..b", "a\x01b", "a b", "a\\b", strings.Repeat("l", 2000), "a/.b", "a.lock", "x@{1}"} {
		if code := s.deliver("push", pushOf(strings.Repeat("9", 40), "refs/heads/"+branch)); code != http.StatusBadRequest {
			t.Errorf("%q: %d", branch, code)
		}
	}
	sha := strings.Repeat("7", 40)
	s.repo.SetFile(sha, "jobs.yaml", file)
	s.repo.AddPull(githubtest.Pull{Number: 7, Title: title, HeadSHA: sha, HeadRef: "x'\"<b>&", BaseSHA: fmt.Sprintf("%040x", len(branches))})
	p := pullOf(actionRepo, 7, sha, "x'\"<b>&", fmt.Sprintf("%040x", len(branches)))
	p["pull_request"].(map[string]any)["title"] = title
	if code := s.deliver("pull_request", p); code != http.StatusAccepted {
		t.Errorf("pull request: %d", code)
	}
	for i := range branches {
		s.harmless(fmt.Sprintf("%040x", i+1))
	}
	s.harmless(sha)
	s.alive()
}

// harmless waits for the check runs of a commit that failed and looks at what
// they show.
func (s *appSite) harmless(sha string) {
	s.t.Helper()
	for _, name := range []string{"cromt", "cromt / app@hostA", "cromt / app@hostB"} {
		k := s.concluded(name, sha)
		if k.Conclusion != "failure" || !strings.Contains(k.Summary+k.Text, "the end") {
			s.t.Errorf("%+v", k)
		}
		for _, text := range []string{k.Title, k.Summary, k.Text} {
			if !utf8.ValidString(text) || len(text) > 65_535 || strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }) {
				s.t.Errorf("%s holds what it must not: %.300q", name, text)
			}
			s.outside(name, text)
		}
		for _, a := range k.Annotations {
			if strings.Contains(a.Path, "..") || strings.HasPrefix(a.Path, "/") {
				s.t.Errorf("%s annotates %q", name, a.Path)
			}
		}
	}
}

// outside looks at what of a Markdown text is in no block of code.
func (s *appSite) outside(name, text string) {
	s.t.Helper()
	fence := ""
	for line := range strings.Lines(text) {
		bare := strings.TrimSpace(line)
		ticks := bare[:len(bare)-len(strings.TrimLeft(bare, "`"))]
		switch {
		case fence == "" && len(ticks) >= 3:
			fence = ticks
		case fence != "" && bare == ticks && len(ticks) >= len(fence):
			fence = ""
		case fence == "":
			for _, bad := range []string{"<img", "<script", "@octo/everyone", "@octo look", "](javascript:", "onerror"} {
				if strings.Contains(line, bad) {
					s.t.Errorf("%s: %q is live in %.200q", name, bad, line)
				}
			}
		}
	}
	if fence != "" && !strings.Contains(text, "left out") {
		s.t.Errorf("%s: a block of code does not end: %.200q", name, text)
	}
}
