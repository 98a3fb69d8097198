package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/bot/store"
)

func TestDuty(t *testing.T) {
	each(t, func(t *testing.T, address string) {
		s := open(t, address)
		d := value[*store.Duty](t)(s.TakeDuty(t.Context(), "sweep", time.Hour))
		if d == nil {
			t.Fatal("a duty that was never done is not due")
		}
		if again := value[*store.Duty](t)(s.TakeDuty(t.Context(), "sweep", 0)); again != nil {
			t.Error("it is taken twice")
		}
		if other := value[*store.Duty](t)(s.TakeDuty(t.Context(), "other", 0)); other == nil {
			t.Error("another one is not due")
		}
		must(t, d.Release(t.Context()))
		d = value[*store.Duty](t)(s.TakeDuty(t.Context(), "sweep", time.Hour))
		if d == nil {
			t.Fatal("what was not done is not due")
		}
		must(t, d.Done(t.Context(), "until here"))
		if again := value[*store.Duty](t)(s.TakeDuty(t.Context(), "sweep", time.Hour)); again != nil {
			t.Error("it is due right after it was done")
		}
		if err := d.Tx(t.Context(), func(context.Context, *store.Tx) error { return nil }); !errors.Is(err, store.ErrFenced) {
			t.Errorf("what is done is still in hand: %v", err)
		}
		d = value[*store.Duty](t)(s.TakeDuty(t.Context(), "sweep", 0))
		if d == nil || d.Note != "until here" {
			t.Errorf("%+v", d)
		}
	})
}

// A replica that dies leaves its duties to another, and writes nothing more
// for them.
func TestDutyTakenOver(t *testing.T) {
	t.Parallel()
	addr := address(t, "postgres")
	a, b := mustOpen(t, addr), open(t, addr)
	d := value[*store.Duty](t)(a.TakeDuty(t.Context(), "sweep", 0))
	if d == nil {
		t.Fatal("not due")
	}
	if other := value[*store.Duty](t)(b.TakeDuty(t.Context(), "sweep", 0)); other != nil {
		t.Fatal("two replicas have it")
	}
	must(t, b.Silence(t.Context(), a)) // its heartbeats are late
	taken := value[*store.Duty](t)(b.TakeDuty(t.Context(), "sweep", 0))
	if taken == nil {
		t.Fatal("not taken over")
	}
	ran := false
	err := d.Tx(t.Context(), func(context.Context, *store.Tx) error { ran = true; return nil })
	if !errors.Is(err, store.ErrFenced) || ran {
		t.Errorf("the old owner writes: %v", err)
	}
	must(t, d.Release(t.Context()))
	must(t, taken.Tx(t.Context(), func(context.Context, *store.Tx) error { return nil }))
	must(t, a.Close())
}

func learn(t *testing.T, s *store.Store, r *store.Repo, now time.Time, schedules ...store.Schedule) bool {
	t.Helper()
	return value[bool](t)(s.Learn(t.Context(), r, now, schedules))
}

