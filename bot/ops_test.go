package bot_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"database/sql"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cromt/cromt/bot"
	"github.com/cromt/cromt/bot/event"
	"github.com/cromt/cromt/bot/githubapp"
	"github.com/cromt/cromt/bot/githubtest"
	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/flow"
)

var appKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

// place is where an App operates: a GitHub, a database, one repository.
type place struct {
	t         *testing.T
	gh        *githubtest.Server
	repo      *githubtest.Repo
	app       int64
	install   int64
	file      string // of the database
	store     *store.Store
	installed *bot.Installed
	sweeper   *bot.Sweeper
	scheduler *bot.Scheduler
	commits   int
}

const repoName = "octo/app"

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{t: t, gh: githubtest.New(t)}
	p.repo = p.gh.AddRepo(repoName)
	p.app = p.gh.AddApp("cromt", &appKey().PublicKey)
	p.install = p.gh.AddInstallation(p.app, "octo", []string{repoName}, map[string]string{
		"checks": "write", "pull_requests": "write", "issues": "write", "contents": "read", "metadata": "read",
	})
	p.file = filepath.Join(t.TempDir(), "cromt.db")
	s, err := store.Open(t.Context(), "sqlite:"+p.file, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	app, err := githubapp.New(githubapp.Config{
		AppID: p.app, PrivateKey: pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(appKey())}), HTTP: p.gh.Transport(),
	})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	p.store = s
	p.installed = &bot.Installed{Store: s, GitHub: app, ConfigPath: "jobs.yaml", Logger: log}
	p.sweeper = &bot.Sweeper{Store: s, GitHub: app, Logger: log}
	p.scheduler = &bot.Scheduler{Store: s, Installed: p.installed, Logger: log}
	return p
}

// commit moves the default branch to a commit with that configuration; none
// for "".
func (p *place) commit(config string) (sha string) {
	p.commits++
	sha = fmt.Sprintf("%040x", p.commits)
	p.repo.SetBranch("main", sha)
	if config != "" {
		p.repo.SetFile(sha, "jobs.yaml", config)
	}
	return sha
}

func (p *place) ok(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// know has the App get to know its repositories and their configuration.
func (p *place) know() {
	p.t.Helper()
	p.ok(p.installed.All(p.t.Context(), 0))
	p.ok(p.installed.Read(p.t.Context()))
}

// sql changes the database behind the store's back.
func (p *place) sql(query string) {
	p.t.Helper()
	db, err := sql.Open("sqlite", "file:"+p.file+"?_pragma=busy_timeout(5000)")
	p.ok(err)
	defer db.Close()
	_, err = db.ExecContext(p.t.Context(), query)
	p.ok(err)
}

// runs are those of a class, the oldest first.
func (p *place) runs(class string) []store.Row {
	p.t.Helper()
	page, err := p.store.Runs(p.t.Context(), store.Filter{Class: class})
	p.ok(err)
	slices.Reverse(page.Runs)
	return page.Runs
}

func TestSweepDeliveries(t *testing.T) {
	p := newPlace(t)
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d) }
	add := func(guid, event string, status int, at time.Time) int64 {
		return p.gh.AddDelivery(githubtest.Delivery{GUID: guid, Event: event, Action: "created", StatusCode: status, DeliveredAt: at})
	}
	stored := func(guid string) {
		_, err := p.store.Accept(t.Context(), store.Delivery{GUID: guid, Event: "push", Payload: []byte("{}"), ReceivedAt: time.Now()})
		p.ok(err)
	}
	add("too-old", "push", 502, ago(80*time.Hour))
	first := add("lost", "push", 502, ago(3*time.Hour))
	add("fine", "push", 202, ago(2*time.Hour))
	add("made-good", "push", 502, ago(2*time.Hour))
	add("taken", "push", 504, ago(2*time.Hour)) // the answer was lost
	stored("taken")
	add("of-no-use", "star", 502, ago(2*time.Hour))
	add("made-good", "push", 202, ago(time.Hour))
	second := add("comment", "issue_comment", 503, ago(time.Minute))
	sweep := func(want ...int64) {
		t.Helper()
		before := len(p.gh.Redeliveries())
		p.ok(p.sweeper.Deliveries(t.Context(), 0))
		if got := p.gh.Redeliveries()[before:]; !slices.Equal(got, want) {
			t.Errorf("asked for %v, want %v", got, want)
		}
	}
	sweep(first, second)
	sweep() // they are under way
	again := add("comment", "issue_comment", 503, time.Now())
	sweep() // asked for just now
	p.longAgo("comment")
	sweep(again)
	for range 20 {
		p.longAgo("comment")
		p.ok(p.sweeper.Deliveries(t.Context(), 0))
	}
	if n := len(p.gh.Redeliveries()); n != 9 { // "lost" and eight times "comment"
		t.Errorf("asked %d times in all", n)
	}
	if err := p.sweeper.Deliveries(t.Context(), time.Hour); err != nil || len(p.gh.Redeliveries()) != 9 {
		t.Errorf("swept before it is due: %v", err)
	}
}

