package store_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/flow/flowtest"
)

func claim(t testing.TB, s *store.Store, run string) *store.Claim {
	t.Helper()
	c, err := s.Claim(t.Context(), run)
	must(t, err)
	return c
}

// What the database did not take when it was let go of can be taken again by
// the same process: its lease does not end. What it has in hand cannot.
func TestClaimNotReleased(t *testing.T) {
	each(t, func(t *testing.T, address string) {
		s := open(t, address)
		create(t, s, aRun(1))
		away, cancel := context.WithCancel(t.Context())
		cancel()
		first := claim(t, s, "run-10001")
		if err := first.Release(away); err == nil {
			t.Fatal("released without a database")
		}
		second := claim(t, s, "run-10001")
		must(t, first.Release(t.Context()))
		if _, err := s.Claim(t.Context(), "run-10001"); !errors.Is(err, store.ErrClaimed) {
			t.Errorf("claimed twice: %v", err)
		}
		must(t, second.Release(t.Context()))
		if err := claim(t, s, "run-10001").Release(t.Context()); err != nil {
			t.Error(err)
		}

		d, err := s.TakeDuty(t.Context(), "dishes", 0)
		must(t, err)
		if err := d.Release(away); err == nil {
			t.Fatal("released without a database")
		}
		again, err := s.TakeDuty(t.Context(), "dishes", 0)
		if err != nil || again == nil {
			t.Fatalf("%v, %v", again, err)
		}
		if third, err := s.TakeDuty(t.Context(), "dishes", 0); err != nil || third != nil {
			t.Errorf("%v, %v", third, err)
		}
	})
}

func TestClaim(t *testing.T) {
	each(t, func(t *testing.T, address string) {
		s := open(t, address)
		create(t, s, aRun(1))
		if _, err := s.Claim(t.Context(), "run-none"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("no such run: %v", err)
		}
		first := claim(t, s, "run-10001")
		if _, err := s.Claim(t.Context(), "run-10001"); !errors.Is(err, store.ErrClaimed) {
			t.Errorf("claimed twice: %v", err)
		}
		must(t, first.Check(t.Context()))
		must(t, first.Release(t.Context()))
		second := claim(t, s, "run-10001")
		if second.Token <= first.Token {
			t.Errorf("token %d after %d", second.Token, first.Token)
		}
		// The first one does not know, and can do nothing any more.
		for name, err := range map[string]error{
			"check":    first.Check(t.Context()),
			"journal":  first.Journal(plan(1)).Report(t.Context(), []flow.Event{{Kind: flow.RunStarted}}),
			"log":      first.AppendLog(t.Context(), "build@h1", 1, 0, []byte("x")),
			"finish":   first.Finish(t.Context(), &flow.Run{}, nil),
			"conclude": first.Conclude(t.Context(), flow.Failure, nil),
		} {
			if !errors.Is(err, store.ErrFenced) {
				t.Errorf("%s: %v", name, err)
			}
		}
		must(t, first.Release(t.Context()))
		must(t, second.Check(t.Context()))
		must(t, second.Conclude(t.Context(), flow.Cancelled, nil))
		r := value[*store.Run](t)(s.Run(t.Context(), "run-10001"))
		if r.State != store.Completed || r.Conclusion != flow.Cancelled || r.CompletedAt.IsZero() {
			t.Errorf("concluded: %+v", r)
		}
		must(t, second.Check(t.Context())) // until it has told everybody
		must(t, second.Release(t.Context()))
		if err := second.Check(t.Context()); !errors.Is(err, store.ErrFenced) {
			t.Errorf("after the end: %v", err)
		}
	})
}

// cutter is a journal that fails from its nth batch on, like one whose
// process has died.
type cutter struct {
	flow.Reporter
	left int
}

func (c *cutter) Report(ctx context.Context, events []flow.Event) error {
	if c.left--; c.left < 0 {
		return errors.New("gone")
	}
	return c.Reporter.Report(ctx, events)
}

