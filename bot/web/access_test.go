package web_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/bot/githubapp"
	"github.com/cromt/cromt/bot/githubtest"
	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/bot/web"
	"github.com/cromt/cromt/flow"
)

// newPeople is a site to which people sign in, with a run in each of some
// repositories: octo/app and octo/private are alice's, octo/public everybody's,
// other/private somebody else's.
func newPeople(t testing.TB) (*site, map[string]*scene) {
	t.Helper()
	s := newSite(t, true)
	runs := map[string]*scene{}
	repos := []string{"octo/app", "octo/private", "octo/public", "other/private"}
	for _, repo := range repos {
		if r := s.gh.AddRepo(repo); repo != "octo/public" {
			r.SetPrivate()
		}
		runs[repo] = s.begin(func(r *store.Run) { r.Repo, r.Origin.Title = repo, "Run of "+repo })
		runs[repo].start("build@hostA", 1, 1, 2)
		runs[repo].print("build@hostA", 1, "secret of "+repo+"\n")
	}
	s.gh.AddInstallation(s.app, "octo", repos[:3], map[string]string{"metadata": "read"})
	s.gh.AddInstallation(s.app, "other", repos[3:], map[string]string{"metadata": "read"})
	s.gh.SetPerson(&githubtest.Person{Login: "alice", Repos: repos[:2]})
	return s, runs
}

// signIn goes to GitHub and back, as a browser does, and returns where it ends.
func (s *site) signIn(next string) string {
	s.t.Helper()
	to := "/signin?next=" + url.QueryEscape(next)
	resp, _ := s.get(to)
	for range 5 {
		at, err := resp.Location()
		if err != nil {
			s.t.Fatalf("sign in: %d", resp.StatusCode)
		}
		if at.Host == strings.TrimPrefix(s.url, "http://") && at.Path != "/signin/callback" {
			return at.RequestURI()
		}
		req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, at.String(), nil)
		must(s.t, err)
		if resp, err = s.client.Do(req); err != nil {
			s.t.Fatal(err)
		}
		resp.Body.Close()
	}
	s.t.Fatal("sign in: it does not end")
	return ""
}

// paths are all pages about a run.
func paths(c *scene) []string {
	run := "/runs/" + c.run.ID
	return []string{run, run + "/events", run + "/jobs/build@hostA", run + "/jobs/build@hostA/events", run + "/jobs/build@hostA/log", "/repos/" + c.run.Repo + "/flaky", "/?repo=" + c.run.Repo}
}

func TestSignIn(t *testing.T) {
	s, runs := newPeople(t)
	c := runs["octo/private"]
	for _, path := range append(paths(c), "/", "/hosts", "/runs/none", "/nowhere") {
		resp, body := s.get(path)
		if resp.StatusCode != http.StatusUnauthorized || !strings.Contains(body, `href="/signin?next=`+strings.ReplaceAll(url.QueryEscape(path), "+", "%20")) || strings.Contains(body, "Run of") {
			t.Errorf("%s: %d %s", path, resp.StatusCode, text(t, body))
		}
		if resp, body := s.get(path, "Accept", "application/json"); resp.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(body, `{"error":"Sign in`) {
			t.Errorf("%s as JSON: %d %s", path, resp.StatusCode, body)
		}
	}
	if at := s.signIn("/runs/" + c.run.ID + "?a=b"); at != "/runs/"+c.run.ID+"?a=b" {
		t.Errorf("back at %s", at)
	}
	wants(t, s.page("/runs/"+c.run.ID), "Run of octo/private", "alice Sign out")
	// Nobody is signed out by another site.
	signOut := func(headers ...string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/signout", nil)
		must(t, err)
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		resp, err := s.client.Do(req)
		must(t, err)
		defer resp.Body.Close()
		return resp.StatusCode
	}
	if code := signOut("Sec-Fetch-Site", "cross-site"); code != http.StatusForbidden {
		t.Errorf("signed out from another site: %d", code)
	}
	if code := signOut("Origin", "https://evil.example"); code != http.StatusForbidden {
		t.Errorf("signed out from another origin: %d", code)
	}
	if resp, _ := s.get("/signout"); resp.StatusCode != http.StatusMethodNotAllowed && resp.StatusCode != http.StatusNotFound {
		t.Errorf("signed out by a link: %d", resp.StatusCode)
	}
	s.page("/")
	if code := signOut("Sec-Fetch-Site", "same-origin"); code != http.StatusSeeOther {
		t.Errorf("sign out: %d", code)
	}
	if resp, _ := s.get("/"); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("signed out: %d", resp.StatusCode)
	}
}

