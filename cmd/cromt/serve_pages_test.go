//go:build unix

package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
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
