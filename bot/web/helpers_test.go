package web_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cromt/cromt/bot/githubapp"
	"github.com/cromt/cromt/bot/githubtest"
	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/bot/web"
	"github.com/cromt/cromt/flow"
)

// key is made once: it takes a while.
var key = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

func keyPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key())})
}

// site is the pages over a database and a GitHub.
type site struct {
	t      testing.TB
	store  *store.Store
	gh     *githubtest.Server
	app    int64
	client *http.Client // follows no redirects, keeps cookies
	url    string
	front  *httptest.Server
	runs   int
	pools  []web.PoolHost
}

func newSite(t testing.TB, signIn bool) *site {
	t.Helper()
	s := &site{t: t, gh: githubtest.New(t)}
	var err error
	s.store, err = store.Open(context.Background(), "sqlite:"+filepath.Join(t.TempDir(), "cromt.db"), store.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, s.store.Close()) })
	s.front = httptest.NewUnstartedServer(nil)
	s.url = "http://" + s.front.Listener.Addr().String()
	s.app = s.gh.AddApp("cromt", &key().PublicKey)
	c := githubapp.Config{AppID: s.app, PrivateKey: keyPEM(), APIURL: s.gh.URL()}
	if signIn {
		c.ClientID, c.ClientSecret = "Iv1.x", "s3cret"
		s.gh.SetClient(s.app, "Iv1.x", "s3cret", s.url+"/signin/callback")
	}
	app, err := githubapp.New(c)
	must(t, err)
	s.front.Config.Handler, err = web.New(web.Config{
		Store: s.store, GitHub: app, Plan: plan, PublicURL: s.url, Secret: []byte("secret"), Version: "v1.2.3",
		Hosts: []web.Host{
			{URL: "https://hostA:4000", Name: "hostA", Slots: 4, MayUse: glob("octo/*")},
			{URL: "https://hostB:4000", Name: "hostB", Slots: 2, MayUse: glob("octo/*")},
			{URL: "https://hostC:4000", Name: "hostC", MayUse: glob("octo/*")},
			{URL: "https://secret.example:4000", Name: "secret", MayUse: glob("other/*")},
		},
		Pools: func(context.Context) ([]web.PoolHost, error) { return s.pools, nil },
	})
	must(t, err)
	s.front.Start()
	t.Cleanup(s.front.Close)
	jar, err := cookiejar.New(nil)
	must(t, err)
	s.client = &http.Client{Jar: jar, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return s
}

func glob(pattern string) func(string) bool {
	return func(repo string) bool { ok, _ := path.Match(pattern, repo); return ok }
}

// plan is what the App does to plan a run.
func plan(r *store.Run) (*flow.Plan, error) {
	f, err := flow.Parse(r.Spec.ConfigPath, r.Spec.Config)
	if err != nil {
		return nil, err
	}
	return flow.NewPlan(f, flow.PlanOptions{Roots: r.Spec.Roots, Repo: "https://github.com/" + r.Repo})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// get returns an answer and its body.
func (s *site) get(path string, headers ...string) (*http.Response, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+path, nil)
	must(s.t, err)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := s.client.Do(req)
	must(s.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(s.t, err)
	return resp, string(body)
}

// page returns a page that is there, well-formed.
func (s *site) page(path string) string {
	s.t.Helper()
	resp, body := s.get(path)
	if resp.StatusCode != http.StatusOK {
		s.t.Fatalf("GET %s: %d\n%s", path, resp.StatusCode, text(s.t, body))
	}
	return body
}

func (s *site) json(path string, into any) {
	s.t.Helper()
	resp, body := s.get(path, "Accept", "application/json")
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		s.t.Fatalf("GET %s as JSON: %d %s", path, resp.StatusCode, body)
	}
	must(s.t, json.Unmarshal([]byte(body), into))
}

