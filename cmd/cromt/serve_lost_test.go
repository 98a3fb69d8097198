//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cromt/cromt/bot/githubtest"
	"github.com/cromt/cromt/bot/store/storetest"
)

// How much is lost in TestServeLosesNothing if anything is.
const (
	lostRepos   = 26 // each with an installation, whose requests go out one at a time
	lostCommits = 6  // of each; the last is a pull request's, too
	lostLetters = 200
	lostKills   = 20
)

// TestServeLosesNothing sends the App 200 deliveries, some twice, some late,
// some under another GUID, while it is killed 20 times and one call in ten, to
// GitHub and to the hosts, goes wrong. Every commit gets its one run, every job
// its one execution, every check run its one right conclusion.
// CROMT_TEST_SEED has it repeat what another time went wrong.
func TestServeLosesNothing(t *testing.T) {
	newLost(t, 1, "").run()
}

// TestServeReplicasLoseNothing is the same for two replicas that share a
// database, and are killed in turn.
func TestServeReplicasLoseNothing(t *testing.T) {
	p, err := storetest.StartPostgres()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	newLost(t, 2, p.Address("postgres")).run()
}

// lost is one such test.
type lost struct {
	t       *testing.T
	gh      *githubtest.Server
	dir     string
	sites   []*appSite // of each replica
	addrs   []atomic.Pointer[string]
	hosts   []*faultyHost
	commits []lostCommit
	letters []letter

	mu     sync.Mutex
	rng    *rand.Rand
	faults map[int]githubtest.Fault // of GitHub, by request
	kills  []restart
}

// lostCommit is a commit with two projects, b after a, and how they exit.
type lostCommit struct {
	repo *githubtest.Repo
	name string
	sha  string
	exit [2]int
}

// letter is a delivery.
type letter struct {
	event, guid string
	body        []byte
}

// restart is how long it took the App to be back.
type restart struct {
	at           time.Time
	ready, probe time.Duration
}

// newLost starts as many replicas of the App. database is that of PostgreSQL.
func newLost(t *testing.T, replicas int, database string) *lost {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("CROMT_TEST_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = n
	}
	t.Logf("CROMT_TEST_SEED=%d", seed)
	first := bareAppSite(t)
	l := &lost{
		t: t, gh: first.gh, dir: first.dir, rng: rand.New(rand.NewPCG(seed, 1)), addrs: make([]atomic.Pointer[string], replicas),
		faults: map[int]githubtest.Fault{},
	}
	l.gh.NoLimits()
	var hosts strings.Builder
	for i, name := range []string{"hostA", "hostB"} {
		l.hosts = append(l.hosts, newFaultyHost(t, rand.New(rand.NewPCG(seed, uint64(2+i)))))
		fmt.Fprintf(&hosts, "  - url: %s\n    name: %s\n    repos: [\"octo/*\"]\n", l.hosts[i].url, name)
	}
	if database == "" {
		database = "sqlite:" + filepath.Join(l.dir, "cromt.db")
	}
	first.configure(database, hosts.String(), "")
	if err := os.MkdirAll(filepath.Join(l.dir, "work", ".tom"), 0o755); err != nil {
		t.Fatal(err)
	}
	first.file("work/.tom/step.bash", "echo $ID >> $DIR/log\necho done\nexit $CODE\n")
	for range lostRepos {
		l.addRepo(first)
	}
	l.write()
	l.sites = []*appSite{first}
	for len(l.sites) < replicas {
		l.sites = append(l.sites, &appSite{t: t, gh: l.gh, dir: l.dir, log: &syncBuffer{}})
	}
	for i := range l.sites {
		l.start(i)
	}
	l.gh.Fault(l.fault)
	return l
}

// addRepo adds a repository with its commits and their deliveries.
func (l *lost) addRepo(site *appSite) {
	n := len(l.commits) / lostCommits
	name := fmt.Sprintf("octo/app%d", n)
	repo := l.gh.AddRepo(name)
	install := site.installation(name)
	for i := range lostCommits {
		c := lostCommit{repo: repo, name: name, sha: fmt.Sprintf("%040x", 1+len(l.commits))}
		switch len(l.commits) % 4 {
		case 1:
			c.exit[0] = 1
		case 2:
			c.exit[1] = 3
		}
		l.commits = append(l.commits, c)
		repo.AddCommit(c.sha)
		repo.SetFile(c.sha, "jobs.yaml", l.config(c))
		branch := fmt.Sprintf("branch%d", i/2) // two pushes of each
		l.letters = append(l.letters, letter{"push", l.guid(), payloadOf(name, install, pushOf(c.sha, "refs/heads/"+branch))})
		if i < lostCommits-1 {
			continue
		}
		repo.AddPull(githubtest.Pull{Number: 7, Title: "one", HeadSHA: c.sha, HeadRef: branch, BaseSHA: l.commits[len(l.commits)-2].sha})
		l.letters = append(l.letters, letter{"pull_request", l.guid(), payloadOf(name, install, pullOf(name, 7, c.sha, branch, l.commits[len(l.commits)-2].sha))})
	}
}