// script fails and repairs jobs by host and attempt.
func script(a flow.Attempt) flowtest.Step {
	switch fmt.Sprint(a.Job.Label, a.Number) {
	case "h11":
		return flowtest.Step{Log: "first\n", Result: flow.Result{Conclusion: flow.Failure, Cause: flow.CauseTask, Error: "exit 1", ExitCode: 1}}
	case "h12":
		return flowtest.Step{Log: "second\n"}
	case "h21":
		return flowtest.Step{Log: "out\n", Result: flow.Result{Commit: "c0ffee", Artifacts: []flow.Artifact{{File: "a.txt", SHA256: "aa", Bytes: 3, Host: "http://h2", Queue: "q", JobID: "j"}}}}
	case "h31":
		return flowtest.Step{Log: strings.Repeat("x", 9000), Result: flow.Result{Conclusion: flow.Failure, Cause: flow.CauseTask, Error: "exit 2", ExitCode: 2}}
	}
	return flowtest.Step{Result: flow.Result{Conclusion: flow.TimedOut, Cause: flow.CauseTimeout, Error: "too long"}}
}

func TestJournal(t *testing.T) {
	each(t, func(t *testing.T, address string) {
		s := open(t, address)
		// However early the process dies, the next one ends the run alike.
		for cut := range 8 {
			run := aRun(cut)
			create(t, s, run)
			p := plan(3)
			c := claim(t, s, run.ID)
			e := &flow.Engine{Executor: &flowtest.Executor{Script: script}, Journal: &cutter{c.Journal(p), cut}}
			_, err := e.Run(t.Context(), flow.RunOptions{ID: run.ID, Plan: p})
			if err == nil && cut < 2 {
				t.Errorf("cut after %d batches: no error", cut)
			}
			must(t, c.Release(t.Context()))
			c = claim(t, s, run.ID)
			history := value[[]flow.Event](t)(s.History(t.Context(), run.ID, p))
			e = &flow.Engine{Executor: &flowtest.Executor{Script: script}, Journal: c.Journal(p)}
			report, err := e.Run(t.Context(), flow.RunOptions{ID: run.ID, Plan: p, History: history})
			must(t, err)
			must(t, c.Finish(t.Context(), report, func(ctx context.Context, tx *store.Tx) error {
				return tx.SaveCheck(ctx, store.Check{Run: run.ID, ExternalID: "run", Final: []byte("failed")})
			}))
			checkRows(t, s, run.ID, report)
		}
	})
}

