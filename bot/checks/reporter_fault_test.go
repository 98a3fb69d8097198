package checks_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cromt/cromt/bot/checks"
	"github.com/cromt/cromt/bot/githubtest"
	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/flow/flowtest"
)

// tenMinutes is a run in which every third job fails, one after the other.
func tenMinutes(jobs int) func(flow.Attempt) flowtest.Step {
	return func(a flow.Attempt) flowtest.Step {
		n := number(a.Job)
		s := flowtest.Step{Queue: time.Duration(n) * 10 * time.Minute / time.Duration(jobs), Run: time.Minute, Log: "x.go:1:2: broken\n"}
		if n%3 == 0 {
			s.Result = failed
		}
		return s
	}
}

// TestFaults are those that pass: the run's end is shown all the same, and
// each check run once.
func TestFaults(t *testing.T) {
	is := func(method string, every int, f githubtest.Fault) func(*http.Request, int) *githubtest.Fault {
		count := 0
		return func(r *http.Request, _ int) *githubtest.Fault {
			if r.Method != method {
				return nil
			}
			count++
			if count%every != 1%every {
				return nil
			}
			return &f
		}
	}
	for _, tt := range []struct {
		name  string
		fault func(*http.Request, int) *githubtest.Fault
	}{
		{"no answer to a create that was done", is("POST", 2, githubtest.Fault{DropAfter: true})},
		{"no answer to a create that was not done", is("POST", 2, githubtest.Fault{DropBefore: true})},
		{"no answer to an update", is("PATCH", 2, githubtest.Fault{DropAfter: true})},
		{"garbage for a create", is("POST", 2, githubtest.Fault{Garbage: true})},
		{"garbage for an update", is("PATCH", 2, githubtest.Fault{Garbage: true})},
		{"no list", is("GET", 2, githubtest.Fault{Status: 502})},
		{"creates take for ever", is("POST", 3, githubtest.Fault{Delay: time.Hour})},
		{"updates take for ever", is("PATCH", 3, githubtest.Fault{Delay: time.Hour})},
		{"500 for creates", is("POST", 2, githubtest.Fault{Status: 500, Body: `{"message":"Server Error"}`})},
		{"502 for updates", is("PATCH", 2, githubtest.Fault{Status: 502, Body: "<html>"})},
		{"404 once for nothing", is("DELETE", 1, githubtest.Fault{Status: 404})},
	} {
		for _, jobs := range []int{6, 60} {
			t.Run(fmt.Sprintf("%s, %d jobs", tt.name, jobs), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newScene(t, jobs)
					s.fault = tt.fault
					s.config.Scan = func(*flow.Job) *checks.ScanOptions { return &checks.ScanOptions{} }
					s.script = tenMinutes(jobs)
					s.start()
					s.close(5 * time.Minute)
					s.noNotes()
					others := jobs
					if jobs > checks.MaxOwnChecks {
						others = jobs / 3
					}
					s.concluded(flow.Failure, others)
					seen := map[string]bool{}
					for _, c := range s.repo.CheckRuns() {
						if seen[c.Name] {
							t.Errorf("%s is there twice", c.Name)
						}
						seen[c.Name] = true
						if strings.Contains(c.Name, "/") && len(c.Annotations) != 1 {
							t.Errorf("%s has %d annotations, want 1", c.Name, len(c.Annotations))
						}
					}
					if n := len(s.writes()); n > 120 {
						t.Errorf("%d writes", n)
					}
				})
			})
		}
	}
}

func TestGitHubIsDown(t *testing.T) {
	for name, f := range map[string]githubtest.Fault{
		"500":           {Status: 500},
		"no connection": {DropBefore: true},
		"no answer":     {Delay: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t, 30)
				s.fault = func(*http.Request, int) *githubtest.Fault { return &f }
				s.script = tenMinutes(30)
				begin := time.Now()
				s.start()
				if d := s.ended.Sub(begin); d > 11*time.Minute {
					t.Errorf("the run waited: %v", d)
				}
				during := len(s.gh.Requests())
				s.close(30 * time.Second)
				if d := time.Since(s.ended); d != 30*time.Second {
					t.Errorf("Close took %v", d)
				}
				if len(s.notes) != 2 || !strings.Contains(s.notes[0], "check run cromt could not be concluded: GitHub") || !strings.Contains(s.notes[1], "10 jobs") {
					t.Errorf("notes: %q", s.notes)
				}
				after := len(s.gh.Requests()) - during
				if during > 25 || after < 1 || after > 12 {
					t.Errorf("%d requests during the run, %d after", during, after)
				}
			})
		})
	}
}

func TestGitHubComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, 30)
		back := time.Now().Add(10*time.Minute + 30*time.Second) // half a minute before the run ends
		s.fault = func(*http.Request, int) *githubtest.Fault {
			if time.Now().Before(back) {
				return &githubtest.Fault{Status: 503}
			}
			return nil
		}
		s.script = tenMinutes(30)
		s.play()
		s.noNotes()
		s.concluded(flow.Failure, 10)
		s.cheap(120)
	})
}

