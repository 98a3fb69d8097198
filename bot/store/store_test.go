package store_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cromt/cromt/bot/store"
)

func TestOpen(t *testing.T) {
	each(t, func(t *testing.T, address string) {
		// Several replicas that find the database empty at once.
		if strings.HasPrefix(address, "postgres") {
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() {
					s, err := store.Open(t.Context(), address, store.Options{})
					if err != nil {
						t.Error(err)
						return
					}
					must(t, s.Close())
				})
			}
			all.Wait()
		}
		s := mustOpen(t, address)
		create(t, s, aRun(1))
		must(t, s.Close())
		s = open(t, address)
		must(t, s.Ping(t.Context()))
		if r := value[*store.Run](t)(s.Run(t.Context(), "run-10001")); r.Key != "code/octo/app/1" {
			t.Errorf("after a second start: %+v", r)
		}
	})
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	newer := filepath.Join(dir, "newer.db")
	must(t, mustOpen(t, "sqlite:"+newer).Close())
	db, err := sql.Open("sqlite", newer)
	must(t, err)
	_, err = db.Exec(`INSERT INTO cromt_migrations VALUES (99, 0)`)
	must(t, err)
	must(t, db.Close())
	used := filepath.Join(dir, "used.db")
	open(t, "sqlite:"+used)
	for address, want := range map[string]string{
		"":                                    "write sqlite:FILE or postgres://",
		"cromt.db":                            "write sqlite:FILE or postgres://",
		"sqlite:":                             "write sqlite:cromt.db",
		"sqlite:" + newer:                     "of a newer cromt",
		"sqlite:" + used:                      "in use by another process",
		"sqlite:" + dir + "/no/such/cromt.db": "unable to open",
		postgres.Address("none"):              "does not exist",
	} {
		s, err := store.Open(t.Context(), address, store.Options{})
		if err == nil {
			t.Errorf("%s: opened", address)
			must(t, s.Close())
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", address, err, want)
		}
	}
}

func TestTx(t *testing.T) {
	each(t, func(t *testing.T, address string) {
		s := open(t, address)
		// Some of those that share commits fail: nothing is left of them.
		failed := errors.New("no")
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() {
				err := s.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
					if _, _, err := tx.CreateRun(ctx, aRun(i)); err != nil {
						return err
					}
					if i%3 == 0 {
						return failed
					}
					return nil
				})
				if want := i%3 == 0; errors.Is(err, failed) != want || err != nil && !want {
					t.Errorf("run %d: %v", i, err)
				}
			})
		}
		all.Wait()
		for i := range 200 {
			_, err := s.Run(t.Context(), aRun(i).ID)
			if want := i%3 == 0; errors.Is(err, store.ErrNotFound) != want {
				t.Errorf("run %d: %v", i, err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Tx(ctx, func(context.Context, *store.Tx) error { return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
}

func TestCreateRun(t *testing.T) {
	each(t, func(t *testing.T, address string) {
		s := open(t, address)
		want := aRun(1)
		first, created := create(t, s, want)
		if !created || first.State != store.Queued {
			t.Fatalf("created %v: %+v", created, first)
		}
		again := aRun(1)
		again.ID = "run-other"
		if r, created := create(t, s, again); created || r.ID != want.ID {
			t.Errorf("the same key again: created %v, %s", created, r.ID)
		}
		got := value[*store.Run](t)(s.RunByKey(t.Context(), want.Key))
		if !reflect.DeepEqual(got, first) {
			t.Errorf("got\n%+v, want\n%+v", got, first)
		}
	})
}

func TestCancelAndOpen(t *testing.T) {
	each(t, func(t *testing.T, address string) {
		s := open(t, address)
		other, pull := aRun(3), aRun(4)
		other.Class = "comment"
		pull.Origin.PullNumber, pull.Origin.Event = 5, "pull_request"
		for _, r := range []*store.Run{aRun(1), aRun(2), other, pull} {
			create(t, s, r)
		}
		must(t, s.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			older, err := tx.Open(ctx, "octo/app", "main", 0, "code")
			if err != nil {
				return err
			}
			if len(older) != 2 || older[0].ID != "run-10001" {
				t.Errorf("open: %+v", older)
			}
			if p, err := tx.Open(ctx, "octo/app", "", 5, "code"); err != nil || len(p) != 1 || p[0].ID != pull.ID {
				t.Errorf("open of the pull request: %+v %v", p, err)
			}
			if err := tx.Cancel(ctx, older[0].ID, "octocat", older[1].ID); err != nil {
				return err
			}
			return tx.Cancel(ctx, older[0].ID, "late", "")
		}))
		r := value[*store.Run](t)(s.Run(t.Context(), "run-10001"))
		if r.CancelledBy != "octocat" || r.SupersededBy != "run-10002" {
			t.Errorf("cancelled: %+v", r)
		}
	})
}

func TestTrust(t *testing.T) {
	each(t, func(t *testing.T, address string) {
		s := open(t, address)
		tick := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
		for i := range 2 {
			must(t, s.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				if _, err := tx.Approve(ctx, "octo/app", 3, "abc", []string{"first", "second"}[i], started); err != nil {
					return err
				}
				first, err := tx.Tick(ctx, "octo/app", "nightly", tick)
				if first != (i == 0) {
					t.Errorf("tick %d: first is %v", i, first)
				}
				return err
			}))
		}
		if by := value[string](t)(s.Approved(t.Context(), "octo/app", 3, "abc")); by != "first" {
			t.Errorf("approved by %q", by)
		}
		if by := value[string](t)(s.Approved(t.Context(), "octo/app", 3, "abcd")); by != "" {
			t.Errorf("another commit approved by %q", by)
		}
		if last := value[time.Time](t)(s.LastTick(t.Context(), "octo/app", "nightly")); !last.Equal(tick) {
			t.Errorf("last tick %v", last)
		}
	})
}

func TestHosts(t *testing.T) {
	each(t, func(t *testing.T, address string) {
		s := open(t, address)
		for i, failure := range []string{"", "refused", "timeout"} {
			must(t, s.SaveHost(t.Context(), store.HostProbe{
				URL: "http://h1", At: started.Add(time.Duration(i) * time.Second), Error: failure, Version: "1.2", Queued: 3, Running: 2, Latency: time.Millisecond,
			}))
		}
		must(t, s.SaveHost(t.Context(), store.HostProbe{URL: "http://h2", At: started, Error: "refused"}))
		want := []store.Host{
			{URL: "http://h1", OKAt: started, FailAt: started.Add(2 * time.Second), Failures: 2, Error: "timeout", Version: "1.2", Queued: 3, Running: 2, Latency: time.Millisecond},
			{URL: "http://h2", FailAt: started, Failures: 1, Error: "refused"},
		}
		if got := value[[]store.Host](t)(s.Hosts(t.Context())); !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v", got)
		}
		must(t, s.SaveHost(t.Context(), store.HostProbe{URL: "http://h1", At: started.Add(time.Minute)}))
		if h := value[[]store.Host](t)(s.Hosts(t.Context()))[0]; h.Failures != 0 || h.Error != "" {
			t.Errorf("well again: %+v", h)
		}
	})
}
