package gitrepo_test

import (
	"encoding/base64"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cromt/cromt/cmd/cromt/gitrepo"
	"github.com/cromt/cromt/sparky/sparkytest"
)

func TestResolveWith(t *testing.T) {
	dir, bare, home := newRepo(t), t.TempDir(), t.TempDir()
	git(t, dir, "clone", "-q", "--bare", ".", filepath.Join(bare, "r.git"))
	auth := gitrepo.Auth{Token: "ghs_0123456789abcdefghijklmnopqrstuvwxyz"}
	basic := base64.StdEncoding.EncodeToString([]byte("x-access-token:" + auth.Token))
	server, other := sparkytest.NewGitServer(t, bare, basic), sparkytest.NewGitServer(t, bare, "")
	server.Trust(t, home)
	plain := httptest.NewServer(server)
	t.Cleanup(plain.Close)
	server.Move("/moved.git", other.URL+"/r.git")
	// The checkout of a workflow signs in by itself, with a token that need
	// not be for this repository. A setting of the environment is kept.
	t.Chdir(dir)
	git(t, dir, "config", "http."+server.URL+"/.extraHeader", "Authorization: Basic bWU6b3RoZXI=")
	t.Setenv("GIT_CONFIG_COUNT", "1")
	t.Setenv("GIT_CONFIG_KEY_0", "http.userAgent")
	t.Setenv("GIT_CONFIG_VALUE_0", "kept/1.0")

	private := server.URL + "/r.git"
	head := git(t, dir, "rev-parse", "HEAD")
	if got, err := gitrepo.ResolveWith(t.Context(), private, "main", auth); err != nil || got != head {
		t.Errorf("%s, %v, want %s", got, err, head)
	}
	if shown := server.Shown(); !slices.Contains(shown, "Basic "+basic) || slices.ContainsFunc(shown, func(s string) bool { return s != "Basic "+basic }) {
		t.Errorf("the server was shown %q", shown)
	}
	if agents := server.Agents(); !slices.Contains(agents, "kept/1.0") {
		t.Errorf("user agents %q", agents)
	}
	if got, err := gitrepo.Resolve(t.Context(), private, "main"); err == nil || !strings.Contains(err.Error(), "Authentication failed") {
		t.Errorf("without: %s, %v", got, err)
	}
	if got, err := gitrepo.ResolveWith(t.Context(), server.URL+"/tell.git", "main", auth); err == nil || !strings.Contains(err.Error(), "you have shown Basic ***, which is ***") {
		t.Errorf("told what it was shown: %s, %v", got, err)
	}
	server.Shown()
	for _, url := range []string{server.URL + "/moved.git", plain.URL + "/r.git"} {
		if got, err := gitrepo.ResolveWith(t.Context(), url, "main", auth); err == nil {
			t.Errorf("%s: %s", url, got)
		}
	}
	if shown := server.Shown(); slices.Index(shown, "Basic "+basic) != 0 || slices.Contains(shown[1:], "Basic "+basic) {
		t.Errorf("the servers that redirect, and over http, were shown %q", shown)
	}
	if shown := other.Shown(); len(shown) > 0 {
		t.Errorf("the other server was shown %q", shown)
	}
	if argv := server.Argv(); len(argv) > 0 {
		t.Errorf("in the arguments of %q", argv)
	}
}
