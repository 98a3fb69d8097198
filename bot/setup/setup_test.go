package setup_test

import (
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cromt/cromt/bot/config"
	"github.com/cromt/cromt/bot/githubapp"
	"github.com/cromt/cromt/bot/githubtest"
	"github.com/cromt/cromt/bot/setup"
)

// site is a set-up and the browser of who does it.
type site struct {
	t    *testing.T
	gh   *githubtest.Server
	dir  string
	flow *setup.Flow
	url  string
}

func newSite(t *testing.T, change func(*setup.Config)) *site {
	t.Helper()
	s := &site{t: t, gh: githubtest.New(t), dir: t.TempDir()}
	c := setup.Config{
		GitHub: githubapp.Config{APIURL: s.gh.URL() + "/api/v3"}, PublicURL: "https://cromt.example.com", Listen: "127.0.0.1:8080",
		File: filepath.Join(s.dir, "bot.yaml"), CallbackPath: "/in",
	}
	if change != nil {
		change(&c)
	}
	var err error
	if s.flow, err = setup.New(c); err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s.flow.Handler())
	t.Cleanup(web.Close)
	s.url = web.URL
	return s
}

func (s *site) get(path string) (int, string) {
	s.t.Helper()
	w, err := http.Get(s.url + path)
	return read(s.t, w, err)
}

func (s *site) post(path string, form url.Values) (int, string) {
	s.t.Helper()
	w, err := http.PostForm(s.url+path, form)
	return read(s.t, w, err)
}

func read(t *testing.T, r *http.Response, err error) (int, string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if csp := r.Header.Get("Content-Security-Policy"); r.StatusCode == http.StatusOK && (!strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'")) {
		t.Errorf("CSP %q", csp)
	}
	return r.StatusCode, string(body)
}