// Readers see what they can read; what there is not looks like what they may
// not see.
func TestVisibility(t *testing.T) {
	s, runs := newPeople(t)
	s.signIn("/")
	list := s.page("/")
	wants(t, list, "Run of octo/app", "Run of octo/private")
	if all := text(t, list); strings.Contains(all, "octo/public") || strings.Contains(all, "other/private") {
		t.Errorf("the list has more: %s", all)
	}
	for _, repo := range []string{"octo/app", "octo/private", "octo/public"} {
		for _, path := range paths(runs[repo]) {
			if strings.HasSuffix(path, "/events") {
				if resp, _ := s.stream(path); resp.StatusCode != http.StatusOK {
					t.Errorf("%s: %d", path, resp.StatusCode)
				}
				continue
			}
			s.page(path)
		}
	}
	_, none := s.get("/runs/none")
	forget := func(page, path string) string { // the page names its own path
		return strings.ReplaceAll(page, strings.ReplaceAll(path, "&", "&amp;"), "PATH")
	}
	for _, path := range paths(runs["other/private"]) {
		resp, body := s.get(path)
		if resp.StatusCode != http.StatusNotFound || forget(body, path) != forget(none, "/runs/none") {
			t.Errorf("%s: %d, or it looks other than what there is not", path, resp.StatusCode)
		}
	}
	hosts := text(t, s.page("/hosts"))
	if !strings.Contains(hosts, "hostA") || strings.Contains(hosts, "secret.example") {
		t.Errorf("hosts: %s", hosts)
	}
	// GitHub is not asked for every page.
	before := len(s.gh.Requests())
	for range 5 {
		s.page("/")
		s.page("/runs/" + runs["octo/public"].run.ID)
		s.get("/runs/" + runs["other/private"].run.ID)
	}
	if n := len(s.gh.Requests()) - before; n != 0 {
		t.Errorf("%d requests to GitHub for what is known", n)
	}
	// A token that GitHub does not take any more is a session that has ended.
	s.gh.Withdraw()
	resp, _ := s.get("/?repo=octo/elsewhere")
	if resp.StatusCode != http.StatusUnauthorized || !strings.Contains(resp.Header.Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("withdrawn: %d %v", resp.StatusCode, resp.Header)
	}
}

// When GitHub does not answer nobody sees anything.
func TestGitHubFails(t *testing.T) {
	s, runs := newPeople(t)
	s.signIn("/")
	s.gh.Fault(func(*http.Request, int) *githubtest.Fault {
		return &githubtest.Fault{Status: http.StatusBadRequest, Body: "{}"}
	})
	for _, path := range []string{"/", "/hosts", "/runs/" + runs["octo/app"].run.ID} {
		resp, body := s.get(path)
		if resp.StatusCode != http.StatusBadGateway || strings.Contains(body, "octo/app") {
			t.Errorf("%s: %d %s", path, resp.StatusCode, text(t, body))
		}
	}
}

