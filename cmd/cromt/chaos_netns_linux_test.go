package main_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky/sparkytest"
)

// sparkyVariable makes TestChaosSparkyHost a host with a real Sparky's manners
// at that address.
const sparkyVariable = "CROMT_CHAOS_SPARKY"

// cutNetwork is a network of its own with one host, whose cable can be pulled.
type cutNetwork struct {
	t    *testing.T
	name string
	addr string // of the host
	here string // our end
}

// ip calls that program.
func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// newCutNetwork returns nil where there is no right to make one.
func newCutNetwork(t *testing.T, n int) *cutNetwork {
	t.Helper()
	tag := fmt.Sprintf("%d%d", n, os.Getpid()%100_000)
	subnet := fmt.Sprintf("198.18.%d.", 80+(2*os.Getpid()+n)%170)
	c := &cutNetwork{t: t, name: "cut" + tag, addr: subnet + "2:4000", here: "cuto" + tag}
	if err := ip("netns", "add", c.name); err != nil {
		t.Logf("networks of their own are not to be had here, so this is not tried: %v", err)
		return nil
	}
	t.Cleanup(func() {
		_ = ip("link", "del", c.here)
		_ = ip("netns", "del", c.name)
	})
	for _, args := range [][]string{
		{"link", "add", c.here, "type", "veth", "peer", "name", "cuti" + tag, "netns", c.name},
		{"addr", "add", subnet + "1/30", "dev", c.here}, {"link", "set", c.here, "up"},
		{"-n", c.name, "addr", "add", subnet + "2/30", "dev", "cuti" + tag}, {"-n", c.name, "link", "set", "cuti" + tag, "up"}, {"-n", c.name, "link", "set", "lo", "up"},
	} {
		if err := ip(args...); err != nil {
			t.Logf("networks of their own are not to be had here, so this is not tried: %v", err)
			return nil
		}
	}
	return c
}

// cut loses every packet that the host sends, without a word, until mend.
func (c *cutNetwork) cut() (mend func()) {
	c.t.Helper()
	gateway := c.addr[:strings.LastIndexByte(c.addr, '.')] + ".1/32"
	if err := ip("-n", c.name, "route", "add", "blackhole", gateway); err != nil {
		c.t.Fatal(err)
	}
	return func() {
		if err := ip("-n", c.name, "route", "del", "blackhole", gateway); err != nil {
			c.t.Error(err)
		}
	}
}

// TestChaosPartition cuts hosts off for some seconds while flows run on them:
// nothing is lost by that. One that stays away is noticed.
func TestChaosPartition(t *testing.T) {
	t.Parallel()
	seed, began := chaosSeed(t), time.Now()
	var c tally
	defer func() { c.log(t, began) }()
	t.Run("hosts", func(t *testing.T) {
		for i, kind := range []string{"agent", "sparky"} {
			t.Run(kind, func(t *testing.T) {
				t.Parallel()
				network := newCutNetwork(t, i)
				if network == nil {
					return
				}
				s := newChaosSite(t, rand.New(rand.NewPCG(seed, uint64(400+i))))
				s.addr, s.wrap = network.addr, []string{"ip", "netns", "exec", network.name}
				token := filepath.Join(s.dir, "token")
				write(t, token, "of-the-host")
				if kind == "agent" {
					s.startAgent("--token-file", token)
				} else {
					s.startSparky(network)
				}
				for range chaosCount(1, 25) {
					s.cutOff(network, kind, &c)
				}
				for range chaosCount(0, 4) {
					s.loseHost(network, kind, &c)
				}
				if kind == "agent" {
					s.endAgent(syscall.SIGTERM)
				}
				noSecret(t, s.dir)
			})
		}
	})
}

// cutOff has a flow run on a host that is away for some seconds.
func (s *chaosSite) cutOff(network *cutNetwork, kind string, c *tally) {
	s.t.Helper()
	d := s.newRun(s.url(), 5, 12)
	p := s.start(d, "--host-token", s.url()+"=of-the-host")
	if p.wait(200*time.Millisecond + time.Duration(s.rng.IntN(800))*time.Millisecond) {
		return
	}
	mend := network.cut()
	p.wait(time.Second + time.Duration(s.rng.IntN(chaosCount(1000, 7000)))*time.Millisecond)
	mend()
	c.add("cuts: "+kind, 1)
	at := time.Now()
	if !p.wait(chaosRunLimit) {
		s.t.Errorf("%s hangs", d.dir)
		return
	}
	c.took("from the mending to the run's end: "+kind, time.Since(at))
	a := d.read(s.t)
	a.check(s.t)
	a.undisturbed(s.t)
	d.noOrphans(s.t)
}

// loseHost has a long job run on a host that goes away and does not come back
// before the run has given it up.
func (s *chaosSite) loseHost(network *cutNetwork, kind string, c *tally) {
	s.t.Helper()
	s.runs++
	d := &dag{dir: filepath.Join(s.dir, fmt.Sprintf("run%d", s.runs)), mark: fmt.Sprintf("%x", s.rng.Uint64()), jobs: []dagJob{{naps: 90_000}}}
	if kind == "sparky" {
		d.jobs[0].naps /= 10 // see playStep
	}
	d.write(s.t, s.scripts, s.url())
	p := s.start(d, "--host-token", s.url()+"=of-the-host")
	if p.wait(2*time.Second + time.Duration(s.rng.IntN(3000))*time.Millisecond) {
		s.t.Fatalf("%s ended before its host was away: %s", d.dir, tail(d.path("out")))
	}
	mend := network.cut()
	at, noticed := time.Now(), time.Duration(0)
	for !p.wait(50*time.Millisecond) && time.Since(at) < chaosRunLimit {
		if noticed == 0 && strings.Contains(tail(d.path("out")), "host does not answer") {
			noticed = time.Since(at)
		}
	}
	c.took("until a dead host was noticed: "+kind, noticed)
	c.took("until its job was given up: "+kind, time.Since(at))
	mend()
	a := d.read(s.t)
	a.check(s.t)
	if !a.lost[0] || a.ends[0] != flow.Failure || noticed == 0 {
		s.t.Errorf("%s: %s, lost %t, noticed after %v: %s", d.dir, a.ends[0], a.lost[0], noticed, tail(d.path("out")))
	}
}

// startSparky starts the host as a process of its own.
func (s *chaosSite) startSparky(network *cutNetwork) {
	s.t.Helper()
	cmd := exec.Command("ip", "netns", "exec", network.name, os.Args[0], "-test.run=^TestChaosSparkyHost$")
	cmd.Env = append(os.Environ(), sparkyVariable+"="+network.addr)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", network.addr)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(end) {
			s.t.Fatal(err)
		}
	}
}

// TestChaosSparkyHost is the host, as a process of its own.
func TestChaosSparkyHost(t *testing.T) {
	addr := os.Getenv(sparkyVariable)
	if addr == "" {
		return
	}
	fake := sparkytest.NewFake(sparkytest.FakeConfig{Token: "of-the-host", Scan: 100 * time.Millisecond, Start: 100 * time.Millisecond, Run: playStep})
	defer fake.Close()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Error(http.Serve(ln, fake)) // until it is killed
}
