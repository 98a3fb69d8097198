package sparkytest

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// GitServer serves the git repositories below a folder over HTTPS to those
// who sign in. It is curious: it notes who shows it what, and looks for it in
// the arguments of every process of the machine; and it tells those that it
// does not let in, and all at /tell.git, what they have shown.
type GitServer struct {
	URL string // https://127.0.0.1:port

	auth    string
	backend http.Handler
	cert    []byte

	mu     sync.Mutex
	moved  map[string]string
	shown  []string
	agents []string
	argv   []string
}

// NewGitServer serves the repositories below dir until the test ends. auth is
// base64 of the user:password to sign in with; "" lets everybody in.
func NewGitServer(t testing.TB, dir, auth string) *GitServer {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "git", "--exec-path").Output()
	if err != nil {
		t.Fatal(err)
	}
	s := &GitServer{auth: auth, moved: map[string]string{}, backend: &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(out)), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=" + os.DevNull},
	}}
	srv := httptest.NewTLSServer(s)
	t.Cleanup(srv.Close)
	s.URL = srv.URL
	s.cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	return s
}

// Trust makes git trust the server: that of the user with that home, and that
// with this process's environment.
func (s *GitServer) Trust(t testing.TB, home string) {
	t.Helper()
	file := filepath.Join(home, "git-server.pem")
	t.Setenv("GIT_SSL_CAINFO", file) // set for all on some machines, and stronger than settings
	config := fmt.Sprintf("[http]\n\tsslCAInfo = %s\n", file)
	for name, text := range map[string][]byte{file: s.cert, filepath.Join(home, ".gitconfig"): []byte(config)} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Move has requests for the repository at path redirected to another URL.
func (s *GitServer) Move(path, to string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moved[path] = to
}

// Shown returns the Authorization headers of the requests so far, "" of those
// that had none, and forgets them.
func (s *GitServer) Shown() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	shown := s.shown
	s.shown = nil
	return shown
}

// Agents returns the User-Agent headers of the requests so far.
func (s *GitServer) Agents() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.agents)
}

// Argv returns the command lines in which what was shown has been seen.
func (s *GitServer) Argv() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.argv)
}

func (s *GitServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	shown := strings.Join(r.Header.Values("Authorization"), ", ")
	password := ""
	if b, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(shown, "Basic ")); err == nil {
		_, password, _ = strings.Cut(string(b), ":")
	}
	seen := argvWith(strings.TrimPrefix(shown, "Basic "), password)
	s.mu.Lock()
	s.shown = append(s.shown, shown)
	s.agents = append(s.agents, r.UserAgent())
	s.argv = append(s.argv, seen...)
	to := ""
	for path, url := range s.moved {
		if rest, ok := strings.CutPrefix(r.URL.Path, path); ok {
			to = url + rest + "?" + r.URL.RawQuery
		}
	}
	s.mu.Unlock()
	switch {
	case to != "":
		http.Redirect(w, r, to, http.StatusMovedPermanently)
	case strings.HasPrefix(r.URL.Path, "/tell.git/"):
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		packet := "ERR you have shown " + shown + ", which is " + password
		fmt.Fprintf(w, "001e# service=git-upload-pack\n0000%04x%s", len(packet)+4, packet)
	case s.auth != "" && shown != "Basic "+s.auth:
		w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
		http.Error(w, "you have shown "+shown+", which is "+password, http.StatusUnauthorized)
	default:
		s.backend.ServeHTTP(w, r)
	}
}

// argvWith returns the command lines of processes that have one of the words.
func argvWith(words ...string) []string {
	var found []string
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is right
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		for _, word := range words {
			if word != "" && strings.Contains(string(line), word) {
				found = append(found, strings.ReplaceAll(string(line), "\x00", " "))
			}
		}
	}
	return found
}