func TestSignInRefused(t *testing.T) {
	s, _ := newPeople(t)
	for _, next := range []string{"https://evil.example/", "//evil.example/", "///evil.example/", "/\\evil.example", "javascript:alert(1)", "", "/signin", "/signin/callback?code=x"} {
		if at := s.signIn(next); at != "/" {
			t.Errorf("after %q: %s", next, at)
		}
	}
	s2, _ := newPeople(t)
	// Somebody else's code does not sign in who has not begun to.
	if resp, body := s2.get("/signin/callback?code=code1&state="); resp.StatusCode != http.StatusBadRequest || len(resp.Cookies()) > 1 {
		t.Errorf("%d %s", resp.StatusCode, text(t, body))
	}
	resp, _ := s2.get("/signin?next=/")
	at, err := resp.Location()
	must(t, err)
	if q := at.Query(); len(q.Get("state")) < 40 || q.Get("code_challenge_method") != "S256" || !strings.HasPrefix(at.String(), s2.gh.URL()+"/login/oauth/authorize?") {
		t.Errorf("sent to %s", at)
	}
	if resp, _ := s2.get("/signin/callback?code=code1&state=" + url.QueryEscape(at.Query().Get("state")+"x")); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("another state: %d", resp.StatusCode)
	}
	if resp, _ := s2.get("/signin/callback?code=code1&state=" + url.QueryEscape(at.Query().Get("state"))); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("the state a second time: %d", resp.StatusCode)
	}
	s2.gh.SetPerson(nil)
	resp, _ = s2.get("/signin")
	at, err = resp.Location()
	must(t, err)
	state := url.QueryEscape(at.Query().Get("state"))
	if resp, body := s2.get("/signin/callback?error=access_denied&state=" + state); resp.StatusCode != http.StatusForbidden || !strings.Contains(body, "access_denied") {
		t.Errorf("refused: %d", resp.StatusCode)
	}
	if resp, _ := s2.get("/"); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("not signed in: %d", resp.StatusCode)
	}
}

// A session cannot be made up, changed, or moved from another cookie.
func TestSessions(t *testing.T) {
	s, _ := newPeople(t)
	s.signIn("/")
	at, err := url.Parse(s.url)
	must(t, err)
	cookies := s.client.Jar.Cookies(at)
	if len(cookies) != 1 || cookies[0].Name != "cromt" || strings.Contains(cookies[0].Value, "ghu_") {
		t.Fatalf("%v", cookies)
	}
	s.client.Jar = nil
	good := cookies[0].Value
	for value, want := range map[string]int{good: 200, good[:len(good)-1] + "A": 401, "A" + good[1:]: 401, "": 401, "e30": 401, strings.Repeat("A", 200): 401} {
		if value == good[:len(good)-1]+"A" && value == good {
			continue
		}
		if resp, _ := s.get("/", "Cookie", "cromt="+value); resp.StatusCode != want {
			t.Errorf("%.10s…: %d, want %d", value, resp.StatusCode, want)
		}
	}
	resp, _ := s.get("/signin")
	attempt := resp.Cookies()[0]
	if !attempt.HttpOnly || attempt.SameSite != http.SameSiteLaxMode || attempt.MaxAge != 600 {
		t.Errorf("%+v", attempt)
	}
	if resp, _ := s.get("/", "Cookie", "cromt="+attempt.Value); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("another cookie: %d", resp.StatusCode)
	}
}

// pagesFor are the pages of an App at an address, over an empty database.
func pagesFor(t *testing.T, publicURL string, signIn bool) http.Handler {
	t.Helper()
	db, err := store.Open(context.Background(), "sqlite:"+filepath.Join(t.TempDir(), "x.db"), store.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	c := githubapp.Config{AppID: 1, PrivateKey: keyPEM()}
	if signIn {
		c.ClientID, c.ClientSecret = "Iv1.x", "s3cret"
	}
	app, err := githubapp.New(c)
	must(t, err)
	h, err := web.New(web.Config{Store: db, GitHub: app, Plan: plan, PublicURL: publicURL, Secret: []byte("x")})
	must(t, err)
	return h
}

func TestSecureCookies(t *testing.T) {
	w := httptest.NewRecorder()
	pagesFor(t, "https://cromt.example", true).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/signin", nil))
	c := w.Result().Cookies()
	if len(c) != 1 || c[0].Name != "__Host-cromt-signin" || !c[0].Secure || !c[0].HttpOnly || c[0].Path != "/" || c[0].Domain != "" {
		t.Errorf("%+v", c)
	}
	if to := w.Result().Header.Get("Location"); !strings.HasPrefix(to, "https://github.com/login/oauth/authorize?") || !strings.Contains(to, url.QueryEscape("https://cromt.example/signin/callback")) {
		t.Errorf("sent to %s", to)
	}
}

// Without sign-in the pages are open to this machine alone, when it is the
// public address too.
func TestWithoutSignIn(t *testing.T) {
	for name, c := range map[string]struct {
		public, remote, host string
		header               string
		want                 int
	}{
		"here":            {"http://127.0.0.1:8080", "127.0.0.1:50000", "127.0.0.1:8080", "", 200},
		"by name":         {"http://localhost:8080", "[::1]:50000", "localhost:8080", "", 200},
		"elsewhere":       {"http://localhost:8080", "192.0.2.1:50000", "localhost:8080", "", 403},
		"a proxy":         {"http://localhost:8080", "127.0.0.1:50000", "localhost:8080", "X-Forwarded-For", 403},
		"another proxy":   {"http://localhost:8080", "127.0.0.1:50000", "localhost:8080", "Forwarded", 403},
		"rebound name":    {"http://localhost:8080", "127.0.0.1:50000", "evil.example:8080", "", 403},
		"public":          {"https://cromt.example", "127.0.0.1:50000", "127.0.0.1:8080", "", 403},
		"no address":      {"", "127.0.0.1:50000", "127.0.0.1:8080", "", 403},
		"a name like one": {"http://localhost.example", "127.0.0.1:50000", "localhost:8080", "", 403},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr, r.Host = c.remote, c.host
		if c.header != "" {
			r.Header.Set(c.header, "192.0.2.1")
		}
		w := httptest.NewRecorder()
		pagesFor(t, c.public, false).ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%s: %d, want %d", name, w.Code, c.want)
		}
		if body, _ := io.ReadAll(w.Body); c.want == 403 {
			wants(t, string(body), "Signing in is not set up", "client_secret_file", c.public+"/signin/callback")
		}
	}
	if _, err := web.New(web.Config{}); err == nil {
		t.Error("pages of nothing")
	}
}

