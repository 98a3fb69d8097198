//go:build unix

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func sumOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func readFileText(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// listeningPorts returns what TCP sockets of a process listen at.
func listeningPorts(t *testing.T, pid int) (found []string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		return nil // elsewhere the logic is the same
	}
	proc := "/proc/" + strconv.Itoa(pid)
	fds, err := os.ReadDir(proc + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	mine := map[string]bool{}
	for _, fd := range fds {
		if to, err := os.Readlink(proc + "/fd/" + fd.Name()); err == nil && strings.HasPrefix(to, "socket:[") {
			mine[strings.TrimSuffix(strings.TrimPrefix(to, "socket:["), "]")] = true
		}
	}
	if len(mine) == 0 {
		t.Error("the agent has no socket at all")
	}
	for _, table := range []string{"tcp", "tcp6"} {
		data, err := os.ReadFile(proc + "/net/" + table)
		if err != nil {
			continue // no IPv6
		}
		for line := range strings.Lines(string(data)) {
			f := strings.Fields(line)
			if len(f) > 9 && f[3] == "0A" && mine[f[9]] {
				found = append(found, f[1])
			}
		}
	}
	return found
}

// balancer spreads connections over replicas, one after the other.
type balancer struct {
	net.Listener
	to   atomic.Pointer[[]string]
	turn atomic.Int64

	mu    sync.Mutex
	conns []net.Conn
}

// cut ends all connections that pass.
func (b *balancer) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.conns {
		c.Close()
	}
	b.conns = nil
}

func newBalancer(t *testing.T, to ...string) *balancer {
	t.Helper()
	return newBalancerAt(t, "127.0.0.1:0", to...)
}

func newBalancerAt(t *testing.T, address string, to ...string) *balancer {
	t.Helper()
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{Listener: ln}
	b.to.Store(&to)
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go b.pass(c)
		}
	}()
	return b
}

func (b *balancer) pass(c net.Conn) {
	defer c.Close()
	b.mu.Lock()
	b.conns = append(b.conns, c)
	b.mu.Unlock()
	to := *b.to.Load()
	d, err := net.Dial("tcp", to[int(b.turn.Add(1))%len(to)])
	if err != nil {
		return
	}
	defer d.Close()
	go func() {
		_, _ = io.Copy(d, c)
		d.Close()
	}()
	_, _ = io.Copy(c, d)
}

// A connection that is cut while a job runs is made anew, and the job goes on.
func TestServeRegisterCut(t *testing.T) {
	t.Parallel()
	s := newPoolSite(t, "")
	front := newBalancer(t, s.addr)
	a := s.connected(s.register("http://"+front.Addr().String(), "vm-1", "--join-token-file", filepath.Join(s.dir, "token")))
	sha := strings.Repeat("a", 40)
	s.push(sha, map[string]string{"jobs.yaml": s.onPool("echo run >> $DIR/log\nuntil test -e $DIR/gate; do sleep 0.05; done\necho end\n", "")})
	s.eventually("it runs", func() bool { return s.said() == "run\n" })
	front.cut()
	s.eventually("it is connected again", func() bool { return strings.Count(a.log.String(), "msg=connected") == 2 })
	s.file("gate", "")
	if k := s.concluded("cromt", sha); k.Conclusion != "success" {
		t.Errorf("%+v", k)
	}
	if s.said() != "run\n" {
		t.Errorf("ran %q", s.said())
	}
}

// Two replicas share a database, behind an address that spreads connections
// over them: an agent is connected to both, jobs of both run there, and when
// one replica is killed the other goes on with its runs.
func TestServeRegisterReplicas(t *testing.T) {
	t.Parallel()
	pg := startPostgres(t)
	s := newPoolSite(t, pg.address)
	firstAddr, first := s.addr, s.process
	s.start()
	front := newBalancer(t, firstAddr, s.addr)
	url, token := "http://"+front.Addr().String(), filepath.Join(s.dir, "token")
	s.register(url, "vm-1", "--join-token-file", token, "--max-jobs", "4")
	s.register(url, "vm-2", "--join-token-file", token, "--max-jobs", "4")
	s.eventually("both agents are connected to both", func() bool { return pg.query(t, "SELECT count(*) FROM member_links") == "4" })
	script := "echo ${HOME##*/} >> $DIR/log\nuntil test -e $DIR/gate; do sleep 0.05; done\n"
	shas := []string{strings.Repeat("a", 40), strings.Repeat("b", 40), strings.Repeat("c", 40), strings.Repeat("d", 40)}
	for _, sha := range shas {
		// A project of their own: on one host jobs of one project take turns.
		file := strings.Replace(s.onPool(script, "    workers: 2\n"), "  app:", "  app"+sha[:1]+":", 1)
		s.push(sha, map[string]string{"jobs.yaml": "overlap: allow\n" + file})
	}
	s.eventually("all eight run", func() bool { return len(strings.Fields(s.said())) == 8 })
	if n := pg.query(t, "SELECT count(DISTINCT owner) FROM leases WHERE owner <> ''"); n == "0" {
		t.Errorf("%s replicas work", n)
	}
	front.to.Store(&[]string{s.addr})
	_ = first.Process.Kill() // a crash
	_, _ = first.Process.Wait()
	s.file("gate", "")
	for _, sha := range shas {
		if k := s.concluded("cromt", sha); k.Conclusion != "success" {
			t.Errorf("%+v", k)
		}
	}
	if n := len(strings.Fields(s.said())); n != 8 {
		t.Errorf("ran %d times", n)
	}
}
