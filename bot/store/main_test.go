package store_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/bot/store/storetest"
)

// postgres is this test binary's own server.
var postgres *storetest.Postgres

func TestMain(m *testing.M) {
	if address := os.Getenv("STORE_TEST_CHILD"); address != "" {
		child(address)
		return
	}
	var err error
	if postgres, err = storetest.StartPostgres(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	postgres.Stop()
	os.Exit(code)
}

var databases atomic.Int64

// address returns the address of an empty database.
func address(t testing.TB, kind string) string {
	t.Helper()
	if kind == "sqlite" {
		return "sqlite:" + filepath.Join(t.TempDir(), "cromt test.db")
	}
	name := fmt.Sprintf("test_%d", databases.Add(1))
	if err := postgres.Exec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := postgres.Exec("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	return postgres.Address(name)
}

// each runs a test on both databases: what it demands is the contract.
func each(t *testing.T, f func(t *testing.T, address string)) {
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			f(t, address(t, kind))
		})
	}
}

const lease = 400 * time.Millisecond

func open(t testing.TB, address string) *store.Store {
	t.Helper()
	s := mustOpen(t, address)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

// mustOpen is open for those who close the store, or lose it, themselves.
func mustOpen(t testing.TB, address string) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), address, store.Options{Lease: lease})
	must(t, err)
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func value[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		must(t, err)
		return v
	}
}