func TestBadge(t *testing.T) {
	s, _ := newPeople(t)
	in := s.gh.AddInstallation(s.app, "octo", []string{"octo/app", "octo/public"}, map[string]string{"metadata": "read", "checks": "write", "contents": "read", "issues": "write", "pull_requests": "write"})
	run := func(repo, branch string, pull int64, conclusion string) {
		c := s.begin(func(r *store.Run) {
			r.Repo, r.Branch, r.Origin.PullNumber, r.Installation = repo, branch, pull, in
			r.CreatedAt = r.CreatedAt.Add(time.Duration(s.runs) * time.Second)
		})
		c.finish(10, flow.Conclusion(conclusion))
	}
	run("octo/public", "main", 0, "success")
	run("octo/public", "next", 0, "failure")
	run("octo/public", "main", 7, "failure") // of a fork's branch of that name
	run("octo/app", "main", 0, "success")
	s.client.Jar = nil
	for path, want := range map[string]string{
		"/badge/octo/public": "cromt: passing", "/badge/octo/public?branch=next": "cromt: failing", "/badge/octo/public?branch=none": "cromt: unknown",
		"/badge/octo/app": "cromt: unknown", "/badge/octo/none": "cromt: unknown",
	} {
		resp, body := s.get(path)
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "image/svg+xml" || !strings.Contains(body, "<title>"+want+"</title>") {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
		if resp.Header.Get("Cross-Origin-Resource-Policy") != "cross-origin" {
			t.Errorf("%s: %v", path, resp.Header)
		}
	}
	_, private := s.get("/badge/octo/app")
	if _, none := s.get("/badge/octo/none"); none != private {
		t.Error("a private repository looks other than one that there is not")
	}
}

// Whoever gets a name that another repository has had sees nothing of that:
// neither when the App does not know yet, nor by lists.
func TestNameTaken(t *testing.T) {
	s, _ := newPeople(t)
	old := s.begin(func(r *store.Run) { r.Repo, r.RepoID, r.Origin.Title = "octo/private", 2, "Run of the old one" })
	old.start("build@hostA", 1, 1, 2)
	s.signIn("/")
	if resp, body := s.get("/?repo=octo/private"); resp.StatusCode != http.StatusOK || !strings.Contains(body, "Run of the old one") {
		t.Fatalf("%d %s", resp.StatusCode, text(t, body))
	}
	s.gh.AddRepo("octo/private").Remade()
	s.gh.Withdraw()
	s.signIn("/")
	for _, path := range append(paths(old), "/", "/?repo=octo/private") {
		if resp, body := s.get(path); strings.Contains(body, "Run of the old one") || strings.HasPrefix(path, "/runs") && resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d %s", path, resp.StatusCode, text(t, body))
		}
	}
	if resp, _ := s.get("/repos/octo/private/flaky"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("flaky: %d", resp.StatusCode)
	}
}