func (l *lost) config(c lostCommit) string {
	project := func(name string, host int, more string) string {
		return fmt.Sprintf("  %s:\n    path: %s/work\n    action: step\n    vars: {DIR: %s, ID: %s-%s, CODE: %d}\n    hosts: [{url: %q}]\n%s",
			name, l.dir, l.dir, c.sha, name, c.exit[host], l.hosts[host].url, more)
	}
	return "overlap: allow\nprojects:\n" + project("a", 0, "") + project("b", 1, "    trigger: {push: {branches: [\"**\"]}, pull_request: {}}\n    before:\n      - name: a\n")
}

func (l *lost) guid() string {
	return fmt.Sprintf("%08x-cc78-11e3-81ab-%012x", l.rng.Uint32(), l.rng.Uint64()>>16)
}

// write puts the letters in an order that GitHub does not promise either, with
// as many more of what was sent already, a third of it under another GUID.
func (l *lost) write() {
	l.rng.Shuffle(len(l.letters), func(i, j int) { l.letters[i], l.letters[j] = l.letters[j], l.letters[i] })
	for len(l.letters) < lostLetters {
		again := l.letters[l.rng.IntN(len(l.letters))]
		if len(l.letters)%3 == 0 {
			again.guid = l.guid()
		}
		l.letters = slices.Insert(l.letters, l.rng.IntN(len(l.letters)+1), again)
	}
}

// fault has one call of GitHub's in ten go wrong.
func (l *lost) fault(_ *http.Request, n int) *githubtest.Fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rng.IntN(10) != 0 {
		return nil
	}
	kinds := []githubtest.Fault{{Status: 500}, {Status: 502, Body: "<html>"}, {Status: 503}, {DropBefore: true}, {DropAfter: true}, {Garbage: true}}
	f := kinds[l.rng.IntN(len(kinds))]
	l.faults[n] = f
	return &f
}

func (l *lost) start(i int) {
	l.t.Helper()
	r := restart{at: time.Now()}
	l.sites[i].start()
	r.ready = time.Since(r.at)
	addr := l.sites[i].addr
	l.addrs[i].Store(&addr)
	resp, err := http.Get("http://" + addr + "/readyz")
	if err != nil {
		l.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		l.t.Fatalf("ready is answered %d", resp.StatusCode)
	}
	r.probe = time.Since(r.at)
	l.kills = append(l.kills, r)
}

// run is the test.
func (l *lost) run() {
	ctx, cancel := context.WithTimeout(l.t.Context(), 3*time.Minute)
	defer cancel()
	begin := time.Now()
	sent := make(chan int, 1)
	go func() { sent <- l.send(ctx) }()
	for n := range lostKills {
		l.pause(ctx)
		i := n % len(l.sites)
		l.sites[i].kill()
		l.start(i)
	}
	failed := <-sent
	l.t.Logf("sent after %.1f s, %d attempts failed", time.Since(begin).Seconds(), failed)
	l.wait(ctx)
	l.t.Logf("all concluded after %.1f s", time.Since(begin).Seconds())
	for _, s := range l.sites {
		s.terminate()
	}
	l.checkJobs()
	l.checkRuns()
	l.checkWrites()
	l.report()
}

// pause is until the next kill.
func (l *lost) pause(ctx context.Context) {
	l.mu.Lock()
	d := 300*time.Millisecond + time.Duration(l.rng.Int64N(int64(1200*time.Millisecond)))
	l.mu.Unlock()
	select {
	case <-time.After(d):
	case <-ctx.Done():
		l.t.Fatal("it takes too long")
	}
}

// send sends the letters as long as the kills last, to each replica in turn.
// What fails is sent again after the others, as who looks through the list of
// failed deliveries would. It returns how many attempts failed.
func (l *lost) send(ctx context.Context) (failed int) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	letters := slices.Clone(l.letters)
	for n := 0; len(letters) > 0; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return failed
		}
		next := letters[0]
		letters = letters[1:]
		status, err := sendLetter(ctx, *l.addrs[n%len(l.addrs)].Load(), next)
		if err != nil || status >= 500 {
			failed++
			letters = append(letters, next)
		} else if status != http.StatusAccepted && status != http.StatusOK {
			l.t.Errorf("a delivery was answered %d", status)
		}
	}
	return failed
}

func sendLetter(ctx context.Context, addr string, m letter) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/webhook", bytes.NewReader(m.body))
	if err != nil {
		return 0, err
	}
	signLetter(r, m)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// want is how the check runs of a commit end, by name.
