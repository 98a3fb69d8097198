package sparkytest_test

import (
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/agent"
	"github.com/cromt/cromt/sparky/sparkytest"
)

// TestConformance tests our agent, and a real Sparky when SPARKY_URL names
// one (SPARKY_TOKEN is its token).
func TestConformance(t *testing.T) {
	targets := map[string]func(*testing.T) sparkytest.Target{
		"agent":            func(t *testing.T) sparkytest.Target { return agentTarget(t, "") },
		"agent with token": func(t *testing.T) sparkytest.Target { return agentTarget(t, "s3cret-t0ken") },
	}
	if url := os.Getenv("SPARKY_URL"); url != "" {
		targets["sparky"] = func(*testing.T) sparkytest.Target {
			return sparkytest.Target{
				Host: sparky.HostConfig{URL: url, Token: os.Getenv("SPARKY_TOKEN"), InsecureSkipVerify: true},
				Real: true, Job: sparkytest.SparkyJob, Patience: 3 * time.Minute,
			}
		}
	}
	for name, target := range targets {
		t.Run(name, func(t *testing.T) { sparkytest.Run(t, target(t)) })
	}
}

func agentTarget(t *testing.T, token string) sparkytest.Target {
	dir := t.TempDir()
	for name, text := range map[string]string{"ok": "echo conformance", "fail": "echo conformance; exit 3", "sleep": "echo conformance; exec sleep 120"} {
		path := filepath.Join(dir, ".tom", name+".bash")
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a, err := agent.Open(agent.Config{Root: t.TempDir(), Token: token, MaxJobs: 4, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(a)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := a.Close(ctx); err != nil {
			t.Error(err)
		}
		srv.Close()
	})
	return sparkytest.Target{
		Host: sparky.HostConfig{URL: srv.URL, Token: token},
		Job: func(k sparkytest.JobKind) (string, any) {
			return "", sparky.Spec{
				Cromt: sparky.SpecVersion, Source: sparky.SpecSource{Kind: sparky.SpecDir, Dir: dir},
				Actions: []string{map[sparkytest.JobKind]string{sparkytest.Succeeds: "ok", sparkytest.Fails: "fail", sparkytest.Sleeps: "sleep"}[k]},
				Options: []string{}, Env: map[string]string{},
			}
		},
	}
}
