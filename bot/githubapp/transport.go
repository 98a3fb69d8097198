package githubapp

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// newPlain returns the transport below all others: it signs nothing in, says
// who asks, and tells the observer.
func newPlain(c Config) http.RoundTripper {
	p := &plain{base: c.HTTP, agent: orDefault(c.UserAgent, "cromt"), observe: c.Observe}
	if p.base == nil {
		p.base = http.DefaultTransport
	}
	return p
}

type plain struct {
	base    http.RoundTripper
	agent   string
	observe func(string, int, time.Duration, int)
}

func (p *plain) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Header.Get("User-Agent") == "" {
		req = req.Clone(req.Context())
		req.Header.Set("User-Agent", p.agent)
	}
	start := time.Now()
	resp, err := p.base.RoundTrip(req)
	if p.observe != nil {
		status, remaining := 0, -1
		if err == nil {
			status = resp.StatusCode
			if n, err := strconv.Atoi(resp.Header.Get("X-Ratelimit-Remaining")); err == nil {
				remaining = n
			}
		}
		p.observe(route(req.Method, req.URL.Path), status, time.Since(start), remaining)
	}
	return resp, err
}

// words are the parts of paths that are no names.
var words = func() map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(`access_token access_tokens app app-manifests attempts blobs check-runs check-suites
		collaborators comments commits compare config contents conversions deliveries files git hook installation
		installations issues login oauth permission pulls reactions repos repositories statuses tarball trees user`) {
		m[w] = true
	}
	return m
}()

// route is a request without what varies from one to the next: a metric's
// label must have few values.
func route(method, path string) string {
	path = strings.TrimPrefix(path, "/api/v3")
	out := []string{method + " "}
	names := 0 // that are left of owner/name
	for part := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		switch {
		case names == 0 && words[part]:
			out = append(out, part)
		case out[len(out)-1] != "{}" || names > 0:
			out = append(out, "{}")
		}
		if names = max(names-1, 0); part == "repos" && len(out) == 2 {
			names = 2
		}
	}
	if len(out) > 1 && out[1] == "{}" { // no route of the API
		return method + " /archive"
	}
	return out[0] + "/" + strings.Join(out[1:], "/")
}

// signer has what goes to the API's host signed in, and nothing else: a
// redirect must not take a credential elsewhere.
type signer struct {
	host   string
	plain  http.RoundTripper
	signed http.RoundTripper
}

func (s *signer) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host != s.host {
		return s.plain.RoundTrip(req)
	}
	return s.signed.RoundTrip(req.Clone(req.Context())) // which changes it
}
