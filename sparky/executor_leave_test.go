package sparky_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/agent"
)

// A run that is let go of leaves its job on the host, and the next process
// attaches to it.
func TestExecLeft(t *testing.T) {
	for name, after := range map[string]time.Duration{"queued": 500 * time.Millisecond, "running": 30 * time.Second, "before it is sent": 0} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				fake := newFake(t)
				b := newBench(t, sparky.ExecutorConfig{}, map[string]http.Handler{testHost: fake})
				ctx, leave := context.WithCancelCause(t.Context())
				var left time.Time
				time.AfterFunc(after, func() { left = time.Now(); leave(flow.ErrDetached) })
				a := attempt("j1", "sleep=60", "hello")
				var sent time.Time
				a.Sent = func(at time.Time) { sent = at }
				res, err := b.Exec(ctx, a, nil)
				if !errors.Is(err, flow.ErrDetached) || errors.Is(err, flow.ErrNotStarted) {
					t.Errorf("%+v, %v", res, err)
				}
				if took := time.Since(left); took > time.Second {
					t.Errorf("it took %v", took)
				}
				if sent.IsZero() != (after == 0) {
					t.Errorf("sent at %v", sent)
				}
				a.Resumed, a.SentAt = true, sent
				var log bytes.Buffer
				if res, err := b.Exec(t.Context(), a, &log); err != nil || res.Conclusion != flow.Success || !strings.Contains(log.String(), "Hello") {
					t.Errorf("resumed: %+v, %v, log %q", res, err, log.String())
				}
				if n := fake.Runs(a.Job.Queue, a.JobID); n != 1 {
					t.Errorf("it ran %d times", n)
				}
			})
		})
	}
}

// The beginning of a secret is not written by a process that lets go: the next
// one reads it again, from a place that it was told of.
func TestExecLeftSecret(t *testing.T) {
	a := dirAttempt(t, "j1", "hide")
	gate := filepath.Join(t.TempDir(), "gate")
	script := "echo begin; sleep 0.1; printf 'is secret-'; until [ -e " + gate + " ]; do sleep 0.02; done; echo word\n"
	if err := os.WriteFile(filepath.Join(a.Job.Source.Dir, ".tom", "hide.bash"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	b := newBench(t, sparky.ExecutorConfig{Secrets: map[string]string{"WORD": "secret-word"}}, map[string]http.Handler{testHost: newAgent(t, agent.Config{})})
	ctx, leave := context.WithCancelCause(t.Context())
	var offset int64 = -1
	var first strings.Builder
	a.Marked = func(at int64) { offset = at }
	_, err := b.Exec(ctx, a, writerFunc(func(p []byte) (int, error) {
		if strings.Contains(string(p), "is ") {
			time.AfterFunc(50*time.Millisecond, func() { leave(flow.ErrDetached) })
		}
		return first.Write(p)
	}))
	if !errors.Is(err, flow.ErrDetached) {
		t.Fatal(err)
	}
	if !strings.Contains(first.String(), "begin") || strings.Contains(first.String(), "secret") || offset < 0 {
		t.Errorf("log %q, marked at %d", first.String(), offset)
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	a.Resumed, a.Marked = true, nil
	var log bytes.Buffer
	if res, err := b.Exec(t.Context(), a, &log); err != nil || res.Conclusion != flow.Success {
		t.Errorf("%+v, %v", res, err)
	}
	if !strings.HasPrefix(log.String(), first.String()) || !strings.Contains(log.String(), "is "+flow.MaskText) || strings.Contains(log.String(), "word") {
		t.Errorf("log %q, before %q", log.String(), first.String())
	}
}

// Admit is asked for what the host is, before anything is sent.
func TestExecAdmit(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		fake := newFake(t)
		answer := errors.Join(flow.ErrRefused, errors.New("private code"))
		b := newBench(t, sparky.ExecutorConfig{Admit: func(_ context.Context, a flow.Attempt, agent bool) error {
			if agent || a.Job.Key != "hello@worker" || a.Host != testHost {
				t.Errorf("%s on %s: agent %t", a.Job.Key, a.Host, agent)
			}
			return answer
		}}, map[string]http.Handler{testHost: fake})
		a := attempt("j1", "hello")
		if _, err := b.Exec(t.Context(), a, nil); !errors.Is(err, flow.ErrRefused) || !errors.Is(err, flow.ErrNotStarted) || !strings.Contains(err.Error(), "private code") {
			t.Errorf("%v", err)
		}
		answer = errors.New("GitHub is down")
		if _, err := b.Exec(t.Context(), a, nil); errors.Is(err, flow.ErrRefused) || !errors.Is(err, flow.ErrNotStarted) {
			t.Errorf("%v", err)
		}
		if n := fake.Runs(a.Job.Queue, a.JobID); n != 0 {
			t.Errorf("it ran %d times", n)
		}
		answer = nil
		if res, err := b.Exec(t.Context(), a, nil); err != nil || res.Conclusion != flow.Success {
			t.Errorf("%+v, %v", res, err)
		}
	})
}

// CloneFor is asked when a repository is about to be cloned, and what it
// returns is masked.
func TestExecCloneFor(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		asked := 0
		b := newBench(t, sparky.ExecutorConfig{CloneFor: func(_ context.Context, repo string) (sparky.CloneCredential, error) {
			asked++
			if repo == "https://example.org/repo.git" {
				return sparky.CloneCredential{Prefix: repo, Token: cloneToken}, nil
			}
			return sparky.CloneCredential{}, nil
		}}, map[string]http.Handler{testHost: newFake(t)})
		trusted := b.hosts[testHost]
		trusted.PublicPort = true
		b.hosts[testHost] = trusted
		var log bytes.Buffer
		res, err := b.Exec(t.Context(), attempt("own", "print="+cloneToken), &log)
		if err != nil || res.Conclusion != flow.Success || strings.Contains(log.String(), cloneToken) || !strings.Contains(log.String(), flow.MaskText) {
			t.Errorf("%+v, %v, log %q", res, err, log.String())
		}
		dir := attempt("dir", "hello")
		dir.Job.Source = flow.Source{Kind: flow.SourceDir, Dir: "/x"}
		open := attempt("open", "hello")
		open.Job.Source = flow.Source{Kind: flow.SourceGit, URL: "https://example.org/open"}
		for _, a := range []flow.Attempt{dir, open} {
			if res, err := b.Exec(t.Context(), a, nil); err != nil || res.Conclusion != flow.Success {
				t.Errorf("%s: %+v, %v", a.JobID, res, err)
			}
		}
		if asked != 2 {
			t.Errorf("asked %d times", asked)
		}
	})
}
