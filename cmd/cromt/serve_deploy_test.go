//go:build unix

package main

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const deployDir = "../../.github/deploy"

// The flags that the unit, the compose file and the handbook name exist, and
// so do the keys of the configuration.
func TestDeployFlags(t *testing.T) {
	help, err := exec.Command("cromt", "serve", "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	known := regexp.MustCompile(`--[a-z-]+`).FindAllString(string(help), -1)
	for _, name := range []string{filepath.Join(deployDir, "cromt.service"), filepath.Join(deployDir, "compose.yaml"), "../../.github/APP.md"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for line := range strings.Lines(string(text)) {
			_, after, ok := strings.Cut(line, "cromt serve ")
			if !ok {
				if _, after, ok = strings.Cut(line, "command: [serve, "); !ok {
					continue
				}
			}
			for _, flag := range regexp.MustCompile(`--[a-z-]+`).FindAllString(after, -1) {
				if n++; !slices.Contains(known, flag) {
					t.Errorf("%s: serve has no %s", name, flag)
				}
			}
		}
		if n == 0 {
			t.Errorf("%s names no flag", name)
		}
	}
}

// systemd takes the unit, with the binary where it is here.
func TestDeployUnit(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(deployDir, "cromt.service"))
	if err != nil {
		t.Fatal(err)
	}
	binary, err := exec.LookPath("cromt")
	if err != nil {
		t.Fatal(err)
	}
	unit := filepath.Join(t.TempDir(), "cromt.service")
	if err := os.WriteFile(unit, []byte(strings.Replace(string(text), "/usr/local/bin/cromt", binary, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		return // it is of no use there
	}
	if out, err := exec.Command("systemd-analyze", "verify", unit).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

// Compose takes the file, and nothing of it runs without an image.
func TestDeployCompose(t *testing.T) {
	dir := t.TempDir()
	text, err := os.ReadFile(filepath.Join(deployDir, "compose.yaml"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "compose.yaml"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("docker-compose"); err != nil {
		return // it is of no use there
	}
	config := func(env ...string) ([]byte, error) {
		cmd := exec.Command("docker-compose", "-f", filepath.Join(dir, "compose.yaml"), "config")
		cmd.Env = append(os.Environ(), env...)
		return cmd.CombinedOutput()
	}
	if out, err := config("CROMT_IMAGE=example/cromt:v1"); err != nil || !strings.Contains(string(out), "image: example/cromt:v1") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := config("CROMT_IMAGE="); err == nil {
		t.Errorf("without an image:\n%s", out)
	}
}

// The metrics and keys of the configuration in the handbook are there.
func TestHandbook(t *testing.T) {
	t.Parallel()
	s := newAppSite(t, "")
	sha := strings.Repeat("a", 40)
	s.push(sha, map[string]string{"jobs.yaml": s.onHosts("echo hello\n", "")})
	s.concluded("cromt", sha)
	text, err := os.ReadFile("../../.github/APP.md")
	if err != nil {
		t.Fatal(err)
	}
	metrics := func() string {
		r, err := http.Get("http://" + s.addr + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	s.eventually("the hosts are looked at", func() bool { return strings.Count(metrics(), "\ncromt_host_up") == 2 })
	got := metrics()
	names := regexp.MustCompile("`(cromt_[a-z_]+)`").FindAllStringSubmatch(string(text), -1)
	if len(names) < 10 {
		t.Errorf("only %d metrics", len(names))
	}
	for _, m := range names {
		// A failure that did not happen is not counted.
		if !strings.Contains(got, "# TYPE "+m[1]+" ") && m[1] != "cromt_host_failures_total" {
			t.Errorf("there is no metric %s", m[1])
		}
	}
	// Those that are wrong are named by the configuration's own check.
	var config strings.Builder
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(string(text), -1) {
		if strings.HasPrefix(row[1], "cromt_") {
			continue
		}
		config.WriteString(row[1] + ": x\n")
	}
	if strings.Count(config.String(), "\n") < 9 {
		t.Fatalf("keys:\n%s", &config)
	}
	s.file("keys.yaml", config.String())
	out, err := exec.Command("cromt", "serve", "--config", filepath.Join(s.dir, "keys.yaml"), "--check").CombinedOutput()
	if err == nil || strings.Contains(string(out), "unknown key") {
		t.Errorf("%v\n%s", err, out)
	}
}
