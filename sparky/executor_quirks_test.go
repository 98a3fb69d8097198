package sparky_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/sparkytest"
)

// TestExecReportNeverThere: one byte that is not UTF-8 takes the report away
// for ever, but neither the state nor the artifacts.
func TestExecReportNeverThere(t *testing.T) {
	tests := []struct {
		name       string
		exit       int
		conclusion flow.Conclusion
		cause      flow.Cause
		err        string
	}{
		{"success", 0, flow.Success, "", ""},
		{"failure", 7, flow.Failure, flow.CauseTask, "its report cannot be had"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				fake := sparkytest.NewFake(sparkytest.FakeConfig{Run: func(j *sparkytest.FakeJob) int {
					j.Printf("before\r\n")
					j.Sleep(30 * time.Second)
					j.Printf("caf\xe9\r\n")
					j.Keep("patch.sql", []byte("made"))
					return tt.exit
				}})
				t.Cleanup(fake.Close)
				b := newBench(t, sparky.ExecutorConfig{}, map[string]http.Handler{testHost: fake})
				a := attempt("j1", "hello")
				a.Job.Out = []flow.Output{{File: "patch.sql", Path: "out/patch.sql"}}
				var log bytes.Buffer
				begun := time.Now()
				res, err := b.Exec(t.Context(), a, &log)
				if err != nil || res.Conclusion != tt.conclusion || res.Cause != tt.cause || !strings.Contains(res.Error, tt.err) {
					t.Errorf("%+v, %v", res, err)
				}
				if tt.exit == 0 && (len(res.Artifacts) != 1 || res.Artifacts[0].Bytes != 4) {
					t.Errorf("artifacts %+v", res.Artifacts)
				}
				if !strings.HasPrefix(log.String(), "before\ncromt: the rest of the report cannot be had: ") {
					t.Errorf("log %q", log.String())
				}
				if took := time.Since(begun); took > time.Minute {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// TestExecReportHangs: one request for a job's state fails, the next one is
// answered, and then its report hangs. Its host has answered meanwhile.
func TestExecReportHangs(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		status, report := after(10, "GET /status/", sparkytest.Status500), once(1, "GET /report/", sparkytest.Hang)
		failed := false
		b := newBench(t, sparky.ExecutorConfig{}, map[string]http.Handler{testHost: sparkytest.WithFaults(newFake(t), func(r *http.Request) sparkytest.Fault {
			if failed {
				return report(r)
			}
			f := status(r)
			failed = f != sparkytest.NoFault
			return f
		})})
		res, err := b.Exec(t.Context(), attempt("j1", "sleep=600"), nil)
		if err != nil || res.Conclusion != flow.Success || !failed {
			t.Errorf("%+v, %v; a state failed: %t", res, err, failed)
		}
	})
}

// TestExecSlowScheduler: a Sparky looks at its queues every ten seconds, takes
// one job of a queue at a time, and any of those that wait.
func TestExecSlowScheduler(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var mu sync.Mutex
		var order []string
		running := 0
		fake := sparkytest.NewFake(sparkytest.FakeConfig{Scan: 10 * time.Second, Start: 2 * time.Second, Run: func(j *sparkytest.FakeJob) int {
			mu.Lock()
			order = append(order, j.ID)
			running++
			if running > 1 {
				t.Errorf("%v run at once", order)
			}
			mu.Unlock()
			defer func() { mu.Lock(); running--; mu.Unlock() }()
			j.Printf("this is %s\r\n", j.ID)
			return sparkytest.RunSpec(j)
		}})
		t.Cleanup(fake.Close)
		b := newBench(t, sparky.ExecutorConfig{}, map[string]http.Handler{testHost: fake})
		begun := time.Now()
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				a := attempt(fmt.Sprintf("j%d", i), "sleep=1")
				a.Job.Queue = "one"
				var log bytes.Buffer
				res, err := b.Exec(t.Context(), a, &log)
				if err != nil || res.Conclusion != flow.Success || !strings.HasPrefix(log.String(), "this is "+a.JobID+"\n") {
					t.Errorf("%s: %+v, %v, log %q", a.JobID, res, err, log.String())
				}
			})
		}
		wg.Wait()
		if took := time.Since(begun); len(order) != 6 || took > 75*time.Second {
			t.Errorf("%v in %v", order, took)
		}
	})
}

// TestExecNeverScheduled: no scheduler looks at the queue, so that the job is
// -2 for ever, and its project, which has never run, cannot cancel it.
func TestExecNeverScheduled(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		fake := sparkytest.NewFake(sparkytest.FakeConfig{Scan: 1000 * time.Hour})
		t.Cleanup(fake.Close)
		b := newBench(t, sparky.ExecutorConfig{}, map[string]http.Handler{testHost: fake})
		a := attempt("j1", "hello")
		a.QueueTimeout = time.Minute
		begun := time.Now()
		res, err := b.Exec(t.Context(), a, nil)
		if err != nil || res.Conclusion != flow.Failure || res.Cause != flow.CauseInfrastructure || !res.Lost ||
			!strings.Contains(res.Error, "waited 1m0s in the queue of "+testHost) || !strings.Contains(res.Error, "may still start") {
			t.Errorf("%+v, %v", res, err)
		}
		if took := time.Since(begun); took > a.QueueTimeout+sparky.DefaultCancelWait+time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// TestExecDeadRunner: the job's runner was killed, so that it is 0 for ever,
// whatever the host is asked for.
func TestExecDeadRunner(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		tested := make(chan struct{})
		fake := sparkytest.NewFake(sparkytest.FakeConfig{Run: func(*sparkytest.FakeJob) int { <-tested; return 0 }})
		t.Cleanup(fake.Close)
		t.Cleanup(sync.OnceFunc(func() { close(tested) }))
		b := newBench(t, sparky.ExecutorConfig{}, map[string]http.Handler{testHost: fake})
		a := attempt("j1", "hello")
		a.Timeout = time.Minute
		begun := time.Now()
		res, err := b.Exec(t.Context(), a, nil)
		if err != nil || res.Conclusion != flow.TimedOut || res.Cause != flow.CauseTimeout || !strings.Contains(res.Error, "it may still run") {
			t.Errorf("%+v, %v", res, err)
		}
		if took := time.Since(begun); took > 3*time.Minute {
			t.Errorf("it took %v", took)
		}
	})
}