// What was asked for and came while nobody was there is asked for again at
// once, some times; what somebody was there for is not.
func TestSweepAfterRestart(t *testing.T) {
	p := newPlace(t)
	add := func() int64 {
		return p.gh.AddDelivery(githubtest.Delivery{GUID: "lost", Event: "push", StatusCode: 502})
	}
	var want []int64
	for n := range 6 {
		id := add()
		if n < 4 { // at first, and restartAsks
			want = append(want, id)
		}
		p.ok(p.sweeper.Deliveries(t.Context(), 0))
		p.ok(p.sweeper.Deliveries(t.Context(), 0))
		if n == 0 {
			add() // while this process was there
			p.ok(p.sweeper.Deliveries(t.Context(), 0))
		}
		p.sweeper.Started = time.Now()
	}
	if got := p.gh.Redeliveries(); !slices.Equal(got, want) {
		t.Errorf("asked for %v, want %v", got, want)
	}
}

// What failed again just after it was asked for is looked at ten minutes later,
// and not in between, when more has to be listed for it each time.
func TestSweepKept(t *testing.T) {
	p := newPlace(t)
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d) }
	add := func(guid string, status int, at time.Time) int64 {
		return p.gh.AddDelivery(githubtest.Delivery{GUID: guid, Event: "push", StatusCode: status, DeliveredAt: at})
	}
	sweep := func(want int) {
		t.Helper()
		p.ok(p.sweeper.Deliveries(t.Context(), 0))
		if got := len(p.gh.Redeliveries()); got != want {
			t.Errorf("asked %d times, want %d", got, want)
		}
	}
	add("lost", 502, ago(30*time.Minute))
	sweep(1)
	add("lost", 502, ago(20*time.Minute))
	sweep(1)
	add("fine", 202, ago(0))
	sweep(1)
	p.longAgo("lost")
	sweep(1)
	p.sql(`UPDATE duties SET note = substr(note, 1, 42) || '2026-01-01T00:00:00Z'`)
	sweep(2)
}

// What GitHub has nothing of is not in the way of what came after it; with
// what fails otherwise the next turn begins.
func TestSweepRefused(t *testing.T) {
	p := newPlace(t)
	var ids []int64
	for n := range 3 {
		ids = append(ids, p.gh.AddDelivery(githubtest.Delivery{GUID: fmt.Sprint("g", n), Event: "push", StatusCode: 502, DeliveredAt: time.Now().Add(time.Duration(n-3) * time.Hour)}))
	}
	answers := map[int64]int{ids[0]: http.StatusNotFound, ids[2]: http.StatusForbidden}
	p.gh.Fault(func(r *http.Request, _ int) *githubtest.Fault {
		for id, status := range answers {
			if strings.HasSuffix(r.URL.Path, fmt.Sprintf("/%d/attempts", id)) {
				return &githubtest.Fault{Status: status, Body: `{"message":"no"}`}
			}
		}
		return nil
	})
	if err := p.sweeper.Deliveries(t.Context(), 0); err == nil {
		t.Error("that GitHub forbids it is no error")
	}
	if got := p.gh.Redeliveries(); !slices.Equal(got, ids[1:2]) {
		t.Errorf("asked for %v, want the second of %v", got, ids)
	}
	d, err := p.store.TakeDuty(t.Context(), "deliveries", 0)
	p.ok(err)
	if want := time.Now().Add(-2 * time.Hour).UTC().Format("2006-01-02T15:"); !strings.HasPrefix(d.Note, want) {
		t.Errorf("it has come to %q, want %s", d.Note, want)
	}
	p.ok(d.Release(t.Context()))
	clear(answers)
	p.ok(p.sweeper.Deliveries(t.Context(), 0))
	if got := p.gh.Redeliveries(); !slices.Equal(got, ids[1:]) {
		t.Errorf("asked for %v, want the last two of %v", got, ids)
	}
}

