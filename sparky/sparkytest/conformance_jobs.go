package sparkytest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/sparky"
)

func (s *suite) success(t *testing.T) {
	project, id := s.id("ok"), s.id("ok")
	s.queue(t, project, id, Succeeds)
	s.until(t, project, id, sparky.CodeOK)
	if text := s.report(t, project, id); !strings.Contains(text, "conformance") {
		t.Errorf("report %q", text)
	}
	if err := s.cancel(t.Context(), project, id); err != nil {
		t.Errorf("cancel of an ended job: %v", err)
	}
	if code := s.status(t, project, id); code != sparky.CodeOK {
		t.Errorf("a cancel changed the state of an ended job to %d", code)
	}
}

func (s *suite) failure(t *testing.T) {
	project, id := s.id("fail"), s.id("fail")
	s.queue(t, project, id, Fails)
	s.until(t, project, id, sparky.CodeFailed)
	if text := s.report(t, project, id); !strings.Contains(text, "conformance") {
		t.Errorf("report %q", text)
	}
}

// oneAtATime: the jobs of one project never overlap.
func (s *suite) oneAtATime(t *testing.T) {
	project := s.id("queue")
	first, second := s.id("q1"), s.id("q2")
	s.queue(t, project, first, Sleeps)
	s.until(t, project, first, sparky.CodeRunning)
	s.queue(t, project, second, Succeeds)
	if text := s.report(t, project, second); text != "build is queued, wait till it gets run\n" {
		t.Errorf("report of a queued job: %q", text)
	}
	if a := s.send(t, "GET", "/report_jid/"+project+"/"+second, ""); a.status != 404 {
		t.Errorf("report_jid of a queued job: %v", a)
	}
	wait(t.Context(), time.Second)
	if code := s.status(t, project, second); code != sparky.CodeQueued {
		t.Errorf("the second job is %d while the first one runs", code)
	}
	if err := s.cancel(t.Context(), project, first); err != nil {
		t.Fatal(err)
	}
	s.until(t, project, first, sparky.CodeCancelled, sparky.CodeFailed)
	s.until(t, project, second, sparky.CodeOK)
}

// parallel: jobs of two projects run at the same time.
func (s *suite) parallel(t *testing.T) {
	for _, name := range []string{"par1", "par2"} {
		s.queue(t, s.id(name), s.id(name), Sleeps)
	}
	for _, name := range []string{"par1", "par2"} {
		s.until(t, s.id(name), s.id(name), sparky.CodeRunning)
	}
	for _, name := range []string{"par1", "par2"} {
		if code := s.status(t, s.id(name), s.id(name)); code != sparky.CodeRunning {
			t.Errorf("%s is %d", name, code)
		}
		if err := s.cancel(t.Context(), s.id(name), s.id(name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"par1", "par2"} {
		s.until(t, s.id(name), s.id(name), sparky.CodeCancelled, sparky.CodeFailed)
	}
}

func (s *suite) cancel(ctx context.Context, project, id string) error {
	if s.Real {
		return s.client.CancelPlain(ctx, project, id)
	}
	return s.client.Cancel(ctx, project, id)
}

func (s *suite) cancelRunning(t *testing.T) {
	project, id := s.id("stop"), s.id("stop")
	s.queue(t, project, id, Sleeps)
	s.until(t, project, id, sparky.CodeRunning)
	if err := s.cancel(t.Context(), project, id); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	s.until(t, project, id, sparky.CodeCancelled)
	if took := time.Since(begun); took > sparky.DefaultCancelWait {
		t.Errorf("the cancel took %v", took)
	}
}

func (s *suite) cancelQueued(t *testing.T) {
	project := s.id("stopq")
	first, second := s.id("sq1"), s.id("sq2")
	s.queue(t, project, first, Sleeps)
	s.until(t, project, first, sparky.CodeRunning)
	s.queue(t, project, second, Sleeps)
	for _, id := range []string{second, first} {
		if err := s.cancel(t.Context(), project, id); err != nil {
			t.Fatal(err)
		}
	}
	s.until(t, project, first, sparky.CodeCancelled)
	s.until(t, project, second, sparky.CodeCancelled)
}

// extensions: a Sparky without them says so by 404, our agent has them all.
func (s *suite) extensions(t *testing.T) {
	hello, err := s.client.Hello(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.Real {
		if hello != nil {
			t.Errorf("a real Sparky said %+v", hello)
		}
		return
	}
	if hello == nil || hello.MaxJobs < 1 || hello.Agent == "" {
		t.Fatalf("hello is %+v", hello)
	}
	project, id := s.id("ext"), s.id("ext")
	s.queue(t, project, id, Sleeps)
	js := s.waitFor(t, project, id, func(js sparky.JobStatus) bool { return strings.Contains(string(js.Log), "conformance") })
	if js.State != sparky.CodeRunning || js.StartedAt.IsZero() || js.QueuedAt.IsZero() || js.StartedAt.Before(js.QueuedAt) {
		t.Errorf("running: %+v", js)
	}
	answer, err := s.client.Queue(t.Context(), s.request(project, id, Sleeps))
	if err != nil || !answer.Attached {
		t.Errorf("posted again while it runs: %+v, %v", answer, err)
	}
	begun := time.Now()
	again, err := s.client.Wait(t.Context(), project, id, js.State, js.LogSize, time.Second)
	if took := time.Since(begun); err != nil || again.State != js.State || len(again.Log) > 0 || took < 900*time.Millisecond {
		t.Errorf("without news: %+v, %v after %v", again, err, took)
	}
	if err := s.client.Cancel(t.Context(), project, id); err != nil {
		t.Fatal(err)
	}
	end := s.waitFor(t, project, id, func(js sparky.JobStatus) bool { return js.State.Ended() })
	if end.State != sparky.CodeCancelled || end.CompletedAt.Before(end.StartedAt) {
		t.Errorf("cancelled: %+v", end)
	}
	answer, err = s.client.Queue(t.Context(), s.request(project, id, Sleeps))
	if err != nil || !answer.Attached || s.status(t, project, id) != sparky.CodeCancelled {
		t.Errorf("posted again after its end: %+v, %v", answer, err)
	}
}

// waitFor long-polls from the beginning of the log until ok.
func (s *suite) waitFor(t *testing.T, project, id string, ok func(sparky.JobStatus) bool) sparky.JobStatus {
	t.Helper()
	state, offset := sparky.CodeQueued, int64(0)
	for end := time.Now().Add(s.Patience); time.Now().Before(end); {
		js, err := s.client.Wait(t.Context(), project, id, state, offset, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if ok(js) {
			return js
		}
		if js.State.Ended() && js.Offset == js.LogSize {
			t.Fatalf("it ended: %+v", js)
		}
		state, offset = js.State, js.Offset
	}
	t.Fatal("no news")
	return sparky.JobStatus{}
}
