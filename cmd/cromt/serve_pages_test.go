//go:build unix

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// page returns an answer of the App's pages.
func (s *appSite) page(path string, headers ...string) (int, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://"+s.addr+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// The pages that a check run links to are there, for this machine alone as
// long as nobody can sign in.
func TestServePages(t *testing.T) {
	t.Parallel()
	s := newAppSite(t, "")
	sha := strings.Repeat("d", 40)
	s.push(sha, map[string]string{"jobs.yaml": s.onHosts("printf 'hello \\033[32mgreen\\033[0m\\n'\n", "")})
	k := s.concluded("cromt", sha)
	path := strings.TrimPrefix(k.DetailsURL, "http://127.0.0.1:8080")
	for at, want := range map[string]string{
		"/": path, path: "2 succeeded", path + "/jobs/app@hostA": `hello <span class="term-fg32">green</span>`, path + "/jobs/app@hostB/log": "hello \x1b[32mgreen",
		"/hosts": "hostA", "/repos/octo/app/flaky": "0%",
	} {
		if code, body := s.page(at); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d, no %q in %s", at, code, want, body)
		}
	}
	if code, body := s.page(path, "X-Forwarded-For", "192.0.2.1"); code != http.StatusForbidden || strings.Contains(body, sha) {
		t.Errorf("through a proxy: %d", code)
	}
	if code, _ := s.page("/healthz"); code != http.StatusOK {
		t.Errorf("health: %d", code)
	}
}

// A run is watched at any replica: whichever works it, both show its log while
// it is written, without the reader coming back to the same one.
func TestServePagesOfReplicas(t *testing.T) {
	t.Parallel()
	pg := startPostgres(t)
	s := bareAppSite(t)
	s.repo = s.gh.AddRepo(actionRepo)
	s.install = s.installation(actionRepo)
	s.configure(pg.address, s.startHosts(), "")
	s.start()
	first := s.addr
	s.start()
	sha := strings.Repeat("a", 40)
	s.push(sha, map[string]string{"jobs.yaml": s.onHosts("echo begun\nuntil test -e $DIR/gate; do sleep 0.05; done\necho the gate is open\n", "")})
	var run string
	s.eventually("both jobs run", func() bool {
		run = pg.query(t, "SELECT coalesce(max(id), '') FROM runs")
		return run != "" && pg.query(t, "SELECT count(*) FROM attempts WHERE state = 'in_progress'") == "2"
	})
	lines := make(chan string, 2)
	for _, addr := range []string{first, s.addr} {
		watch(t, "http://"+addr+"/runs/"+run+"/jobs/app@hostA/events?attempt=1&after=0&line=1", "the gate is open", lines)
	}
	s.file("gate", "")
	for range 2 {
		select {
		case line := <-lines:
			if line != "" {
				t.Error(line)
			}
		case <-time.After(time.Minute):
			t.Fatal("a replica does not show what the job prints")
		}
	}
}

// watch follows a stream of events until one has the text; then, or when it
// ends, it tells what is wrong, or "".
func watch(t *testing.T, url, text string, tell chan<- string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(stop)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", url, resp.Status)
	}
	go func() {
		defer resp.Body.Close()
		said := bufio.NewScanner(resp.Body)
		for said.Scan() {
			if strings.Contains(said.Text(), text) {
				tell <- ""
				return
			}
		}
		tell <- fmt.Sprintf("%s ended without %q: %v", url, text, said.Err())
	}()
}