// TestGitHubWantsToBeLeftAlone relies on the fake, which fails a test whose
// program does not obey.
func TestGitHubWantsToBeLeftAlone(t *testing.T) {
	secondary := `{"message":"You have exceeded a secondary rate limit.","documentation_url":"https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"}`
	reset := func(d time.Duration) http.Header {
		return http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {fmt.Sprint(time.Now().Add(d).Unix())}}
	}
	for name, fault := range map[string]func() githubtest.Fault{
		"403 and Retry-After": func() githubtest.Fault {
			return githubtest.Fault{Status: 403, Body: secondary, Header: http.Header{"Retry-After": {"90"}}}
		},
		"429 and Retry-After": func() githubtest.Fault {
			return githubtest.Fault{Status: 429, Header: http.Header{"Retry-After": {"90"}}}
		},
		"403 and reset": func() githubtest.Fault { return githubtest.Fault{Status: 403, Header: reset(2 * time.Minute)} },
		"429 and reset": func() githubtest.Fault { return githubtest.Fault{Status: 429, Header: reset(2 * time.Minute)} },
		"429":           func() githubtest.Fault { return githubtest.Fault{Status: 429} },
		"secondary, and the primary limit's reset": func() githubtest.Fault {
			return githubtest.Fault{Status: 403, Body: secondary, Header: http.Header{"X-Ratelimit-Remaining": {"4000"}, "X-Ratelimit-Reset": {fmt.Sprint(time.Now().Add(50 * time.Minute).Unix())}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t, 30)
				var told []time.Time
				s.fault = func(*http.Request, int) *githubtest.Fault {
					if n := len(s.gh.Requests()); n != 4 && n != 5 && n != 12 {
						return nil
					}
					told = append(told, time.Now())
					f := fault()
					return &f
				}
				s.script = tenMinutes(30)
				s.start()
				s.close(5 * time.Minute)
				s.noNotes()
				s.concluded(flow.Failure, 10)
				for _, at := range told {
					for _, r := range s.gh.Requests() {
						if d := r.Time.Sub(at); d > 0 && d < time.Minute {
							t.Errorf("a request %v after GitHub wanted to be left alone", d)
						}
					}
				}
				if len(told) != 3 {
					t.Errorf("told %d times", len(told))
				}
			})
		})
	}
}

// TestRefusals do not go away: one note says so, and nothing more is sent.
func TestRefusals(t *testing.T) {
	permissions := map[string]string{"checks": "write"}
	for _, tt := range []struct {
		name   string
		token  githubtest.Token
		change func(*scene)
		words  []string
	}{
		{"read-only token", githubtest.Token{App: true, Permissions: map[string]string{"checks": "read"}}, nil,
			[]string{"Resource not accessible by integration", "`permissions: checks: write`"}},
		{"personal token", githubtest.Token{Permissions: permissions}, nil, []string{"403"}},
		{"other repository", githubtest.Token{App: true, Repos: []string{"octo/other"}, Permissions: permissions}, nil, []string{"404", "repository"}},
		{"unknown commit", githubtest.Token{App: true, Permissions: permissions},
			func(s *scene) { s.config.SHA = strings.Repeat("f", 40) }, []string{"422", "commit"}},
		{"expired token", githubtest.Token{App: true, Expires: time.Unix(1, 0)}, nil, []string{"401", "expired"}},
		{"no repository", githubtest.Token{App: true}, func(s *scene) { s.config.Repo = "../app" }, []string{"owner/name"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t, 30)
				s.config.Client = s.client(tt.token)
				if tt.change != nil {
					tt.change(s)
				}
				s.script = tenMinutes(30)
				s.play()
				s.oneNote(tt.words...)
				if n := len(s.gh.Requests()); n > 2 {
					t.Errorf("%d requests", n)
				}
				if d := time.Since(s.ended); d > 0 {
					t.Errorf("Close took %v", d)
				}
				s.gh.Violations() // the unknown commit is one
			})
		})
	}
}

func TestTokenExpiresDuringTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, 30)
		s.config.Client = s.client(githubtest.Token{App: true, Permissions: map[string]string{"checks": "write"}, Expires: time.Now().Add(5 * time.Minute)})
		s.script = tenMinutes(30)
		s.play()
		s.oneNote("401", "expired")
		last := s.gh.Requests()
		if r := last[len(last)-1]; r.Status != 401 || len(last) > 1 && last[len(last)-2].Status == 401 {
			t.Errorf("went on after a 401")
		}
	})
}

// TestRefusedOutput is posted once more with next to nothing in it.
func TestRefusedOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, 2)
		s.fault = func(r *http.Request, _ int) *githubtest.Fault {
			if all := s.gh.Requests(); strings.Contains(all[len(all)-1].Body, `"text":`) || r.Method == http.MethodPatch && len(all[len(all)-1].Body) > 600 {
				return &githubtest.Fault{Status: 422, Body: `{"message":"Invalid request. Only 65535 characters are allowed"}`}
			}
			return nil
		}
		s.script = func(flow.Attempt) flowtest.Step {
			return flowtest.Step{Run: time.Minute, Log: "hello\n", Result: failed}
		}
		s.play()
		s.noNotes()
		s.concluded(flow.Failure, 2)
	})
}
