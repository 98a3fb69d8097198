package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// An agent in a network of its own, whose firewall lets nothing in that it has
// not asked for, works: what the App asks goes back on the agent's connection.
func TestServeRegisterBehindFirewall(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Log("not root, so without a network of its own; TestServeRegister has an agent that listens nowhere")
		return
	}
	ns := fmt.Sprintf("cromt%d", os.Getpid())
	ip := func(args ...string) error {
		out, err := exec.Command("ip", args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
		}
		return nil
	}
	if err := ip("netns", "add", ns); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("network namespaces are not to be had: %v", err)
		}
		t.Logf("network namespaces are not to be had here, so this is not tried: %v", err)
		return
	}
	t.Cleanup(func() { _ = ip("netns", "del", ns) })
	outside, inside := "co"+ns[5:], "ci"+ns[5:]
	for _, args := range [][]string{
		{"link", "add", outside, "type", "veth", "peer", "name", inside, "netns", ns},
		{"addr", "add", "198.18.77.1/30", "dev", outside}, {"link", "set", outside, "up"},
		{"-n", ns, "addr", "add", "198.18.77.2/30", "dev", inside}, {"-n", ns, "link", "set", inside, "up"}, {"-n", ns, "link", "set", "lo", "up"},
	} {
		if err := ip(args...); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatal(err)
			}
			t.Logf("a network of its own is not to be had here, so this is not tried: %v", err)
			return
		}
	}
	t.Cleanup(func() { _ = ip("link", "del", outside) })
	// One way only, where there is a firewall to say so.
	rules := exec.Command("ip", "netns", "exec", ns, "iptables", "-A", "INPUT", "-i", inside, "-m", "conntrack", "!", "--ctstate", "ESTABLISHED,RELATED", "-j", "DROP")
	if out, err := rules.CombinedOutput(); err != nil {
		t.Logf("without a firewall: %v %s", err, out)
	}
	s := newPoolSite(t, "")
	front := newBalancerAt(t, "198.18.77.1:0", s.addr)
	// http is for loopback alone, so that the agent's end of it is there.
	relay := exec.Command("ip", "netns", "exec", ns, os.Args[0], "-test.run=^TestRelay$")
	relay.Env = append(os.Environ(), "CROMT_TEST_RELAY="+front.Addr().String())
	relay.Stderr = os.Stderr
	if err := relay.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = relay.Process.Kill()
		_ = relay.Wait()
	})
	wrapper := filepath.Join(s.dir, "inside")
	if err := os.WriteFile(wrapper, []byte("#!/bin/sh\nexec ip netns exec "+ns+" "+lookPath(t, cromtBinary())+" \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	a := s.registerBy(wrapper, "http://127.0.0.1:4999", "vm-1", "--join-token-file", filepath.Join(s.dir, "token"))
	s.connected(a)
	sha := strings.Repeat("a", 40)
	s.push(sha, map[string]string{"jobs.yaml": s.onPool("cat /proc/net/dev >> $DIR/log\n", "")})
	if k := s.concluded("cromt", sha); k.Conclusion != "success" {
		t.Errorf("%+v", k)
	}
	if !strings.Contains(s.said(), inside) {
		t.Errorf("it ran outside: %s", s.said())
	}
}

func lookPath(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestRelay is the agent's end of the relay, as a process of its own.
func TestRelay(t *testing.T) {
	to := os.Getenv("CROMT_TEST_RELAY")
	if to == "" {
		return
	}
	if _, err := net.ResolveTCPAddr("tcp", to); err != nil {
		t.Fatal(err)
	}
	newBalancerAt(t, "127.0.0.1:4999", to)
	select {} // until it is killed
}
