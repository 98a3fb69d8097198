package store_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/cromt/cromt/bot/store"
)

// SQLite's safety levels.
const (
	normal = 1 // a commit may be lost with the power
	full   = 2
)

// Transactions are durable, what the queue notes by itself need not be; they
// share a connection, also after one that failed.
func TestDurable(t *testing.T) {
	s, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "c.db"), store.Options{})
	must(t, err)
	defer func() { must(t, s.Close()) }()
	for _, cause := range []error{nil, context.Canceled} {
		inside := 0
		err := s.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			must(t, tx.Safety(ctx, &inside))
			return cause
		})
		if (err == nil) != (cause == nil) {
			t.Fatal(err)
		}
		outside := 0
		must(t, s.Safety(t.Context(), &outside))
		if inside != full || outside != normal {
			t.Errorf("synchronous is %d in a transaction, %d outside, want %d and %d", inside, outside, full, normal)
		}
	}
}

// What was committed is carried over into the file while others go on.
func TestCheckpoint(t *testing.T) {
	s, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "c.db"), store.Options{})
	must(t, err)
	defer func() { must(t, s.Close()) }()
	create(t, s, aRun(1))
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		left, err := s.Uncarried()
		must(t, err)
		if left == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d pages are not carried over", left)
		}
	}
}
