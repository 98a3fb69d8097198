package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/cromt/cromt/bot/store"
)

// Approvals and heads of a fork's pull request, told out of order.
func TestApprovals(t *testing.T) {
	each(t, func(t *testing.T, address string) {
		s := open(t, address)
		at := func(n int) time.Time { return started.Add(time.Duration(n) * time.Second) }
		tx := func(f func(ctx context.Context, tx *store.Tx) error) {
			t.Helper()
			must(t, s.Tx(t.Context(), f))
		}
		pushed := func(sha string, n int) {
			t.Helper()
			tx(func(ctx context.Context, tx *store.Tx) error { return tx.Pushed(ctx, "octo/app", 3, sha, at(n)) })
		}
		approve := func(sha string, n int) (ok bool) {
			t.Helper()
			tx(func(ctx context.Context, tx *store.Tx) (err error) {
				ok, err = tx.Approve(ctx, "octo/app", 3, sha, "octo", at(n))
				return err
			})
			return ok
		}
		check := func(what, sha string, approved bool, head time.Time) {
			t.Helper()
			if by := value[string](t)(s.Approved(t.Context(), "octo/app", 3, sha)); (by == "octo") != approved {
				t.Errorf("%s: %s approved by %q", what, sha, by)
			}
			if got := value[time.Time](t)(s.PushedAt(t.Context(), "octo/app", 3, sha)); !got.Equal(head) {
				t.Errorf("%s: %s pushed at %v, want %v", what, sha, got, head)
			}
		}
		pushed("aaa", 1)
		pushed("aaa", 2) // told once more
		check("pushed", "aaa", false, at(1))
		if !approve("aaa", 3) {
			t.Error("the head was not approved")
		}
		check("approved", "aaa", true, at(1))
		pushed("bbb", 4)
		check("another one pushed", "aaa", false, time.Time{})
		pushed("aaa", 5)
		check("pushed again", "aaa", false, at(5))
		if approve("bbb", 2) || !approve("aaa", 6) {
			t.Error("approved is not what is the head")
		}
		pushed("bbb", 4) // told late
		check("an older push told late", "aaa", true, at(5))
		if !approve("ccc", 7) { // of whose push nothing was told
			t.Error("a head that was not told of was not approved")
		}
		check("not told of", "ccc", true, at(7))
		tx(func(ctx context.Context, tx *store.Tx) error { return tx.ClosedPull(ctx, "octo/app", 3) })
		check("closed", "ccc", false, time.Time{})
	})
}
