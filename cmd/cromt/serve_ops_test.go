//go:build unix

package main

import (
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cromt/cromt/bot/githubtest"
	"github.com/cromt/cromt/bot/store/storetest"
)

// A delivery that failed while the App was down is asked for again when it
// starts, one that it has is not; a pull request that it was not told of gets
// its run.
func TestServeSweepsAtStart(t *testing.T) {
	t.Parallel()
	s := newAppSite(t, "")
	flow := s.onHosts("echo hello\n", "")
	first := strings.Repeat("a", 40)
	s.push(first, map[string]string{"jobs.yaml": flow})
	s.concluded("cromt", first)
	s.stop()
	add := func(guid string, status int) int64 {
		return s.gh.AddDelivery(githubtest.Delivery{GUID: guid, Event: "push", StatusCode: status, DeliveredAt: time.Now()})
	}
	add("00000001-cc78-11e3-81ab-4c9367dc0958", 504) // it was taken: see deliver
	lost := add("f0000000-cc78-11e3-81ab-4c9367dc0958", 502)
	head := strings.Repeat("d", 40)
	s.repo.AddPull(githubtest.Pull{Number: 7, Title: "More", HeadSHA: head, HeadRef: "topic", BaseSHA: first})
	s.repo.SetFile(head, "jobs.yaml", flow)
	s.later()
	s.start()
	if k := s.concluded("cromt", head); k.Conclusion != "success" {
		t.Errorf("%+v", k)
	}
	s.eventually("the delivery is asked for", func() bool { return len(s.gh.Redeliveries()) > 0 })
	if got := s.gh.Redeliveries(); !slices.Equal(got, []int64{lost}) {
		t.Errorf("asked for %v, want %d", got, lost)
	}
}

// stop ends the process as who operates it does.
func (s *appSite) stop() {
	s.t.Helper()
	if err := s.process.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	if err := s.process.Wait(); err != nil {
		s.t.Errorf("the App ended with %v", err)
	}
}

// later makes it long since the App, which is down, did anything.
func (s *appSite) later() {
	s.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(s.dir, "cromt.db"))
	if err == nil {
		_, err = db.ExecContext(s.t.Context(), `UPDATE duties SET done_at = 0; UPDATE repos SET pulls_at = 0`)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	db.Close()
}

// Two replicas share a database: a schedule that is due makes one run, at the
// head of the default branch, and its check is not the one that is required.
func TestServeScheduleOnce(t *testing.T) {
	t.Parallel()
	pg := startPostgres(t)
	s := newAppSite(t, "")
	s.kill()
	config, err := os.ReadFile(filepath.Join(s.dir, "bot.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(config), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "database:") {
			lines[i] = "database: " + pg.address
		}
	}
	s.file("bot.yaml", strings.Join(lines, "\n"))
	sha := strings.Repeat("b", 40)
	flow := strings.Replace(s.onHosts("echo run >> $DIR/log\n", ""), "    trigger: true\n", "    crontab: \"0 * * * *\"\n", 1)
	s.repo.SetFile(sha, "jobs.yaml", flow)
	s.repo.SetBranch("main", sha)
	s.start()
	s.start() // another one; the first is ended with the test
	s.eventually("the schedule is known", func() bool { return pg.query(t, "SELECT count(*) FROM schedules") == "1" })
	pg.query(t, "UPDATE schedules SET since = since - 3600000000 * 2, due_at = 1")
	k := s.concluded("cromt / manual", sha)
	if k.Conclusion != "success" {
		t.Errorf("%+v", k)
	}
	// One that has seen it due at the same moment comes to it second.
	pg.query(t, "UPDATE schedules SET due_at = 1")
	s.eventually("it was looked at once more", func() bool { return pg.query(t, "SELECT count(*) FROM schedules WHERE due_at > 1") == "1" })
	if n := pg.query(t, "SELECT count(*) FROM runs"); n != "1" {
		t.Errorf("%s runs", n)
	}
	if log, _ := os.ReadFile(filepath.Join(s.dir, "log")); string(log) != "run\nrun\n" { // on two hosts
		t.Errorf("ran %q", log)
	}
}

// What a push to the default branch says of schedules is learned from it, and
// a repository that is taken out of the installation is forgotten.
func TestServeLearns(t *testing.T) {
	t.Parallel()
	s := newAppSite(t, "")
	count := func(table, want string) {
		t.Helper()
		s.eventually(want+" "+table, func() bool { return s.sql("SELECT count(*) FROM "+table) == want })
	}
	count("repos", "1") // from the start
	flow := "projects:\n  app: {path: /x, crontab: \"0 3 1 1 *\"}\n"
	s.push(strings.Repeat("a", 40), map[string]string{"jobs.yaml": flow})
	count("schedules", "1")
	s.push(strings.Repeat("b", 40), map[string]string{"jobs.yaml": "projects:\n  app: {path: /x}\n"})
	count("schedules", "0")
	s.push(strings.Repeat("c", 40), map[string]string{"jobs.yaml": flow})
	count("schedules", "1")
	s.gh.SetRepos(s.install)
	code := s.deliver("installation_repositories", map[string]any{
		"action": "removed", "repository_selection": "selected", "repositories_added": []any{},
		"repositories_removed": []any{map[string]any{"id": 1, "name": "app", "full_name": actionRepo}},
		"installation":         map[string]any{"id": s.install, "account": map[string]any{"login": "octo", "id": 1}},
	})
	if code != http.StatusAccepted {
		t.Errorf("delivery: %d", code)
	}
	count("repos", "0")
	count("schedules", "0")
}

// sql is the first value that a query of the App's database has.
func (s *appSite) sql(query string) string {
	s.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.dir, "cromt.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Close()
	var value string
	if err := db.QueryRowContext(s.t.Context(), query).Scan(&value); err != nil {
		s.t.Fatal(err)
	}
	return value
}

// testPostgres is a server of a test's own.
type testPostgres struct {
	*storetest.Postgres
	address string
}

// startPostgres starts a server, until the test ends, or this process does.
func startPostgres(t *testing.T) testPostgres {
	t.Helper()
	pg, err := storetest.StartPostgres()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pg.Stop)
	return testPostgres{pg, pg.Address("postgres")}
}

func (pg testPostgres) try(query string) (string, error) {
	out, err := exec.Command("psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-c", query, pg.address).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

func (pg testPostgres) query(t *testing.T, query string) string {
	t.Helper()
	out, err := pg.try(query)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
