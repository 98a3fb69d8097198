package hosts_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cromt/cromt/cmd/cromt/hosts"
	"github.com/cromt/cromt/flow"
)

const file = `
- url: https://HostA:4000/
  name: big-one
  token_file: a.token
  slots: 3
- url: http://127.0.0.1:4000
  token_file: ~/home.token
- url: https://secure
  ca_file: ca.pem
- url: https://broken
  token_file: nosuch
- url: https://empty
  token_file: empty.token
`

func load(t *testing.T) *hosts.Book {
	t.Helper()
	dir, home := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{
		filepath.Join(dir, "hosts.yaml"): file, filepath.Join(dir, "a.token"): " sesame\n",
		filepath.Join(dir, "ca.pem"): "PEM", filepath.Join(dir, "empty.token"): "\n", filepath.Join(home, "home.token"): "mine",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b, err := hosts.Load(filepath.Join(dir, "hosts.yaml"), true, home)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestConfig(t *testing.T) {
	b := load(t)
	c, err := b.Config("https://hosta:4000")
	if err != nil || c.URL != "https://hosta:4000" || c.Name != "big-one" || c.Token != "sesame" || c.Slots != 3 {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err = b.Config("http://127.0.0.1:4000"); err != nil || c.Token != "mine" {
		t.Errorf("token below ~: %q, %v", c.Token, err)
	}
	if c, err = b.Config("https://secure:443"); err != nil || string(c.CA) != "PEM" {
		t.Errorf("ca: %q, %v", c.CA, err)
	}
	if c, err = b.Config("https://unknown"); err != nil || c.Token != "" {
		t.Errorf("unknown: %+v, %v", c, err)
	}
	for u, want := range map[string]string{
		"https://broken": "hosts.yaml:10:3: token_file: open ", "https://empty": "hosts.yaml:12:3: token_file empty.token is empty",
	} {
		if _, err := b.Config(u); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", u, err)
		}
	}
	if got := b.Name("https://HOSTA:4000"); got != "big-one" {
		t.Errorf("name %q", got)
	}
}

func TestTokenSecret(t *testing.T) {
	b, err := hosts.Parse("hosts", []byte(`
- {url: https://a, token_secret: A_TOKEN, public_port: ok}
- {url: https://b, token_secret: B_TOKEN}
`), "")
	if err != nil {
		t.Fatal(err)
	}
	const want = "hosts:2:3: secret A_TOKEN, the token of https://a, has no value; set CROMT_SECRET_A_TOKEN or give --secret-file A_TOKEN=FILE; in a workflow, list it in the secrets of the step"
	if _, err := b.Config("https://a"); err == nil || err.Error() != want {
		t.Errorf("without secrets: %v", err)
	}
	b.Secrets(func(name string) string { return map[string]string{"A_TOKEN": "sesame\n", "B_TOKEN": " \n"}[name] })
	if c, err := b.Config("https://a"); err != nil || c.Token != "sesame" || !c.PublicPort {
		t.Errorf("%+v, %v", c, err)
	}
	var list flow.ErrorList
	if c, err := b.Config("https://b"); !errors.As(err, &list) || list[0].Pos.Line != 3 {
		t.Errorf("white space: %q, %v", c.Token, err)
	}
	if err := b.SetToken("https://b=mine"); err != nil {
		t.Fatal(err)
	}
	if c, err := b.Config("https://b"); err != nil || c.Token != "mine" || c.PublicPort {
		t.Errorf("--host-token goes first: %+v, %v", c, err)
	}
	if e, ok := b.Entry("https://A:443/"); !ok || e.TokenSecret != "A_TOKEN" {
		t.Errorf("%+v, %v", e, ok)
	}
	if _, ok := b.Entry("https://c"); ok {
		t.Error("there is no such entry")
	}
	if _, err := hosts.Parse("hosts", []byte("url: https://a"), ""); err == nil || !strings.HasPrefix(err.Error(), "hosts:1:1: ") {
		t.Errorf("%v", err)
	}
}

func TestSetToken(t *testing.T) {
	b := load(t)
	if err := b.SetToken("https://HOSTA:4000=a=b="); err != nil {
		t.Fatal(err)
	}
	if c, err := b.Config("https://hosta:4000"); err != nil || c.Token != "a=b=" {
		t.Errorf("token %q, %v", c.Token, err)
	}
	for _, bad := range []string{"hunter2", "=hunter2", "https://h=", "h=hunter2"} {
		if err := b.SetToken(bad); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestLoad(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "nosuch")
	if _, err := hosts.Load(missing, false, ""); err != nil {
		t.Errorf("default that does not exist: %v", err)
	}
	if _, err := hosts.Load(missing, true, ""); err == nil {
		t.Error("asked for, and does not exist: no error")
	}
}

func TestKey(t *testing.T) {
	for in, want := range map[string]string{
		"https://A.example/": "https://a.example", "HTTP://a:80": "http://a", "https://a:443/": "https://a",
		"https://a:4430": "https://a:4430", "http://[::1]:4000": "http://[::1]:4000", "not a url": "not a url",
	} {
		if got := hosts.Key(in); got != want {
			t.Errorf("Key(%s) = %s, want %s", in, got, want)
		}
	}
}