func TestInstalled(t *testing.T) {
	each(t, func(t *testing.T, address string) {
		s := open(t, address)
		names := func(repos []*store.Repo, err error) (out []string) {
			t.Helper()
			must(t, err)
			for _, r := range repos {
				out = append(out, r.Name)
			}
			return out
		}
		must(t, s.SetInstalled(t.Context(), 7, []store.Repo{{Name: "octo/app", Branch: "main"}, {Name: "octo/lib", Branch: "main"}}))
		must(t, s.SetInstalled(t.Context(), 8, []store.Repo{{Name: "acme/app", Branch: "trunk"}}))
		if got := names(s.ReposToRead(t.Context(), time.Now(), 9)); len(got) != 3 {
			t.Errorf("to read: %v", got)
		}
		app := value[*store.Repo](t)(s.InstalledRepo(t.Context(), "octo/app"))
		stale := *app
		app.SHA, app.Config = "abc", []byte("projects:\n")
		now := time.Now()
		if !learn(t, s, app, now, store.Schedule{Project: "nightly", Crontab: "0 3 * * *", DueAt: now.Add(time.Hour)}) {
			t.Error("not learned")
		}
		if learn(t, s, &stale, now) {
			t.Error("what was read before it changed is learned")
		}
		if got := names(s.ReposToRead(t.Context(), now, 9)); len(got) != 2 {
			t.Errorf("to read: %v", got)
		}
		if got := names(s.ReposToCompare(t.Context(), now, 9)); len(got) != 1 || got[0] != "octo/app" {
			t.Errorf("to compare: %v", got)
		}
		must(t, s.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.Compared(ctx, "octo/app", now) }))
		if got := names(s.ReposToCompare(t.Context(), now, 9)); len(got) != 0 {
			t.Errorf("to compare: %v", got)
		}
		again := value[*store.Repo](t)(s.InstalledRepo(t.Context(), "octo/app"))
		if string(again.Config) != "projects:\n" || again.SHA != "abc" || again.Since.IsZero() || again.Branch != "main" {
			t.Errorf("%+v", again)
		}
		// Another default branch is read anew.
		must(t, s.SetInstalled(t.Context(), 7, []store.Repo{{Name: "octo/app", Branch: "next"}}))
		if got := names(s.ReposToRead(t.Context(), now, 9)); len(got) != 2 {
			t.Errorf("to read: %v", got)
		}
		if _, err := s.InstalledRepo(t.Context(), "octo/lib"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("removed: %v", err)
		}
		must(t, s.SetInstallations(t.Context(), []int64{8}))
		if due := value[[]store.Schedule](t)(s.DueSchedules(t.Context(), now.Add(2*time.Hour), 9)); len(due) != 0 {
			t.Errorf("schedules of a removed installation: %+v", due)
		}
		if got := names(s.ReposToRead(t.Context(), now, 9)); len(got) != 1 || got[0] != "acme/app" {
			t.Errorf("left: %v", got)
		}
	})
}

// A repository that the App is removed from has its runs cancelled, one that
// is renamed has not; and one that gets the name of another has none of its
// runs, whoever learns of it first.
func TestRemoved(t *testing.T) {
	each(t, func(t *testing.T, address string) {
		s := open(t, address)
		set := func(repos ...store.Repo) { t.Helper(); must(t, s.SetInstalled(t.Context(), 7, repos)) }
		by := func(id string) string { t.Helper(); return value[*store.Run](t)(s.Run(t.Context(), id)).CancelledBy }
		app, renamed := store.Repo{Name: "octo/app", ID: 11, Branch: "main"}, store.Repo{Name: "octo/new", ID: 11, Branch: "main"}
		set(app)
		first := aRun(1)
		first.RepoID = 11
		create(t, s, first)
		set(renamed)
		if got := by(first.ID); got != "" {
			t.Errorf("renamed: cancelled by %q", got)
		}
		set()
		if got := by(first.ID); got != "the App being removed from the repository" {
			t.Errorf("removed: cancelled by %q", got)
		}
		second := aRun(2)
		second.RepoID = 12
		create(t, s, second) // before the list of repositories is known
		set(store.Repo{Name: "octo/app", ID: 12, Branch: "main"})
		page := value[*store.Page](t)(s.Runs(t.Context(), store.Filter{Repo: "octo/app"}))
		if len(page.Runs) != 1 || page.Runs[0].ID != second.ID || by(second.ID) != "" {
			t.Errorf("%+v", page.Runs)
		}
		if r := value[*store.Run](t)(s.Run(t.Context(), first.ID)); r.Repo != "octo/app 11" || r.RepoID != 11 {
			t.Errorf("%+v", r)
		}
		set(store.Repo{Name: "octo/app", ID: 13, Branch: "main"}) // made anew under the eyes of the App
		if page := value[*store.Page](t)(s.Runs(t.Context(), store.Filter{Repo: "octo/app"})); len(page.Runs) != 0 || by(second.ID) == "" {
			t.Errorf("%+v", page.Runs)
		}
	})
}