// longAgo makes it long since a delivery was last asked for.
func (p *place) longAgo(guid string) {
	p.t.Helper()
	p.sql(`UPDATE redeliveries SET asked_at = 1 WHERE guid = '` + guid + `'`)
}

// Within a minute so many are asked for, in however many turns; what is left is
// for the next minute, which lists no more than that.
func TestSweepManyDeliveries(t *testing.T) {
	p := newPlace(t)
	p.gh.NoLimits() // no minute passes
	var want []int64
	for i := range 210 {
		want = append(want, p.gh.AddDelivery(githubtest.Delivery{GUID: fmt.Sprint("g", i), Event: "push", StatusCode: 502, DeliveredAt: time.Now().Add(time.Duration(i-300) * time.Minute)}))
	}
	listed := 0
	for _, turn := range []struct{ asked, pages int }{{60, 3}, {60, 0}, {120, 2}} {
		if turn.asked > 60 {
			p.sql(`UPDATE redeliveries SET asked_at = asked_at - 60000000`)
		}
		p.ok(p.sweeper.Deliveries(t.Context(), time.Hour))
		if got := len(p.gh.Redeliveries()); got != turn.asked {
			t.Fatalf("asked for %d, want %d", got, turn.asked)
		}
		pages := -listed
		listed = 0
		for _, r := range p.gh.Requests() {
			if r.Method == http.MethodGet && r.Path == "/app/hook/deliveries" {
				listed++
			}
		}
		if pages += listed; pages != turn.pages {
			t.Errorf("%d pages were listed, want %d", pages, turn.pages)
		}
		// They come; the last is looked at once more.
		_, err := p.store.Accept(t.Context(), store.Delivery{GUID: fmt.Sprint("g", turn.asked-1), Event: "push", Payload: []byte("{}"), ReceivedAt: time.Now()})
		p.ok(err)
	}
	if got := p.gh.Redeliveries(); !slices.Equal(got, want[:120]) {
		t.Errorf("asked for %v", got)
	}
}

func TestSweepGivenUp(t *testing.T) {
	p := newPlace(t)
	_, err := p.store.Accept(t.Context(), store.Delivery{GUID: "g", Event: "push", Payload: []byte("{}"), ReceivedAt: time.Now()})
	p.ok(err)
	p.sql(`UPDATE deliveries SET state = 'failed'; DELETE FROM river_job`)
	worked := make(chan struct{}, 9)
	q, err := p.store.Start(t.Context(), store.Workers{
		Deliver: func(context.Context, int64) error { worked <- struct{}{}; return nil },
		Work:    func(context.Context, string) (time.Duration, error) { return 0, nil },
	})
	p.ok(err)
	defer func() { p.ok(q.Stop(context.Background())) }()
	p.ok(p.sweeper.Deliveries(t.Context(), 0))
	select {
	case <-worked:
	case <-time.After(20 * time.Second):
		t.Error("it is not worked again")
	}
}

