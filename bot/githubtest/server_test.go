package githubtest_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-github/v60/github"

	"github.com/cromt/cromt/bot/githubtest"
)

// recorder is a test that wants to know how it would end.
type recorder struct {
	testing.TB
	errors   []string
	cleanups []func()
}

func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

// end is what is done when a test ends.
func (r *recorder) end() {
	for i := len(r.cleanups) - 1; i >= 0; i-- {
		r.cleanups[i]()
	}
}

func TestViolationFailsTest(t *testing.T) {
	for name, tc := range map[string]struct {
		body string
		want string
	}{
		"fine":  {check(nil), ""},
		"wrong": {check(map[string]any{"status": "done"}), "github: POST /repos/octo/app/check-runs: doesn't match schema: /status: value is not one of the allowed values"},
	} {
		t.Run(name, func(t *testing.T) {
			rec := &recorder{TB: t}
			s, _, token := world(rec)
			send(t, s, token, "POST", run, tc.body)
			rec.end()
			if got := strings.Join(rec.errors, "\n"); (tc.want == "") != (got == "") || !strings.HasPrefix(got, tc.want) {
				t.Errorf("errors %q, want %q", got, tc.want)
			}
		})
	}
}

// What the fake itself gets wrong is a violation as well.
func TestAnswersAreChecked(t *testing.T) {
	s, r, token := world(t)
	r.AddPull(githubtest.Pull{Number: 8, HeadSHA: sha, HeadRef: "x", State: "merged"})
	send(t, s, token, "GET", "/repos/octo/app/pulls/8", "")
	takeOne(t, s, "our answer: response body doesn't match schema #/components/schemas/pull-request: /state")
}

func TestProcess(t *testing.T) {
	s, r, token := world(t)
	s.Fault(func(_ *http.Request, n int) *githubtest.Fault {
		return map[int]*githubtest.Fault{2: {DropAfter: true}}[n]
	})
	c, err := github.NewClient(nil).WithAuthToken(token).WithEnterpriseURLs(s.URL(), s.URL())
	if err != nil {
		t.Fatal(err)
	}
	opts := github.CreateCheckRunOptions{Name: "cromt", HeadSHA: sha}
	got, _, err := c.Checks.CreateCheckRun(t.Context(), "octo", "app", opts)
	if err != nil || !strings.HasPrefix(got.GetURL(), s.URL()+"/repos/octo/app/") {
		t.Errorf("check run %v, %v", got, err)
	}
	if _, _, err := c.Checks.CreateCheckRun(t.Context(), "octo", "app", opts); err == nil {
		t.Error("an answer over a dropped connection")
	}
	if n := len(r.CheckRuns()); n != 2 {
		t.Errorf("%d check runs, want 2", n)
	}
	if got := s.Requests()[0]; got.Path != run || got.Token != token || got.Status != http.StatusCreated || !strings.Contains(got.Body, sha) {
		t.Errorf("request %+v", got)
	}
}

func TestHeaders(t *testing.T) {
	for name, tc := range map[string]struct{ header, value, want string }{
		"version":      {"X-GitHub-Api-Version", "2022-11-28", ""},
		"new version":  {"X-GitHub-Api-Version", "2030-01-01", "is none of GitHub's"},
		"accept":       {"Accept", "application/vnd.github.v3+json", ""},
		"accept XML":   {"Accept", "application/xml", "nothing that GitHub answers with"},
		"no agent":     {"User-Agent", "", "no User-Agent"},
		"content type": {"Content-Type", "text/plain", "Content-Type"},
	} {
		t.Run(name, func(t *testing.T) {
			s, _, token := world(t)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://api.github.test"+run, strings.NewReader(check(nil)))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+token)
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set(tc.header, tc.value)
			res, err := s.Transport().RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			if (res.StatusCode == http.StatusCreated) != (tc.want == "") {
				t.Errorf("status %d", res.StatusCode)
			}
			takeOne(t, s, tc.want)
		})
	}
}

// The description is one that the library finds right.
func TestDescription(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromFile("github-api.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(context.Background()); err != nil {
		t.Error(err)
	}
}

// Whatever is sent: an answer, and no violation without a refusal or the other
// way round.
func FuzzCheckRun(f *testing.F) {
	f.Add(check(nil))
	f.Add(check(map[string]any{"output": map[string]any{"title": "t", "summary": "s", "annotations": []any{nil}}}))
	f.Add(`{"name":"a","head_sha":"` + sha + `","actions":[]}`)
	f.Add("null")
	f.Add("[")
	f.Fuzz(func(t *testing.T, body string) {
		s, r, token := world(&recorder{TB: t})
		status, _, _ := send(t, s, token, "POST", run, body)
		right := len(s.Violations()) == 0
		if right != (status == http.StatusCreated) || right != (len(r.CheckRuns()) == 1) {
			t.Errorf("status %d, right %v", status, right)
		}
	})
}

func FuzzPath(f *testing.F) {
	for _, p := range []string{run, "/repos/octo/app/commits/heads/main/check-runs", "/repos/octo/app/contents/", "/%zz", "//", "/repos/octo/app/contents/a%2Fb?ref=x", "/api/v3/rate_limit"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, path string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.github.test/"+strings.TrimPrefix(path, "/"), nil)
		if err != nil {
			return // nothing to send
		}
		s, _, token := world(&recorder{TB: t})
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := s.Transport().RoundTrip(req)
		if err != nil || res.StatusCode >= 500 && res.StatusCode != http.StatusNotImplemented {
			t.Errorf("%v, %v", res, err)
		}
		for _, v := range s.Violations() {
			if strings.Contains(v.Problem, "our ") {
				t.Error(v)
			}
		}
	})
}

func BenchmarkRequest(b *testing.B) {
	s, _, _ := world(&recorder{TB: b})
	token := s.Token(githubtest.Token{App: true, Permissions: all(), HourLimit: 1 << 40})
	for b.Loop() {
		req, _ := http.NewRequestWithContext(b.Context(), http.MethodGet, "https://api.github.test/repos/octo/app/pulls/7", nil)
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := s.Transport().RoundTrip(req)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(&bytes.Buffer{}, res.Body); err != nil {
			b.Fatal(err)
		}
	}
}