func TestSchedules(t *testing.T) {
	each(t, func(t *testing.T, address string) {
		s := open(t, address)
		at := func(h int) time.Time { return started.Add(time.Duration(h) * time.Hour) }
		get := func() *store.Repo {
			r, err := s.InstalledRepo(t.Context(), "octo/app")
			if errors.Is(err, store.ErrNotFound) {
				return &store.Repo{Name: "octo/app", Installation: 7, Branch: "main"}
			}
			must(t, err)
			return r
		}
		learn(t, s, get(), at(0), store.Schedule{Project: "a", Crontab: "1", DueAt: at(5)}, store.Schedule{Project: "b", Crontab: "2", DueAt: at(6)}, store.Schedule{Project: "c", Crontab: "3", DueAt: at(7)})
		// What is the same goes on as it was, what is new is since now.
		learn(t, s, get(), at(1), store.Schedule{Project: "a", Crontab: "1", DueAt: at(9)}, store.Schedule{Project: "b", Crontab: "4", DueAt: at(8)})
		want := []store.Schedule{
			{Repo: "octo/app", Project: "a", Crontab: "1", Since: at(0), DueAt: at(5)},
			{Repo: "octo/app", Project: "b", Crontab: "4", Since: at(1), DueAt: at(8)},
		}
		got := value[[]store.Schedule](t)(s.Schedules(t.Context(), "octo/app"))
		if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
			t.Errorf("%+v", got)
		}
		if due := value[[]store.Schedule](t)(s.DueSchedules(t.Context(), at(5), 9)); len(due) != 1 || due[0].Project != "a" {
			t.Errorf("due: %+v", due)
		}
		must(t, s.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.SetDue(ctx, "octo/app", "a", at(12)) }))
		if due := value[[]store.Schedule](t)(s.DueSchedules(t.Context(), at(8), 9)); len(due) != 1 || due[0].Project != "b" {
			t.Errorf("due: %+v", due)
		}
		learn(t, s, get(), at(2))
		if due := value[[]store.Schedule](t)(s.DueSchedules(t.Context(), at(99), 9)); len(due) != 0 {
			t.Errorf("removed from the file: %+v", due)
		}
	})
}

func TestAsked(t *testing.T) {
	each(t, func(t *testing.T, address string) {
		s := open(t, address)
		var want store.Asked
		for n := range 3 {
			if got := value[store.Asked](t)(s.Asked(t.Context(), "g")); got != want {
				t.Errorf("asked %+v, want %+v", got, want)
			}
			want = store.Asked{Times: n + 1, Last: started.Add(time.Duration(n) * time.Microsecond), Attempt: int64(9 + n)}
			must(t, s.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.Ask(ctx, "g", want.Attempt, want.Last) }))
		}
		must(t, s.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.Ask(ctx, "worked again", 0, want.Last) }))
		for since, want := range map[time.Time]int{started: 1, want.Last: 0} {
			if got := value[int](t)(s.AskedSince(t.Context(), since)); got != want {
				t.Errorf("%d asked for since %s, want %d", got, since, want)
			}
		}
		if _, err := s.Prune(t.Context(), started.Add(time.Second)); err != nil {
			t.Error(err)
		}
		if got := value[store.Asked](t)(s.Asked(t.Context(), "g")); got != (store.Asked{}) {
			t.Errorf("pruned: %+v", got)
		}
	})
}

func TestInspect(t *testing.T) {
	each(t, func(t *testing.T, address string) {
		look := func(want string) {
			t.Helper()
			if got, err := store.Inspect(t.Context(), address); err != nil || !strings.Contains(got, want) {
				t.Errorf("%q, %v, want %q", got, err, want)
			}
		}
		look("made at the start")
		s := mustOpen(t, address)
		look("as it should be") // while it is in use
		must(t, s.SchemaOf(t.Context(), 1000))
		if _, err := store.Inspect(t.Context(), address); err == nil || !strings.Contains(err.Error(), "newer cromt") {
			t.Error(err)
		}
		must(t, s.Close())
	})
	for _, address := range []string{"mysql://x/y", "sqlite:/nowhere/at all/x.db", "postgres://nobody@127.0.0.1:1/x?connect_timeout=2"} {
		if _, err := store.Inspect(t.Context(), address); err == nil {
			t.Errorf("%s is fine", address)
		}
	}
}