// send fills in the form and returns where the button leads, and with what.
func (s *site) send(form url.Values) (target *url.URL, manifest map[string]any) {
	s.t.Helper()
	code, body := s.post(s.flow.Path(), form)
	action := regexp.MustCompile(`<form method="post" action="([^"]*)"><input type="hidden" name="manifest" value="([^"]*)">`).FindStringSubmatch(body)
	if code != http.StatusOK || action == nil {
		s.t.Fatalf("%d %s", code, body)
	}
	target, err := url.Parse(html.UnescapeString(action[1]))
	if err == nil {
		err = json.Unmarshal([]byte(html.UnescapeString(action[2])), &manifest)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return target, manifest
}

func form(more ...string) url.Values {
	v := url.Values{"public_url": {"https://cromt.example.com/"}, "name": {"My cromt"}, "merge_queues": {"1"}}
	for i := 0; i < len(more); i += 2 {
		v.Set(more[i], more[i+1])
	}
	return v
}

func TestSetup(t *testing.T) {
	s := newSite(t, nil)
	if code, body := s.get(s.flow.Path()); code != http.StatusOK || !strings.Contains(body, `value="https://cromt.example.com"`) {
		t.Errorf("%d %s", code, body)
	}
	target, m := s.send(form())
	if !strings.HasPrefix(target.String(), s.gh.URL()+"/settings/apps/new?state=") {
		t.Errorf("target %s", target)
	}
	hook := m["hook_attributes"].(map[string]any)
	if m["name"] != "My cromt" || hook["url"] != "https://cromt.example.com/webhook" || m["redirect_url"] != s.url+"/setup/done" || m["public"] != false ||
		fmt.Sprint(m["callback_urls"]) != "[https://cromt.example.com/in]" {
		t.Errorf("%v", m)
	}
	if got := fmt.Sprint(m["default_permissions"]); got != "map[checks:write contents:read issues:write merge_queues:read metadata:read pull_requests:write]" {
		t.Error(got)
	}
	if got := fmt.Sprint(m["default_events"]); got != "[check_run check_suite issue_comment merge_group pull_request push]" {
		t.Error(got)
	}
	code, made := s.gh.MakeApp("my-cromt")
	status, body := s.get("/setup/done?" + url.Values{"code": {code}, "state": {target.Query().Get("state")}}.Encode())
	if status != http.StatusOK || !strings.Contains(body, "/apps/my-cromt/installations/new") || strings.Contains(body, made.ClientSecret) || strings.Contains(body, made.WebhookSecret) {
		t.Errorf("%d %s", status, body)
	}
	select {
	case <-s.flow.Done():
	default:
		t.Error("it is not done")
	}
	cfg, err := config.Load(filepath.Join(s.dir, "bot.yaml"), func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	if g := cfg.GitHub; g.AppID != made.ID || g.PrivateKey.Reveal() != strings.TrimSpace(made.PEM) || g.WebhookSecret.Reveal() != made.WebhookSecret || g.ClientID != made.ClientID ||
		g.ClientSecret.Reveal() != made.ClientSecret || g.APIURL != s.gh.URL()+"/api/v3" || cfg.PublicURL != "https://cromt.example.com" {
		t.Errorf("%+v", cfg)
	}
	for _, name := range []string{"bot.yaml", "app.pem", "webhook.secret", "client.secret"} {
		if info, err := os.Stat(filepath.Join(s.dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if status, _ := s.get("/setup/done?" + url.Values{"code": {code}, "state": {target.Query().Get("state")}}.Encode()); status != http.StatusNotFound {
		t.Errorf("once more: %d", status)
	}
}

func TestSetupForm(t *testing.T) {
	s := newSite(t, nil)
	target, m := s.send(form("organization", "octo-org", "merge_queues", ""))
	if !strings.HasPrefix(target.String(), s.gh.URL()+"/organizations/octo-org/settings/apps/new?") || slices.Contains(m["default_events"].([]any), any("merge_group")) {
		t.Errorf("%s %v", target, m)
	}
	for want, f := range map[string]url.Values{
		"must be https":                     form("public_url", "http://cromt.example.com"),
		"must not have a path":              form("public_url", "https://cromt.example.com/x"),
		"up to 34 characters":               form("name", strings.Repeat("x", 35)),
		"it is the name in its address":     form("organization", "../evil"),
		"must not have a user":              form("public_url", "https://a:b@cromt.example.com"),
		"&lt;script&gt;alert(1)&lt;/script": form("name", "<script>alert(1)</script><script>alert(1)</script>"),
	} {
		entered := `value="` + html.EscapeString(f.Get("public_url")) + `"` // and is still there
		if code, body := s.post(s.flow.Path(), f); !strings.Contains(body, entered) && !strings.Contains(body, strings.TrimSuffix(entered, `/"`)) || code != http.StatusUnprocessableEntity || !strings.Contains(body, want) || strings.Contains(body, "<script>") {
			t.Errorf("%q: %d %s", want, code, body)
		}
	}
}

// Without the key, and without the state, there is nothing.
func TestSetupStrangers(t *testing.T) {
	s := newSite(t, nil)
	s.send(form())
	code, _ := s.gh.MakeApp("evil")
	for _, path := range []string{"/setup", "/setup?key=", "/setup?key=" + strings.Repeat("A", 26), "/", "/setup/done", "/setup/done?state=&code=" + code, "/setup/done?state=x&code=" + code} {
		if status, body := s.get(path); status != http.StatusNotFound || strings.Contains(body, "form") {
			t.Errorf("GET %s: %d %s", path, status, body)
		}
	}
	if status, _ := s.post("/setup?key=guess", form()); status != http.StatusNotFound {
		t.Errorf("POST: %d", status)
	}
	if entries, err := os.ReadDir(s.dir); err != nil || len(entries) != 0 {
		t.Errorf("written: %v, %v", entries, err)
	}
}

func TestSetupWrongCode(t *testing.T) {
	s := newSite(t, nil)
	target, _ := s.send(form())
	state := target.Query().Get("state")
	for _, code := range []string{"unknown", "../../app", ""} {
		if status, body := s.get("/setup/done?" + url.Values{"code": {code}, "state": {state}}.Encode()); status != http.StatusBadGateway || !strings.Contains(body, "did not work") {
			t.Errorf("%q: %d %s", code, status, body)
		}
	}
	code, _ := s.gh.MakeApp("my-cromt")
	if status, body := s.get("/setup/done?" + url.Values{"code": {code}, "state": {state}}.Encode()); status != http.StatusOK {
		t.Errorf("the right one: %d %s", status, body)
	}
}

// What is there stays as it is; when the files cannot be written, the keys,
// which GitHub hands out once, are not lost.
func TestSetupFiles(t *testing.T) {
	for _, name := range []string{"bot.yaml", "app.pem", "webhook.secret", "client.secret"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := setup.New(setup.Config{File: filepath.Join(dir, "bot.yaml")}); err == nil || !strings.Contains(err.Error(), name+" is there already") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := setup.New(setup.Config{File: filepath.Join(t.TempDir(), "no", "bot.yaml")}); err == nil {
		t.Error("a folder that is not there")
	}
	s := newSite(t, nil)
	target, _ := s.send(form())
	code, made := s.gh.MakeApp("my-cromt")
	done := "/setup/done?" + url.Values{"code": {code}, "state": {target.Query().Get("state")}}.Encode()
	other := filepath.Join(s.dir, "client.secret")
	if err := os.WriteFile(other, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, body := s.get(done); status != http.StatusBadGateway || !strings.Contains(body, "reload this page") {
		t.Errorf("%d %s", status, body)
	}
	if text, _ := os.ReadFile(other); string(text) != "mine" {
		t.Errorf("overwritten: %s", text)
	}
	if entries, _ := os.ReadDir(s.dir); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
	os.Remove(other)
	if status, body := s.get(done); status != http.StatusOK {
		t.Errorf("%d %s", status, body)
	}
	if text, _ := os.ReadFile(filepath.Join(s.dir, "client.secret")); strings.TrimSpace(string(text)) != made.ClientSecret {
		t.Errorf("client.secret: %s", text)
	}
}