func TestInstalledFollowsGitHub(t *testing.T) {
	p := newPlace(t)
	p.commit(scheduled)
	p.know()
	r, err := p.store.InstalledRepo(t.Context(), repoName)
	if err != nil || string(r.Config) != scheduled {
		t.Fatalf("%+v, %v", r, err)
	}
	before := len(p.gh.Requests())
	p.ok(p.installed.Read(t.Context()))
	if n := len(p.gh.Requests()) - before; n != 0 {
		t.Errorf("%d requests for what was just read", n)
	}
	p.gh.AddRepo("octo/new")
	p.gh.SetRepos(p.install, "octo/new")
	p.ok(p.installed.Changed(t.Context(), p.install))
	if _, err := p.store.InstalledRepo(t.Context(), repoName); err == nil {
		t.Error("a repository that was taken out is known")
	}
	if _, err := p.store.InstalledRepo(t.Context(), "octo/new"); err != nil {
		t.Error(err)
	}
	p.gh.Uninstall(p.install)
	p.ok(p.installed.Changed(t.Context(), p.install))
	if _, err := p.store.InstalledRepo(t.Context(), "octo/new"); err == nil {
		t.Error("a repository of an App that was removed is known")
	}
	p.ok(p.installed.All(t.Context(), 0))
}

func TestSweepPulls(t *testing.T) {
	p := newPlace(t)
	base := p.commit(scheduled)
	old := strings.Repeat("9", 40)
	p.repo.AddPull(githubtest.Pull{Number: 1, HeadSHA: old, HeadRef: "old", UpdatedAt: time.Now().Add(-time.Hour)}) // before the App was there
	p.know()
	lost, ran := strings.Repeat("a", 40), strings.Repeat("b", 40)
	p.repo.AddPull(githubtest.Pull{Number: 2, HeadSHA: ran, HeadRef: "ran"})
	p.ok(p.store.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, _, err := tx.CreateRun(ctx, &store.Run{ID: flow.NewRunID(), Key: "k", Class: bot.ClassCode, Repo: repoName, SHA: ran})
		return err
	}))
	p.repo.AddPull(githubtest.Pull{Number: 3, HeadSHA: lost, HeadRef: "lost", BaseSHA: base})
	p.repo.AddPull(githubtest.Pull{Number: 4, HeadSHA: lost, HeadRef: "closed", State: "closed"})
	fork := strings.Repeat("c", 40)
	p.repo.AddPull(githubtest.Pull{Number: 5, HeadSHA: fork, HeadRef: "main", HeadRepo: "guest/app", BaseSHA: base})
	for range 2 {
		p.ok(p.sweeper.Pulls(t.Context(), 0))
	}
	st, err := p.store.Stats(t.Context())
	p.ok(err)
	if st.Deliveries[store.DeliveryQueued] != 2 {
		t.Errorf("deliveries %v, want the two that were lost", st.Deliveries)
	}
	// The latest first.
	for id, want := range map[int64]struct {
		number int
		sha    string
		fork   bool
	}{1: {5, fork, true}, 2: {3, lost, false}} {
		d, err := p.store.Delivery(t.Context(), id)
		p.ok(err)
		ev, err := event.Parse(d.Event, d.Payload)
		p.ok(err)
		if got := ev.PullRequest; got.Number != want.number || got.HeadSHA != want.sha || got.Fork != want.fork || ev.Action != "synchronize" ||
			ev.Repo.FullName != repoName || ev.Repo.DefaultBranch != "main" || ev.Installation != p.install {
			t.Errorf("delivery %d: %+v of %+v", id, got, ev.Repo)
		}
	}
	for _, r := range p.gh.Requests() {
		if r.Method != http.MethodGet && !strings.HasSuffix(r.Path, "/access_tokens") {
			t.Errorf("%s %s", r.Method, r.Path)
		}
	}
}

// A repository without a configuration costs nothing.
func TestSweepPullsWithoutConfiguration(t *testing.T) {
	p := newPlace(t)
	p.commit("")
	p.know()
	p.repo.AddPull(githubtest.Pull{Number: 3, HeadSHA: strings.Repeat("a", 40), HeadRef: "x"})
	before := len(p.gh.Requests())
	p.ok(p.sweeper.Pulls(t.Context(), 0))
	if n := len(p.gh.Requests()) - before; n != 0 {
		t.Errorf("%d requests", n)
	}
}
