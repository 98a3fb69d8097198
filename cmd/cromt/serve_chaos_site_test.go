//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cromt/cromt/bot/githubtest"
	"github.com/cromt/cromt/bot/store/storetest"
	"github.com/cromt/cromt/sparky/sparkytest"
)

// chaosShare is how much of the chaos CROMT_CHAOS asks for: 1 for "full", a
// share like 0.1 of it, or 0 for the little that the ordinary tests have.
func chaosShare(t *testing.T) float64 {
	t.Helper()
	switch text := os.Getenv("CROMT_CHAOS"); text {
	case "":
		return 0
	case "full":
		return 1
	default:
		share, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatal(err)
		}
		return share
	}
}

// chaosPlan is how much of what happens to the App.
type chaosPlan struct {
	replicas int
	postgres *storetest.Postgres // nil: SQLite
	// repos, each with an installation, whose requests go out one at a time;
	// commits of each, the last pulls of them heads of pull requests, too.
	repos, commits, pulls int
	// chained: each commit has two jobs, the second after the first, and some
	// fail; else it has one.
	chained bool
	// letters with those that are sent again, forged ones among them.
	letters, forged int
	senders         int
	pace            time.Duration // between two letters of one sender
	// sweeps: what was not taken comes again when the App asks for it, else
	// the sender does so by itself.
	sweeps bool
	// kills, spread over the letters, each after up to storm more; or, if
	// killEvery is not 0, one each time, whose restart is not waited for.
	kills     int
	storm     time.Duration
	killEvery time.Duration
	// crashes of PostgreSQL, one each time, and how often all of its
	// connections are ended.
	crashes              int
	crashEvery, endEvery time.Duration
	// faults and hostFaults: one call of GitHub's and of the hosts' in so many
	// goes wrong; 0: none does.
	faults, hostFaults int
	// fault is what goes wrong; nil: what passes soon.
	fault  func(*rand.Rand, *http.Request) *githubtest.Fault
	limits bool          // GitHub's are in force
	limit  time.Duration // of the test; 0: eight minutes, several times what it takes
}

// chaos is the App while much goes wrong around it.
type chaos struct {
	t       *testing.T
	plan    chaosPlan
	gh      *githubtest.Server
	dir     string
	sites   []*appSite // of each replica
	addrs   []atomic.Pointer[string]
	hosts   []*faultyHost
	commits []chaosCommit
	letters []letter
	forged  map[string]bool // their commits
	secrets map[string]string
	counts  tallies
	sent    atomic.Int64
	post    postOffice

	killing sync.Mutex // held to kill the App
	mu      sync.Mutex
	rng     *rand.Rand
	faults  map[int]githubtest.Fault // of GitHub, by request
	kills   []restart
}

// chaosCommit is a commit with two projects, b after a, and how they exit, or
// with b alone.
type chaosCommit struct {
	repo *githubtest.Repo
	name string
	sha  string
	exit [2]int
}

// letter is a delivery.
type letter struct {
	event, guid string
	body        []byte
	forged      bool
}

// restart is how long it took the App to be back.
type restart struct {
	at           time.Time
	ready, probe time.Duration
}

// newChaos starts the App with all that it needs, beside other tests: it waits
// for most of the time.
func newChaos(t *testing.T, p chaosPlan) *chaos {
	t.Helper()
	t.Parallel()
	seed := sparkytest.Seed(t, uint64(time.Now().UnixNano()))
	first := bareAppSite(t)
	c := &chaos{
		t: t, plan: p, gh: first.gh, dir: first.dir, rng: rand.New(rand.NewPCG(seed, 1)), addrs: make([]atomic.Pointer[string], p.replicas),
		faults: map[int]githubtest.Fault{}, forged: map[string]bool{},
	}
	if !p.limits {
		c.gh.NoLimits()
	}
	c.hide(first)
	first.configure(c.database(), c.startHosts(seed), "secrets_dir: secrets\n")
	if err := os.MkdirAll(filepath.Join(c.dir, "work", ".tom"), 0o755); err != nil {
		t.Fatal(err)
	}
	first.file("work/.tom/step.bash", "echo $ID >> $DIR/log\necho done with $CHAOS\nexit $CODE\n")
	for range p.repos {
		c.addRepo(first)
	}
	c.write()
	c.sites = []*appSite{first}
	for len(c.sites) < p.replicas {
		c.sites = append(c.sites, &appSite{t: t, gh: c.gh, dir: c.dir, log: &syncBuffer{}})
	}
	for i := range c.sites {
		if err := c.start(i); err != nil {
			t.Fatal(err)
		}
	}
	c.gh.Fault(c.fault)
	return c
}

func (c *chaos) database() string {
	if c.plan.postgres != nil {
		return c.plan.postgres.Address("postgres")
	}
	return "sqlite:" + filepath.Join(c.dir, "cromt.db")
}

func (c *chaos) startHosts(seed uint64) string {
	c.t.Helper()
	var hosts strings.Builder
	for i, name := range []string{"hostA", "hostB"} {
		h := newFaultyHost(c.t, rand.New(rand.NewPCG(seed, uint64(2+i))), c.plan.hostFaults, "--token-file", filepath.Join(c.dir, "token"))
		c.hosts = append(c.hosts, h)
		fmt.Fprintf(&hosts, "  - url: %s\n    name: %s\n    token_file: token\n    repos: [\"octo/*\"]\n", h.url, name)
	}
	return hosts.String()
}

