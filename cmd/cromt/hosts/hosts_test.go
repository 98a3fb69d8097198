package hosts_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cromt/cromt/cmd/cromt/hosts"
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