func (c lostCommit) want() map[string]string {
	w := map[string]string{"cromt": "success", "cromt / a@hostA": "success", "cromt / b@hostB": "success"}
	switch {
	case c.exit[0] != 0:
		w["cromt"], w["cromt / a@hostA"], w["cromt / b@hostB"] = "failure", "failure", "skipped"
	case c.exit[1] != 0:
		w["cromt"], w["cromt / b@hostB"] = "failure", "failure"
	}
	return w
}

// wait waits until every commit has its check runs.
func (l *lost) wait(ctx context.Context) {
	l.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		open := l.open()
		if len(open) == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			l.t.Fatalf("%d are not concluded, the first is %s of %+v", len(open), open[0], l.commits[0].repo.CheckRuns())
		}
	}
}

// open are the check runs that are still to come.
func (l *lost) open() (open []string) {
	done := map[string]bool{}
	for i := 0; i < len(l.commits); i += lostCommits {
		for _, k := range l.commits[i].repo.CheckRuns() {
			if k.Status == "completed" {
				done[k.HeadSHA+" "+k.Name] = true
			}
		}
	}
	for _, c := range l.commits {
		for name := range c.want() {
			if !done[c.sha+" "+name] {
				open = append(open, c.name+" "+c.sha+" "+name)
			}
		}
	}
	return open
}

// checkJobs looks that each job ran once, and none that was to be skipped.
func (l *lost) checkJobs() {
	l.t.Helper()
	data, err := os.ReadFile(filepath.Join(l.dir, "log"))
	if err != nil {
		l.t.Fatal(err)
	}
	ran := map[string]int{}
	for id := range strings.FieldsSeq(string(data)) {
		ran[id]++
	}
	for _, c := range l.commits {
		for i, project := range []string{"a", "b"} {
			want := 1
			if i == 1 && c.exit[0] != 0 {
				want = 0
			}
			if id := c.sha + "-" + project; ran[id] != want {
				l.t.Errorf("job %s ran %d times, want %d", id, ran[id], want)
			}
			delete(ran, c.sha+"-"+project)
		}
	}
	if len(ran) > 0 {
		l.t.Errorf("ran too: %v", ran)
	}
}

// checkRuns looks that the check runs are those that are wanted, each once.
func (l *lost) checkRuns() {
	l.t.Helper()
	got := map[string]map[string]string{}
	external := map[string]bool{}
	for i := 0; i < len(l.commits); i += lostCommits {
		for _, k := range l.commits[i].repo.CheckRuns() {
			if external[k.ExternalID] {
				l.t.Errorf("%s of %s: its external_id %s is that of another", k.Name, k.HeadSHA, k.ExternalID)
			}
			external[k.ExternalID] = true
			if got[k.HeadSHA] == nil {
				got[k.HeadSHA] = map[string]string{}
			}
			if _, twice := got[k.HeadSHA][k.Name]; twice {
				l.t.Errorf("%s of %s is there twice", k.Name, k.HeadSHA)
			}
			got[k.HeadSHA][k.Name] = k.Conclusion
		}
	}
	for _, c := range l.commits {
		if fmt.Sprint(got[c.sha]) != fmt.Sprint(c.want()) {
			l.t.Errorf("%s: %v, want %v", c.sha, got[c.sha], c.want())
		}
	}
}

// checkWrites looks in what GitHub was asked for, and did, that what is
// completed was not completed again.
func (l *lost) checkWrites() {
	l.t.Helper()
	ended := map[string]int{} // by external_id
	said := map[string]string{}
	for i, r := range l.gh.Requests() {
		f := l.faults[i+1]
		gone := r.Status == 0 && !f.DropAfter // who sent it was killed before it took effect
		if f.Status != 0 || f.DropBefore || gone || r.Method == http.MethodGet || !strings.Contains(r.Path, "/check-runs") {
			continue
		}
		var body struct {
			Status   string
			External string `json:"external_id"`
			Output   struct{ Title string }
		}
		if err := json.Unmarshal([]byte(r.Body), &body); err != nil {
			l.t.Error(err)
		}
		if body.Status == "completed" {
			ended[body.External]++
		}
		said[body.External] += fmt.Sprintf("\n%s %s %s, %d: %s, %s", r.Time.Format("04:05.000"), r.Method, r.Path, r.Status, body.Status, body.Output.Title)
	}
	for external, n := range ended {
		if n > 1 {
			l.t.Errorf("check run %s was completed %d times:%s", external, n, said[external])
		}
	}
}

// terminate ends the process as its operator does.
func (s *appSite) terminate() {
	s.t.Helper()
	if err := s.process.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Error(err)
	}
	if err := s.process.Wait(); err != nil {
		s.t.Errorf("the App ended with %v", err)
	}
}