// checkRows compares what pages read with the report.
func checkRows(t *testing.T, s *store.Store, run string, report *flow.Run) {
	t.Helper()
	ctx := t.Context()
	r := value[*store.Run](t)(s.Run(ctx, run))
	if r.State != store.Completed || r.Conclusion != report.Conclusion || r.StartedAt.IsZero() || r.CompletedAt.IsZero() {
		t.Errorf("%s: run %+v", run, r)
	}
	stored := value[*flow.Run](t)(s.Report(ctx, run))
	if stored.Conclusion != report.Conclusion || len(stored.Jobs) != len(report.Jobs) {
		t.Errorf("%s: report %+v", run, stored)
	}
	jobs := value[[]store.Job](t)(s.Jobs(ctx, run))
	if len(jobs) != len(report.Jobs) {
		t.Fatalf("%s: %d jobs, want %d", run, len(jobs), len(report.Jobs))
	}
	if one := value[store.Job](t)(s.Job(ctx, run, jobs[1].Key)); one != jobs[1] {
		t.Errorf("%s: job %+v, want %+v", run, one, jobs[1])
	}
	if _, err := s.Job(ctx, run, "no such"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("%s: a job that is not there: %v", run, err)
	}
	bars := value[[]store.Bar](t)(s.Timeline(ctx, run))
	attempts := 0
	for _, j := range report.Jobs {
		attempts += len(j.Attempts)
	}
	if len(bars) != attempts || slices.ContainsFunc(bars, func(b store.Bar) bool { return b.Status != flow.StatusCompleted || b.CompletedAt.IsZero() }) {
		t.Errorf("%s: %d attempts, timeline %+v", run, attempts, bars)
	}
	for i, j := range jobs {
		want := report.Jobs[i]
		got := fmt.Sprint(j.Key, j.Project, j.Title, j.Host, j.Label, j.Queue, j.Status, j.Conclusion, j.Cause, j.Error, j.SHA, j.Attempts)
		if w := fmt.Sprint(want.Key, want.Project, want.Title, want.Host, want.Label, want.Queue, want.Status, want.Conclusion, want.Cause, want.Error, want.SHA, len(want.Attempts)); got != w {
			t.Errorf("%s: job\n%s, want\n%s", run, got, w)
		}
		attempts := value[[]store.Attempt](t)(s.Attempts(ctx, run, j.Key))
		if len(attempts) != len(want.Attempts) {
			t.Fatalf("%s: %d attempts of %s, want %d", run, len(attempts), j.Key, len(want.Attempts))
		}
		for k, a := range attempts {
			w := want.Attempts[k]
			if a.Number != k+1 || a.JobID != w.JobID || a.Status != w.Status || a.Conclusion != w.Conclusion || a.Cause != w.Cause ||
				a.Error != w.Error || a.ExitCode != w.ExitCode || a.Log != w.Log || !near(a.CompletedAt, w.CompletedAt) {
				t.Errorf("%s: attempt of %s\n%+v, want\n%+v", run, j.Key, a, w)
			}
		}
	}
	artifacts := value[[]store.Artifact](t)(s.Artifacts(ctx, run))
	if len(artifacts) != 1 || artifacts[0].Job != "build@h2" || !reflect.DeepEqual(artifacts[0].Artifact, report.Jobs[1].Artifacts[0]) {
		t.Errorf("%s: artifacts %+v", run, artifacts)
	}
}

// near compares what was stored with microseconds.
func near(a, b time.Time) bool { return a.Sub(b).Abs() < time.Millisecond }

func TestHistoryOfAnotherPlan(t *testing.T) {
	each(t, func(t *testing.T, address string) {
		s := open(t, address)
		create(t, s, aRun(1))
		p := plan(2)
		must(t, claim(t, s, "run-10001").Journal(p).Report(t.Context(), []flow.Event{{Kind: flow.RunStarted, Message: p.Digest()}}))
		if _, err := s.History(t.Context(), "run-10001", plan(3)); !errors.Is(err, flow.ErrOtherPlan) {
			t.Errorf("another plan: %v", err)
		}
		if ev := value[[]flow.Event](t)(s.History(t.Context(), "run-none", p)); len(ev) != 0 {
			t.Errorf("no run: %v", ev)
		}
	})
}

func TestChecks(t *testing.T) {
	each(t, func(t *testing.T, address string) {
		s := open(t, address)
		save := func(c store.Check) {
			t.Helper()
			must(t, s.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.SaveCheck(ctx, c) }))
		}
		unposted := func() []store.Check { return value[[]store.Check](t)(s.Unposted(t.Context(), "", 10)) }
		save(store.Check{Run: "r", ExternalID: "a"})
		save(store.Check{Run: "r", ExternalID: "a", ID: 5})
		save(store.Check{Run: "r", ExternalID: "b", Final: []byte("green")})
		want := []store.Check{{Run: "r", ExternalID: "a", ID: 5}, {Run: "r", ExternalID: "b", Final: []byte("green"), Version: 1}}
		if got := value[[]store.Check](t)(s.Checks(t.Context(), "r")); !reflect.DeepEqual(got, want) {
			t.Errorf("checks %+v", got)
		}
		save(store.Check{Run: "r", ExternalID: "a", Final: []byte("red")})
		old := unposted()[0]
		if old.ID != 5 || string(old.Final) != "red" || len(unposted()) != 2 {
			t.Errorf("unposted %+v", unposted())
		}
		// What is acknowledged is the version that was sent.
		save(store.Check{Run: "r", ExternalID: "a", Final: []byte("green")})
		must(t, s.AckCheck(t.Context(), old))
		if got := unposted(); len(got) != 2 || string(got[0].Final) != "green" {
			t.Errorf("after an older acknowledgement %+v", got)
		}
		for _, c := range unposted() {
			c.ID = 6
			must(t, s.AckCheck(t.Context(), c))
		}
		save(store.Check{Run: "r", ExternalID: "a", Final: []byte("green")})
		if got := unposted(); len(got) != 0 {
			t.Errorf("the same again: unposted %+v", got)
		}
		if got := value[[]store.Check](t)(s.Checks(t.Context(), "r"))[1]; !got.Acked || got.ID != 6 {
			t.Errorf("acknowledged: %+v", got)
		}
	})
}

