package sparky_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/cromt/cromt/sparky"
)

func TestCredentialFor(t *testing.T) {
	list := []sparky.CloneCredential{
		{Prefix: "https://github.com/", Token: "server"},
		{Prefix: "https://github.com/owner", Token: "owner"},
		{Prefix: "https://GitHub.com/owner/repo.git", Token: "repo"},
		{Prefix: "https://git.example:8443/a/", Token: "port"},
		{Prefix: "https://none.example/", Token: " "},
		{Prefix: "http://plain.example/", Token: "plain"},
		{Prefix: "https://bad.example/x?y", Token: "query"},
		{Prefix: "", Token: "nothing"},
	}
	for url, want := range map[string]string{
		"https://github.com/x/y":               "server",
		"https://github.com:443/x/y":           "server",
		"HTTPS://GITHUB.COM/x/y":               "server",
		"https://git@github.com/x/y":           "server",
		"https://github.com/owner/other":       "owner",
		"https://github.com/owner2/repo":       "server",
		"https://github.com/Owner/repo":        "server",
		"https://github.com/owner/repo":        "repo",
		"https://github.com/owner/repo.git/":   "repo",
		"https://github.com/owner/repo2":       "owner",
		"https://git.example:8443/a/b":         "port",
		"https://git.example:8443/ab":          "",
		"https://git.example/a/b":              "",
		"https://none.example/a":               "",
		"http://plain.example/a":               "",
		"https://plain.example/a":              "",
		"https://bad.example/x/z":              "",
		"http://github.com/owner/repo":         "",
		"https://github.com.evil.example/x/y":  "",
		"https://github.com@evil.example/x/y":  "",
		"https://me:word@github.com/x/y":       "",
		"https://github.com/owner/../x":        "",
		"https://github.com/owner/%2e%2e/x":    "",
		"https://github.com/owner%2frepo":      "",
		"https://github.com//owner//repo":      "",
		"https://github.com/owner/repo?x":      "",
		"https://github.com/owner/repo#":       "",
		"https://github.com/owner/re%0apo":     "",
		`https://github.com/\evil.example/x`:   "",
		"git@github.com:owner/repo":            "",
		"ssh://git@github.com/owner/repo":      "",
		"file:///github.com/owner/repo":        "",
		"https:///owner/repo":                  "",
		"https://evil.example/github.com/x":    "",
		"https://github.com:4430/owner/repo":   "",
		"https://github.com./owner/repo":       "",
		"https://api.github.com/owner/repo":    "",
		"https://github.com\n.example/x/y":     "",
		"https://github.com /owner/repo":       "",
		"https://github.com/owner/repo/../../": "",
	} {
		c, ok := sparky.CredentialFor(list, url)
		if c.Token != want || ok != (want != "") {
			t.Errorf("%q: %q, %v, want %q", url, c.Token, ok, want)
		}
		if env := sparky.GitAuth(url, "eDp5"); want != "" && env == nil {
			t.Errorf("%q: git is not told", url)
		}
	}
}

func TestGitAuth(t *testing.T) {
	c := sparky.CloneCredential{Token: "sesame\n"}
	if c.Basic() != "eC1hY2Nlc3MtdG9rZW46c2VzYW1l" { // x-access-token:sesame
		t.Error(c.Basic())
	}
	c.Username = "me"
	got := sparky.GitAuth("https://git@h.example/o/r.git", c.Basic())
	const key = "http.https://h.example/o/r.git."
	want := []string{
		"GIT_CONFIG_COUNT=3", "GIT_CONFIG_KEY_0=" + key + "extraHeader", "GIT_CONFIG_VALUE_0=",
		"GIT_CONFIG_KEY_1=" + key + "extraHeader", "GIT_CONFIG_VALUE_1=Authorization: Basic bWU6c2VzYW1l",
		"GIT_CONFIG_KEY_2=" + key + "followRedirects", "GIT_CONFIG_VALUE_2=false",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s", strings.Join(got, "\n"))
	}
	for _, url := range []string{"http://h.example/o/r", "ssh://h.example/o/r", "/o/r", "https://a:b@h.example/o/r"} {
		if got := sparky.GitAuth(url, c.Basic()); got != nil {
			t.Errorf("%s: %q", url, got)
		}
	}
	if got := sparky.GitAuth("https://h.example/o/r", ""); got != nil {
		t.Errorf("nothing to show: %q", got)
	}
}
