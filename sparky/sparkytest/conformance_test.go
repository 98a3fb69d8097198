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

// TestConformance tests our agent, and the host that SPARKY_URL names: see
// doc.go for it and the variables beside it.
func TestConformance(t *testing.T) {
	targets := map[string]func(*testing.T) sparkytest.Target{
		"agent":                           func(t *testing.T) sparkytest.Target { return agentTarget(t, "", false) },
		"agent with token":                func(t *testing.T) sparkytest.Target { return agentTarget(t, "s3cret-t0ken", false) },
		"agent with token, users and TLS": func(t *testing.T) sparkytest.Target { return agentTarget(t, "s3cret-t0ken", true) },
	}
	if url := os.Getenv("SPARKY_URL"); url != "" {
		targets["sparky"] = func(*testing.T) sparkytest.Target {
			ours := os.Getenv("SPARKY_IS_CROMT") != ""
			target := sparkytest.Target{
				Host: sparky.HostConfig{URL: url, Token: os.Getenv("SPARKY_TOKEN"), InsecureSkipVerify: true},
				Real: !ours, Job: sparkytest.SparkyJob, Patience: 3 * time.Minute, Project: os.Getenv("SPARKY_TEST_PROJECT"),
				Login: os.Getenv("SPARKY_LOGIN"), Password: os.Getenv("SPARKY_PASSWORD"),
			}
			if ours {
				target.Job = sparkytest.DirectJob
			} else if target.Login == "" {
				target.Login, target.Password = "admin", "admin" // as it is installed
			}
			return target
		}
	}
	for name, target := range targets {
		t.Run(name, func(t *testing.T) { sparkytest.Run(t, target(t)) })
	}
}

func agentTarget(t *testing.T, token string, secure bool) sparkytest.Target {
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
	cfg := agent.Config{Root: t.TempDir(), Token: token, MaxJobs: 4, Version: "test"}
	target := sparkytest.Target{Project: "manual"}
	folder := filepath.Join(cfg.Root, "projects", target.Project)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	sparrowfile, _ := sparkytest.DirectJob(sparkytest.Succeeds)
	for name, text := range map[string]string{"sparrowfile": sparrowfile, "sparky.yaml": "allow_manual_run: true\n"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if secure {
		target.Login, target.Password = "admin", "correct horse"
		cfg.Users, cfg.TLS = filepath.Join(t.TempDir(), "users"), true
		if err := agent.AddUser(cfg.Users, target.Login, target.Password); err != nil {
			t.Fatal(err)
		}
	}
	a, err := agent.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(a)
	if secure {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := a.Close(ctx); err != nil {
			t.Error(err)
		}
		srv.Close()
	})
	target.Host = sparky.HostConfig{URL: srv.URL, Token: token, InsecureSkipVerify: secure}
	target.Job = func(k sparkytest.JobKind) (string, any) {
		return "", sparky.Spec{
			Cromt: sparky.SpecVersion, Source: sparky.SpecSource{Kind: sparky.SpecDir, Dir: dir},
			Actions: []string{map[sparkytest.JobKind]string{sparkytest.Succeeds: "ok", sparkytest.Fails: "fail", sparkytest.Sleeps: "sleep"}[k]},
			Options: []string{}, Env: map[string]string{},
		}
	}
	return target
}