// addRepo adds a repository with its commits and their deliveries.
func (c *chaos) addRepo(site *appSite) {
	n := len(c.commits) / c.plan.commits
	name := fmt.Sprintf("octo/app%d", n)
	repo := c.gh.AddRepo(name)
	install := site.installation(name)
	c.secret(name)
	for i := range c.plan.commits {
		k := chaosCommit{repo: repo, name: name, sha: fmt.Sprintf("%040x", 1+len(c.commits))}
		switch len(c.commits) % 4 {
		case 1:
			k.exit[0] = 1
		case 2:
			k.exit[1] = 3
		}
		c.commits = append(c.commits, k)
		repo.AddCommit(k.sha)
		repo.SetFile(k.sha, "jobs.yaml", c.config(k))
		branch := fmt.Sprintf("branch%d", i/2) // two pushes of each
		c.letters = append(c.letters, letter{event: "push", guid: c.guid(), body: payloadOf(name, install, pushOf(k.sha, "refs/heads/"+branch))})
		if i < c.plan.commits-c.plan.pulls {
			continue
		}
		base := fmt.Sprintf("%040x", 1) // whichever: it goes into nothing
		repo.AddPull(githubtest.Pull{Number: 7 + i, Title: "one", HeadSHA: k.sha, HeadRef: branch, BaseSHA: base})
		c.letters = append(c.letters, letter{event: "pull_request", guid: c.guid(), body: payloadOf(name, install, pullOf(name, 7+i, k.sha, branch, base))})
	}
	for range (c.plan.forged + n) / c.plan.repos { // as evenly as it goes
		sha := fmt.Sprintf("ff%038x", len(c.forged)+1)
		c.forged[sha] = true
		repo.AddCommit(sha)
		repo.SetFile(sha, "jobs.yaml", c.config(chaosCommit{sha: sha}))
		c.letters = append(c.letters, letter{event: "push", guid: c.guid(), body: payloadOf(name, install, pushOf(sha, "refs/heads/forged")), forged: true})
	}
}

// config is the commit's jobs.yaml.
func (c *chaos) config(k chaosCommit) string {
	project := func(name string, host int, more string) string {
		return fmt.Sprintf("  %s:\n    path: %s/work\n    action: step\n    secrets: [CHAOS]\n    vars: {DIR: %s, ID: %s-%s, CODE: %d}\n    hosts: [{url: %q}]\n%s",
			name, c.dir, c.dir, k.sha, name, k.exit[host], c.hosts[host].url, more)
	}
	const trigger = "    trigger: {push: {branches: [\"**\"]}, pull_request: {}}\n"
	if !c.plan.chained {
		return "overlap: allow\nprojects:\n" + project("b", 1, trigger)
	}
	return "overlap: allow\nprojects:\n" + project("a", 0, "") + project("b", 1, trigger+"    before:\n      - name: a\n")
}

func (c *chaos) guid() string {
	return fmt.Sprintf("%08x-cc78-11e3-81ab-%012x", c.rng.Uint32(), c.rng.Uint64()>>16)
}

// fault has one call of GitHub's in so many go wrong.
func (c *chaos) fault(r *http.Request, n int) *githubtest.Fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.plan.faults == 0 || c.rng.IntN(c.plan.faults) != 0 {
		return nil
	}
	kinds := []githubtest.Fault{{Status: 500}, {Status: 502, Body: "<html>"}, {Status: 503}, {DropBefore: true}, {DropAfter: true}, {Garbage: true}}
	f := &kinds[c.rng.IntN(len(kinds))]
	if c.plan.fault != nil {
		f = c.plan.fault(c.rng, r)
	}
	if f != nil {
		c.faults[n] = *f
	}
	return f
}

// start starts a replica and waits until it says that it is ready. Where the
// database is made to crash, and is away for up to two seconds, it is started
// again and again, as a supervisor does.
func (c *chaos) start(i int) error {
	r := restart{at: time.Now()}
	err := c.tryStart(i, &r)
	for err != nil && c.plan.crashes > 0 && time.Since(r.at) < time.Minute {
		c.counts.add("starts that failed", 1)
		c.sites[i].kill()
		time.Sleep(100 * time.Millisecond)
		err = c.tryStart(i, &r)
	}
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kills = append(c.kills, r)
	return nil
}

func (c *chaos) tryStart(i int, r *restart) error {
	if err := c.sites[i].tryStart(); err != nil {
		return err
	}
	r.ready = time.Since(r.at)
	addr := c.sites[i].addr
	_, err := getText("http://" + addr + "/readyz")
	for n := 0; errors.Is(err, errNotOK) && c.plan.crashes > 0 && n < 1000; n++ {
		time.Sleep(10 * time.Millisecond)
		_, err = getText("http://" + addr + "/readyz")
	}
	if err != nil {
		return err
	}
	r.probe = time.Since(r.at)
	c.addrs[i].Store(&addr)
	return nil
}

// context is that of the whole test.
func (c *chaos) context() (context.Context, context.CancelFunc) {
	limit := c.plan.limit
	if limit == 0 {
		limit = 8 * time.Minute
	}
	return context.WithTimeout(c.t.Context(), limit)
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
