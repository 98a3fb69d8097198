package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cromt/cromt/bot/store"
)

// postgres is the folder with the socket of this test binary's own server.
var postgres string

func TestMain(m *testing.M) {
	if role := os.Getenv("STORE_TEST_CHILD"); role != "" {
		child(role)
		return
	}
	stop, err := startPostgres()
	if err != nil {
		fmt.Fprintln(os.Stderr, "these tests need PostgreSQL; on Debian: apt-get install postgresql:", err)
		os.Exit(1)
	}
	code := m.Run()
	stop()
	os.Exit(code)
}

// startPostgres starts a private server, which ends when this process does,
// however that is: it waits for the end of a pipe.
func startPostgres() (stop func(), err error) {
	bins, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(bins) == 0 {
		bins = []string{"/usr/bin", "/usr/local/bin"}
	}
	bin := slices.Max(bins)
	dir, err := os.MkdirTemp("", "store-test-")
	if err != nil {
		return nil, err
	}
	const script = `set -e; cd "$2"
"$1/initdb" -D data -A trust -U cromt -N --no-locale -E UTF8 >initdb.log 2>&1 || { cat initdb.log >&2; exit 1; }
"$1/postgres" -D data -k "$2" -c listen_addresses= -c fsync=off -c max_connections=200 -c log_min_messages=fatal & pid=$!
read -r _ || true
kill -QUIT $pid; wait $pid || true`
	args := []string{"sh", "-c", script, "sh", bin, dir}
	if os.Getuid() == 0 { // which the server refuses to run as
		if out, err := exec.Command("chown", "postgres", dir).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("chown: %s", out)
		}
		args = append([]string{"runuser", "-u", "postgres", "--"}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	postgres = dir
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	stop = func() {
		pipe.Close()
		<-ended
		os.RemoveAll(dir)
	}
	for {
		select {
		case err := <-ended:
			return nil, fmt.Errorf("postgres: %w: %s", err, stderr.Bytes())
		case <-time.After(20 * time.Millisecond):
		}
		if admin("SELECT 1") == nil {
			return stop, nil
		}
	}
}

func postgresAddress(db string) string { return "postgres://cromt@/" + db + "?host=" + postgres }

func admin(query string) error {
	db, err := sql.Open("pgx", postgresAddress("postgres"))
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.Exec(query)
	return err
}

var databases atomic.Int64

// address returns the address of an empty database.
func address(t testing.TB, kind string) string {
	t.Helper()
	if kind == "sqlite" {
		return "sqlite:" + filepath.Join(t.TempDir(), "cromt test.db")
	}
	name := fmt.Sprintf("test_%d", databases.Add(1))
	if err := admin("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := admin("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	return postgresAddress(name)
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
