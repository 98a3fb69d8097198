package checks_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/bot/checks"
	"github.com/cromt/cromt/bot/githubtest"
	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/flow/flowtest"
)

const (
	repoName = "octo/app"
	headSHA  = "0123456789abcdef0123456789abcdef01234567"
	// latency of an answer: 41 of them, the most that a run's end takes, are
	// within two seconds.
	latency = 40 * time.Millisecond
)

// scene is a GitHub, and a run to be shown on it.
type scene struct {
	t      *testing.T
	gh     *githubtest.Server
	repo   *githubtest.Repo
	plan   *flow.Plan
	config checks.Config
	fault  func(r *http.Request, n int) *githubtest.Fault // instead of a quick answer
	script func(a flow.Attempt) flowtest.Step

	rep   *checks.Reporter
	run   *flow.Run
	ended time.Time // the run
	notes []string  // of Close
}

func newScene(t *testing.T, jobs int) *scene {
	t.Helper()
	s := &scene{t: t, gh: githubtest.New(t), plan: newPlan(t, jobs)}
	s.repo = s.gh.AddRepo(repoName)
	s.repo.AddCommit(headSHA)
	s.gh.Fault(func(r *http.Request, n int) *githubtest.Fault {
		if s.fault != nil {
			if f := s.fault(r, n); f != nil {
				return f
			}
		}
		return &githubtest.Fault{Delay: latency}
	})
	s.config = checks.Config{
		Client: s.client(githubtest.Token{App: true, Permissions: map[string]string{"checks": "write"}}),
		Budget: checks.NewBudget(checks.Limits{}),
		Repo:   repoName, SHA: headSHA, Name: "cromt", Mode: checks.ModePerHost, Run: "r1",
	}
	return s
}

func (s *scene) client(tok githubtest.Token) *checks.Client {
	s.t.Helper()
	c, err := checks.NewClient(checks.ClientConfig{Token: s.gh.Token(tok), HTTP: &http.Client{Transport: s.gh.Transport()}})
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// newPlan is of one project on as many hosts as there are to be jobs.
func newPlan(t *testing.T, jobs int) *flow.Plan {
	t.Helper()
	var b strings.Builder
	b.WriteString("projects:\n  p:\n    path: https://git.example/p.git\n    action: test\n    hosts:\n")
	for i := range jobs {
		fmt.Fprintf(&b, "      - url: https://h%05d:4000\n", i)
	}
	f, err := flow.Parse("jobs.yaml", []byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := flow.NewPlan(f, flow.PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// play runs the plan, reports it and closes the Reporter.
func (s *scene) play() {
	s.t.Helper()
	s.start()
	s.close(30 * time.Second)
}

func (s *scene) start() {
	s.t.Helper()
	s.rep = checks.NewReporter(s.plan, s.config)
	e := &flow.Engine{
		Executor:  &flowtest.Executor{Script: s.script},
		Reporters: []flow.Reporter{s.rep},
		Output:    s.rep.Output,
		Resolve:   func(context.Context, flow.Source) (string, error) { return headSHA, nil },
	}
	run, err := e.Run(context.Background(), flow.RunOptions{ID: s.config.Run, Plan: s.plan, Repo: repoName, SHA: headSHA})
	if err != nil {
		s.t.Fatal(err)
	}
	s.run, s.ended = run, time.Now()
}

func (s *scene) close(d time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	s.notes = s.rep.Close(ctx)
}

// number is that of a job, from 0.
func number(j *flow.Job) int {
	var n int
	fmt.Sscanf(strings.TrimPrefix(j.Host, "https://h"), "%d", &n)
	return n
}

var failed = flow.Result{Conclusion: flow.Failure, Cause: flow.CauseTask, Error: "task failed", ExitCode: 1}

// checkRun returns the one check run of that name.
func (s *scene) checkRun(name string) githubtest.CheckRun {
	s.t.Helper()
	var found []githubtest.CheckRun
	for _, c := range s.repo.CheckRuns() {
		if c.Name == name {
			found = append(found, c)
		}
	}
	if len(found) != 1 {
		s.t.Fatalf("check runs named %q: %d", name, len(found))
	}
	return found[0]
}

// concluded fails the test if a check run is not completed, or if there is
// not one aggregate and so many others.
func (s *scene) concluded(want flow.Conclusion, others int) {
	s.t.Helper()
	all := s.repo.CheckRuns()
	for _, c := range all {
		if c.Status != "completed" {
			s.t.Errorf("check run %s is %s", c.Name, c.Status)
		}
	}
	if c := s.checkRun("cromt"); c.Conclusion != string(want) {
		s.t.Errorf("aggregate: %s, want %s", c.Conclusion, want)
	}
	if len(all) != others+1 {
		s.t.Errorf("%d check runs of jobs, want %d", len(all)-1, others)
	}
}

// writes are the requests that changed something, or were meant to.
func (s *scene) writes() []githubtest.Request {
	var all []githubtest.Request
	for _, r := range s.gh.Requests() {
		if r.Method != http.MethodGet {
			all = append(all, r)
		}
	}
	return all
}

func (s *scene) noNotes() {
	s.t.Helper()
	if len(s.notes) > 0 {
		s.t.Errorf("notes: %q", s.notes)
	}
}

// oneNote fails the test unless Close had one note, which has all the words.
func (s *scene) oneNote(words ...string) {
	s.t.Helper()
	if len(s.notes) != 1 {
		s.t.Fatalf("notes: %q, want one", s.notes)
	}
	for _, w := range words {
		if !strings.Contains(s.notes[0], w) {
			s.t.Errorf("note %q does not have %q", s.notes[0], w)
		}
	}
}
