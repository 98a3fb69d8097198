// Package storetest starts databases for tests.
package storetest

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	_ "github.com/cromt/cromt/bot/store" // its driver
)

// Postgres is a private server of the PostgreSQL that is installed.
type Postgres struct {
	dir   string // of its data and its socket
	pipe  io.WriteCloser
	ended chan error
	err   bytes.Buffer
}

// script ends the server when this process does, however that is: it waits for
// the end of a pipe. Each line of it is a crash, and how long to be down, in
// seconds.
const script = `set -e; cd "$2"; bin=$1 dir=$2; shift 2
"$bin/initdb" -D data -A trust -U cromt -N --no-locale -E UTF8 >initdb.log 2>&1 || { cat initdb.log >&2; exit 1; }
begin() { "$bin/postgres" -D data -k "$dir" -c listen_addresses= -c fsync=off -c max_connections=200 -c log_min_messages=fatal "$@" & pid=$!; }
begin "$@"
while read -r down; do kill -QUIT $pid; wait $pid || true; sleep "$down"; begin "$@"; done
kill -QUIT $pid; wait $pid || true`

// StartPostgres starts a server and waits until it answers. It writes to no
// disk before it commits, unless a setting (fsync=on) says so. The error says
// so when none is installed.
func StartPostgres(settings ...string) (*Postgres, error) {
	bins, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(bins) == 0 {
		bins = []string{"/usr/bin", "/usr/local/bin"}
	}
	p := &Postgres{ended: make(chan error, 1)}
	if p.dir, err = os.MkdirTemp("", "store-test-"); err != nil {
		return nil, err
	}
	if err := p.start(slices.Max(bins), settings); err != nil {
		_ = os.RemoveAll(p.dir)
		return nil, fmt.Errorf("these tests need PostgreSQL; on Debian: apt-get install postgresql: %w", err)
	}
	return p, nil
}

func (p *Postgres) start(bin string, settings []string) error {
	args := []string{"sh", "-c", script, "sh", bin, p.dir}
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	if os.Getuid() == 0 { // which the server refuses to run as
		if out, err := exec.CommandContext(context.Background(), "chown", "postgres", p.dir).CombinedOutput(); err != nil { //nolint:gosec // tests alone
			return fmt.Errorf("chown: %s", out)
		}
		args = append([]string{"runuser", "-u", "postgres", "--"}, args...)
	}
	cmd := exec.CommandContext(context.Background(), args[0], args[1:]...) //nolint:gosec // tests alone
	cmd.Stderr = &p.err
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	p.pipe = pipe
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { p.ended <- cmd.Wait() }()
	for {
		select {
		case err := <-p.ended:
			return fmt.Errorf("postgres: %w: %s", err, p.err.Bytes())
		case <-time.After(20 * time.Millisecond):
		}
		if p.Exec("SELECT 1") == nil {
			return nil
		}
	}
}

// Crash ends the server at once, as `pg_ctl stop -m immediate` does, and starts
// it again some time later. It returns when it answers.
func (p *Postgres) Crash(down time.Duration) error {
	if _, err := fmt.Fprintln(p.pipe, down.Seconds()); err != nil {
		return fmt.Errorf("postgres crash: %w", err)
	}
	for begin := time.Now(); time.Since(begin) < time.Minute; time.Sleep(20 * time.Millisecond) {
		if up, err := p.upSince(); err == nil && up.After(begin) {
			return nil
		}
	}
	return errors.New("postgres crash: it is not back within a minute")
}

// upSince is when the server was started.
func (p *Postgres) upSince() (at time.Time, err error) {
	db, err := sql.Open("pgx", p.Address("postgres"))
	if err != nil {
		return at, err
	}
	err = db.QueryRowContext(context.Background(), "SELECT pg_postmaster_start_time()").Scan(&at)
	return at, errors.Join(err, db.Close())
}

// Stop ends the server and removes what it has.
func (p *Postgres) Stop() {
	_ = p.pipe.Close()
	<-p.ended //nolint:errcheck // it was told to quit
	_ = os.RemoveAll(p.dir)
}

// Address is that of a database, for [store.Open].
func (p *Postgres) Address(db string) string { return "postgres://cromt@/" + db + "?host=" + p.dir }

// Exec has the server do something that concerns all its databases.
func (p *Postgres) Exec(query string) error {
	db, err := sql.Open("pgx", p.Address("postgres"))
	if err != nil {
		return err
	}
	_, err = db.ExecContext(context.Background(), query)
	return errors.Join(err, db.Close())
}