// TestExecForgotten: the host forgets jobs when others of their project have
// ended (keep_builds). One that has started is not sent again.
func TestExecForgotten(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		fake := sparkytest.NewFake(sparkytest.FakeConfig{Token: "t0ken-of-host", Keep: 1})
		t.Cleanup(fake.Close)
		b := newBench(t, sparky.ExecutorConfig{}, map[string]http.Handler{testHost: fake})
		old := attempt("j1", "hello")
		if res, err := b.Exec(t.Context(), old, nil); err != nil || res.Conclusion != flow.Success {
			t.Fatalf("%+v, %v", res, err)
		}
		next := attempt("j2", "hello")
		next.Job.Queue = old.Job.Queue
		if res, err := b.Exec(t.Context(), next, nil); err != nil || res.Conclusion != flow.Success {
			t.Fatalf("%+v, %v", res, err)
		}
		old.Resumed, old.SentAt, old.StartedAt = true, time.Now().Add(-time.Minute), time.Now().Add(-50*time.Second)
		res, err := b.Exec(t.Context(), old, nil)
		if err != nil || !res.Lost || res.Cause != flow.CauseInfrastructure || !strings.Contains(res.Error, "does not know the job any more") {
			t.Errorf("%+v, %v", res, err)
		}
		if n := fake.Runs(old.Job.Queue, old.JobID); n != 1 {
			t.Errorf("it ran %d times", n)
		}
	})
}

// TestExecSparrowdo: how a Sparky is told to run the job.
func TestExecSparrowdo(t *testing.T) {
	type options = map[string]any
	with := func(more options) options {
		all := options{"no_sudo": true, "no_index_update": true, "repo": sparky.DefaultSparrowRepo}
		maps.Copy(all, more)
		return all
	}
	container := options{"docker": "alpine", "image": "alpine:3.19", "no_sudo": true}
	machine := options{"host": "10.0.0.5", "ssh_user": "deploy", "ssh_port": "2222", "ssh_private_key": "~/.ssh/id_ed25519", "bootstrap": true}
	sudo := with(options{"sudo": true})
	delete(sudo, "no_sudo")
	tests := []struct {
		name       string
		have, want options
		api        string
	}{
		{"plain", nil, with(nil), ""},
		{"a container", container, with(container), testHost},
		{"another machine", machine, with(machine), testHost},
		{"sudo", options{"sudo": true}, sudo, ""},
		{"own settings win", options{"repo": "http://plugins/repo", "no_index_update": false}, with(options{"repo": "http://plugins/repo", "no_index_update": false}), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				var got sparky.QueueRequest
				var spec sparky.Spec
				fake := sparkytest.NewFake(sparkytest.FakeConfig{Token: "t0ken-of-host", Run: func(j *sparkytest.FakeJob) int {
					got, spec = j.Request, sparky.Spec{}
					if err := json.Unmarshal(got.SparrowdoConfig, &spec); err != nil {
						t.Error(err)
					}
					return sparkytest.RunSpec(j)
				}})
				t.Cleanup(fake.Close)
				b := newBench(t, sparky.ExecutorConfig{}, map[string]http.Handler{testHost: fake})
				a := attempt("j1", "hello")
				a.Job.Sparrowdo = tt.have
				a.Job.Title = `it's "$(id)" \ #1 é`
				if res, err := b.Exec(t.Context(), a, nil); err != nil || res.Conclusion != flow.Success {
					t.Fatalf("%+v, %v", res, err)
				}
				if !reflect.DeepEqual(got.Config.Sparrowdo, tt.want) {
					t.Errorf("sparrowdo %v, want %v", got.Config.Sparrowdo, tt.want)
				}
				if got.Config.Description != "it s    id     #1 é" || string(got.Trigger) != "{}" || got.Sparrowfile != sparky.Sparrowfile {
					t.Errorf("description %q, trigger %s, sparrowfile of %d bytes", got.Config.Description, got.Trigger, len(got.Sparrowfile))
				}
				for k, v := range got.Config.Tags {
					if strings.ContainsFunc(k+v, func(r rune) bool { return r > '~' || strings.ContainsRune(" '\"$`\\,=;&|<>()*?#", r) }) {
						t.Errorf("tag %s=%s reaches a shell", k, v)
					}
				}
				if spec.API != tt.api || spec.Insecure {
					t.Errorf("API %q, insecure %v, want %q", spec.API, spec.Insecure, tt.api)
				}
			})
		})
	}
}

// TestCheckToken asks for a trigger, which is what a Sparky guards without
// doing anything.
func TestCheckToken(t *testing.T) {
	fake := newFake(t)
	for token, want := range map[string]sparky.Kind{"t0ken-of-host": 0, "another": sparky.KindRefused, "": sparky.KindRefused} {
		c, err := sparky.NewClient(sparky.HostConfig{URL: testHost, Token: token, Dial: sparkytest.Serve(t, fake)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.CloseIdle)
		if err := c.CheckToken(t.Context()); sparky.KindOf(err) != want {
			t.Errorf("%q: %v", token, err)
		}
	}
}
