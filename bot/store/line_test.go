package store_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/flow"
)

// The end of a run wakes those of the same branch or pull request, at once.
func TestWakeLine(t *testing.T) {
	each(t, func(t *testing.T, address string) {
		s := open(t, address)
		first, second, pull, elsewhere := aRun(1), aRun(2), aRun(3), aRun(4)
		first.Origin.PullNumber = 5
		pull.Origin.PullNumber, pull.Branch = 5, "other"
		elsewhere.Branch = "other"
		for _, r := range []*store.Run{first, second, pull, elsewhere} {
			create(t, s, r)
		}
		seen := make(collector[string], 100)
		q := start(t, s, store.Workers{Work: func(ctx context.Context, run string) (time.Duration, error) {
			seen <- run
			return time.Hour, nil
		}})
		defer stop(t, q)
		for range 4 {
			seen.next(t)
		}
		c := value[*store.Claim](t)(s.Claim(t.Context(), first.ID))
		must(t, c.Conclude(t.Context(), flow.Success, nil))
		woken := []string{seen.next(t), seen.next(t)}
		slices.Sort(woken)
		if !slices.Equal(woken, []string{second.ID, pull.ID}) {
			t.Errorf("woken: %v", woken)
		}
	})
}

// A run takes more projects until somebody is about to work it.
func TestJoin(t *testing.T) {
	each(t, func(t *testing.T, address string) {
		s := open(t, address)
		create(t, s, aRun(1))
		join := func(roots ...string) (ok bool) {
			must(t, s.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
				ok, err = tx.Join(ctx, "run-10001", store.Origin{Event: "push", PullNumber: 5, Title: "Better"}, roots)
				return err
			}))
			return ok
		}
		if !join("build", "test") {
			t.Error("not joined before it has begun")
		}
		c := claim(t, s, "run-10001")
		if join("build", "test", "late") {
			t.Error("joined while somebody is at it")
		}
		must(t, c.Journal(plan(1)).Report(t.Context(), []flow.Event{{Kind: flow.RunStarted, Time: started}}))
		must(t, c.Release(t.Context()))
		if join("build", "test", "late") {
			t.Error("joined after it has begun")
		}
		at := value[[]*store.Run](t)(s.At(t.Context(), "octo/app", "abc1", "code", "merge_group"))
		if len(at) != 1 || !slices.Equal(at[0].Spec.Roots, []string{"build", "test"}) || at[0].Origin.PullNumber != 5 || at[0].Spec.Vars["A"] != "b c" {
			t.Errorf("at the commit: %+v", at)
		}
		if other := value[[]*store.Run](t)(s.At(t.Context(), "octo/app", "abc1", "comment")); len(other) != 0 {
			t.Errorf("of another class: %+v", other)
		}
	})
}