// text is what of a page is read: its text with single spaces.
func text(t testing.TB, page string) string {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(page))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	var words []string
	var open []string
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("page: %v", err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			open = append(open, token.Name.Local)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) > 0 && open[len(open)-1] != "style" {
				words = append(words, strings.Fields(string(token))...)
			}
		}
	}
	return strings.Join(words, " ")
}

// wants fails unless the text of a page has all of these.
func wants(t testing.TB, page string, want ...string) {
	t.Helper()
	all := text(t, page)
	for _, w := range want {
		if !strings.Contains(all, w) {
			t.Errorf("no %q in: %s", w, all)
		}
	}
}

const config = `projects:
  build: {path: ., url: "https://hostA:4000"}
  lint: {path: ., url: "https://hostB:4000"}
  test:
    title: Unit tests
    path: .
    before: [name: build]
    hosts: [{url: "https://hostA:4000"}, {url: "https://hostB:4000"}, {url: "https://hostC:4000"}]
  docs: {path: ., url: "https://hostC:4000"}
  package: {path: ., before: [name: test, name: docs], url: "https://hostB:4000"}
  deploy: {path: ., before: [name: package, name: lint], hosts: [{url: "https://hostA:4000"}, {url: "https://hostB:4000"}], after: [{name: notify, when: always}]}
  notify: {path: ., url: "https://hostC:4000"}
`

// scene is a run that a test directs.
type scene struct {
	s       *site
	run     *store.Run
	plan    *flow.Plan
	claim   *store.Claim
	journal flow.Reporter
	begun   time.Time
	sizes   map[string]int64
}

// create stores a run; change may be nil.
func (s *site) create(change func(*store.Run)) *store.Run {
	s.t.Helper()
	s.runs++
	r := &store.Run{
		ID: fmt.Sprintf("run-%04d", s.runs), Key: fmt.Sprint("key ", s.runs), Class: "code", Repo: "octo/app", Installation: 1,
		SHA: strings.Repeat("abcdef0123456789", 3)[:40], Ref: "refs/heads/main", Branch: "main",
		Origin: store.Origin{Event: "push", Sender: "octocat", Title: "Fix the parser of empty files", Reason: "push to main"},
		Spec:   store.Spec{ConfigPath: "jobs.yaml", Config: []byte(config), Roots: []string{"deploy"}}, CreatedAt: time.Now().Add(-5 * time.Minute),
	}
	if change != nil {
		change(r)
	}
	must(s.t, s.store.Tx(s.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, _, err := tx.CreateRun(ctx, r)
		return err
	}))
	return r
}

// begin creates a run and starts it.
func (s *site) begin(change func(*store.Run)) *scene {
	s.t.Helper()
	c := &scene{s: s, run: s.create(change), sizes: map[string]int64{}}
	var err error
	c.plan, err = plan(c.run)
	must(s.t, err)
	c.claim, err = s.store.Claim(s.t.Context(), c.run.ID)
	must(s.t, err)
	c.journal, c.begun = c.claim.Journal(c.plan), c.run.CreatedAt.Add(2*time.Second)
	c.report(flow.Event{Kind: flow.RunStarted, Time: c.begun})
	return c
}

func (c *scene) report(events ...flow.Event) {
	c.s.t.Helper()
	must(c.s.t, c.journal.Report(c.s.t.Context(), events))
}

func (c *scene) job(key string) *flow.Job {
	c.s.t.Helper()
	for _, j := range c.plan.Jobs {
		if j.Key == key {
			return j
		}
	}
	c.s.t.Fatalf("no job %s among %v", key, c.keys())
	return nil
}

// start has an attempt of a job wait and start, seconds after the run began.
func (c *scene) start(key string, attempt int, queued, started float64) {
	c.s.t.Helper()
	j := c.job(key)
	c.report(flow.Event{Kind: flow.JobQueued, Time: c.after(queued), Job: j, Attempt: attempt, JobID: fmt.Sprint(key, attempt)})
	if started >= 0 {
		c.report(flow.Event{Kind: flow.JobStarted, Time: c.after(started), Job: j, Attempt: attempt})
	}
}