func TestLog(t *testing.T) {
	each(t, func(t *testing.T, address string) {
		s := open(t, address)
		create(t, s, aRun(1))
		c := claim(t, s, "run-10001")
		add := func(offset int64, data string) {
			t.Helper()
			must(t, c.AppendLog(t.Context(), "build@h1", 1, offset, []byte(data)))
		}
		read := func(offset int64, limit int) store.Log {
			t.Helper()
			return value[store.Log](t)(s.ReadLog(t.Context(), "run-10001", "build@h1", 1, offset, limit))
		}
		add(0, "hello ")
		add(6, "world\n")
		add(6, "world\n") // again
		add(3, "lo world\nand more\n")
		add(0, "hello")
		for _, tc := range []struct {
			offset int64
			limit  int
			want   string
		}{{0, 100, "hello world\nand more\n"}, {4, 3, "o w"}, {6, 6, "world\n"}, {20, 9, "\n"}, {21, 9, ""}, {99, 9, ""}} {
			if l := read(tc.offset, tc.limit); string(l.Data) != tc.want || l.Size != 21 || l.Offset != tc.offset {
				t.Errorf("from %d: %+v", tc.offset, l)
			}
		}
		pieces := value[[]store.LogPiece](t)(s.LogPieces(t.Context(), "run-10001", "build@h1", 1))
		if want := []store.LogPiece{{Offset: 0, Bytes: 6}, {Offset: 6, Bytes: 6, Lines: 1}, {Offset: 12, Bytes: 9, Lines: 1}}; !slices.Equal(pieces, want) {
			t.Errorf("pieces %+v", pieces)
		}
		if l := value[store.Log](t)(s.ReadLog(t.Context(), "run-10001", "build@h1", 2, 0, 10)); l.Size != 0 {
			t.Errorf("another attempt: %+v", l)
		}
	})
}

func TestLogCut(t *testing.T) {
	each(t, func(t *testing.T, address string) {
		s := open(t, address)
		create(t, s, aRun(1))
		c := claim(t, s, "run-10001")
		const pieces, piece = 20, 1 << 20
		for i := range pieces {
			data := strings.Repeat(string(rune('A'+i%26)), piece)
			must(t, c.AppendLog(t.Context(), "j", 1, int64(i)*piece, []byte(data)))
		}
		var kept, gaps, at int64
		for {
			l := value[store.Log](t)(s.ReadLog(t.Context(), "run-10001", "j", 1, at, store.MaxLogRead))
			if l.Size != pieces*piece {
				t.Fatalf("size %d", l.Size)
			}
			if len(l.Data) == 0 {
				break
			}
			if l.Offset > at {
				gaps++
			}
			if want := byte('A' + l.Offset/piece%26); l.Data[0] != want {
				t.Errorf("at %d: %c, want %c", l.Offset, l.Data[0], want)
			}
			kept += int64(len(l.Data))
			at = l.Next()
		}
		if gaps != 1 || kept > store.MaxLog+piece || kept < store.MaxLog-piece || at != pieces*piece {
			t.Errorf("kept %d bytes, %d gaps, up to %d", kept, gaps, at)
		}
	})
}
