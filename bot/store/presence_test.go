package store_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/bot/store"
)

// quick has replicas look at one another every 100 ms; a lease takes longer
// than any of these tests.
func quick() store.Options {
	return store.Options{Lease: 10 * time.Minute}.Beating(100 * time.Millisecond)
}

// What a replica had in hand that was killed, another takes up long before its
// lease is over.
func TestKilledReplica(t *testing.T) {
	t.Parallel()
	at := address(t, "postgres")
	s := value[*store.Store](t)(store.Open(t.Context(), at, quick()))
	defer func() { must(t, s.Close()) }()
	create(t, s, aRun(1))
	value[bool](t)(s.Accept(t.Context(), delivery(1)))
	p := exec.Command(os.Args[0])
	p.Env = append(os.Environ(), "STORE_TEST_CHILD="+at)
	p.Stderr = os.Stderr
	out := value[io.ReadCloser](t)(p.StdoutPipe())
	must(t, p.Start())
	defer func() { _ = p.Wait() }()
	defer func() { _ = p.Process.Kill() }()
	lines := bufio.NewScanner(out)
	for range 2 {
		if !lines.Scan() {
			t.Fatal("the other replica ended")
		}
	}
	until(t, func() bool { return value[string](t)(s.Leader(t.Context())) != "" })

	done := make(collector[string], 10)
	q := start(t, s, store.Workers{
		Deliver: func(context.Context, int64) error { done <- "delivery"; return nil },
		Work:    concludes(s, done),
	})
	defer stop(t, q)
	if d := value[*store.Duty](t)(s.TakeDuty(t.Context(), "sweep", 0)); d != nil {
		t.Fatal("two replicas have a duty")
	}
	deaths := collector[struct{}](toBidi(s.Deaths(t.Context())))
	select {
	case what := <-done:
		t.Fatalf("%s is worked by two", what)
	case <-time.After(500 * time.Millisecond): // silence, if it were
	}
	must(t, p.Process.Kill())
	killed := time.Now()
	deaths.next(t)
	if d := value[*store.Duty](t)(s.TakeDuty(t.Context(), "sweep", 0)); d == nil {
		t.Error("its duty is not to be had")
	}
	if got := done.next(t) + done.next(t); got != "deliveryrun-10001" && got != "run-10001delivery" {
		t.Errorf("worked %s", got)
	}
	until(t, func() bool { return value[string](t)(s.Leader(t.Context())) == s.Replica() })
	if d := time.Since(killed); d > 4*time.Second { // who would lead the queue looks by itself after five
		t.Errorf("taken over after %s", d)
	}
}

// A replica that lives keeps what it has though it loses its lock with its
// connection, and though nobody has any while the database is away.
func TestLostLock(t *testing.T) {
	t.Parallel()
	const beat = 300 * time.Millisecond // a busy machine has 600 ms to be back
	at := address(t, "postgres")
	name, _, _ := strings.Cut(strings.TrimPrefix(at, "postgres://cromt@/"), "?")
	options := store.Options{Lease: 10 * time.Minute}.Beating(beat)
	a := value[*store.Store](t)(store.Open(t.Context(), at, options))
	defer func() { must(t, a.Close()) }()
	b := value[*store.Store](t)(store.Open(t.Context(), at, options))
	defer func() { must(t, b.Close()) }()
	create(t, a, aRun(1))
	c := claim(t, a, "run-10001")
	ofA, ofB := b.Deaths(t.Context()), a.Deaths(t.Context())
	time.Sleep(4 * beat) // until each would take the other for dead
	back := func(old int64) func() bool {
		return func() bool { now, err := a.Lock(context.Background()); return err == nil && now != old && now != 0 }
	}
	// One connection, then all, for longer than a replica may be silent.
	old := value[int64](t)(a.Lock(t.Context()))
	must(t, postgres.Exec(fmt.Sprintf(`SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = %d`, old)))
	until(t, back(old))
	old = value[int64](t)(a.Lock(t.Context()))
	must(t, postgres.Exec(`ALTER DATABASE `+name+` ALLOW_CONNECTIONS false`))
	must(t, postgres.Exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '`+name+`'`))
	time.Sleep(4 * beat)
	must(t, postgres.Exec(`ALTER DATABASE `+name+` ALLOW_CONNECTIONS true`))
	until(t, back(old))
	time.Sleep(4 * beat) // until each would take the other for dead
	must(t, c.Check(t.Context()))
	if _, err := b.Claim(t.Context(), "run-10001"); !errors.Is(err, store.ErrClaimed) {
		t.Errorf("another replica claims it: %v", err)
	}
	if len(ofA)+len(ofB) > 0 {
		t.Error("a living replica was taken for dead")
	}
}

// Where connections are pooled no lock tells who lives.
func TestPooledConnections(t *testing.T) {
	t.Parallel()
	at := address(t, "postgres")
	before, dir, _ := strings.Cut(at, "host=")
	pool := poolOf(t, dir)
	s := value[*store.Store](t)(store.Open(t.Context(), before+"host="+pool, quick()))
	defer func() { must(t, s.Close()) }()
	if key := value[int64](t)(s.Lock(t.Context())); key != 0 {
		t.Errorf("its lock is %d", key)
	}
}

// poolOf is a folder with a socket that leads to PostgreSQL's in another one,
// by way of something that answers for the server, as poolers do: with another
// number of the session (BackendKeyData of the protocol: K, a length of 12, the
// process, a secret).
func poolOf(t *testing.T, dir string) string {
	t.Helper()
	const socket = "/.s.PGSQL.5432"
	pool := value[string](t)(os.MkdirTemp("", "pool-")) // a socket's path is short
	t.Cleanup(func() { _ = os.RemoveAll(pool) })
	l := value[net.Listener](t)(net.Listen("unix", pool+socket))
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("unix", dir+socket)
			if err != nil {
				_ = client.Close()
				continue
			}
			go func() {
				_, _ = io.Copy(server, client)
				_ = server.Close()
			}()
			go func() {
				defer client.Close()
				buf := make([]byte, 64<<10)
				for named := false; ; {
					n, err := server.Read(buf)
					if i := bytes.Index(buf[:n], []byte("K\x00\x00\x00\x0c")); !named && i >= 0 && i+9 <= n {
						named, buf[i+8] = true, buf[i+8]+1
					}
					if _, werr := client.Write(buf[:n]); err != nil || werr != nil {
						return
					}
				}
			}()
		}
	}()
	return pool
}