func (c *scene) after(seconds float64) time.Time {
	return c.begun.Add(time.Duration(seconds * float64(time.Second)))
}

// print adds to the log of an attempt.
func (c *scene) print(key string, attempt int, text string) {
	c.s.t.Helper()
	id := fmt.Sprint(key, attempt)
	must(c.s.t, c.claim.AppendLog(c.s.t.Context(), key, attempt, c.sizes[id], []byte(text)))
	c.sizes[id] += int64(len(text))
}

// end ends an attempt, and the job unless it is tried again.
func (c *scene) end(key string, attempt int, at float64, res flow.Result, log string, again bool) {
	c.s.t.Helper()
	j := c.job(key)
	if res.Conclusion == "" {
		res.Conclusion = flow.Success
	}
	res.CompletedAt, res.Commit = c.after(at), c.run.SHA
	ev := flow.Event{Kind: flow.AttemptCompleted, Time: c.after(at), Job: j, Attempt: attempt, Result: &res, Log: log}
	if again {
		ev.RetryAt = c.after(at + 1)
		c.report(ev)
		return
	}
	c.report(ev, flow.Event{Kind: flow.JobCompleted, Time: c.after(at), Job: j, Result: &res})
}

// finish ends the run; jobs that have not begun are skipped.
func (c *scene) finish(at float64, conclusion flow.Conclusion) {
	c.s.t.Helper()
	jobs, err := c.s.store.Jobs(c.s.t.Context(), c.run.ID)
	must(c.s.t, err)
	report := &flow.Run{ID: c.run.ID, Conclusion: conclusion, StartedAt: c.begun, CompletedAt: c.after(at)}
	for _, j := range jobs {
		r := flow.JobReport{Key: j.Key, Status: flow.StatusCompleted, Conclusion: j.Conclusion, SHA: j.SHA, Cause: j.Cause, Error: j.Error}
		if j.Status != flow.StatusCompleted {
			r.Conclusion, r.Cause = flow.Skipped, flow.CauseDependency
		}
		report.Jobs = append(report.Jobs, r)
	}
	must(c.s.t, c.claim.Finish(c.s.t.Context(), report, nil))
}

func taskFailure(exit int) flow.Result {
	return flow.Result{Conclusion: flow.Failure, Cause: flow.CauseTask, Error: fmt.Sprintf("task exit status: %d", exit), ExitCode: exit}
}

// failed is a run in which something failed.
func (s *site) failed() *scene {
	s.t.Helper()
	c := s.begin(nil)
	c.start("build@hostA", 1, 0.2, 1)
	c.start("lint@hostB", 1, 0.2, 0.9)
	c.start("docs@hostC", 1, 0.3, 0.9)
	c.end("lint@hostB", 1, 9, taskFailure(2), "oops\n", true)
	c.print("lint@hostB", 1, "oops\n")
	c.start("lint@hostB", 2, 10, 10.5)
	c.end("lint@hostB", 2, 18, flow.Result{}, "", false)
	c.end("docs@hostC", 1, 14, flow.Result{Artifacts: []flow.Artifact{{File: "site.tar.gz", SHA256: strings.Repeat("0f", 32), Bytes: 1234567}}}, "", false)
	c.end("build@hostA", 1, 21, flow.Result{}, "", false)
	for i, host := range []string{"hostA", "hostB", "hostC"} {
		key := "test@" + host
		c.start(key, 1, 21, 22+float64(i))
		if host == "hostB" {
			c.print(key, 1, broken())
			c.end(key, 1, 47, taskFailure(101), broken(), false)
		} else {
			c.end(key, 1, 58+float64(i), flow.Result{}, "", false)
		}
	}
	c.finish(61, flow.Failure)
	return c
}

func (c *scene) keys() (keys []string) {
	for _, j := range c.plan.Jobs {
		keys = append(keys, j.Key)
	}
	return keys
}
