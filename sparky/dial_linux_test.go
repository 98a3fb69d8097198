package sparky_test

// 127.0.0.2 is this machine, and 0.0.0.0 leads to 127.0.0.1, on Linux only.

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cromt/cromt/sparky"
)

// flipping resolves every name to the address that it has at the moment.
type flipping struct{ now atomic.Value }

func (f *flipping) set(ip string) { f.now.Store(netip.MustParseAddr(ip)) }

// resolver asks f, over a pipe, as a server of names is asked over TCP.
func (f *flipping) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			for {
				query := make([]byte, 2)
				if _, err := io.ReadFull(theirs, query); err != nil {
					return
				}
				query = make([]byte, binary.BigEndian.Uint16(query))
				if _, err := io.ReadFull(theirs, query); err != nil {
					return
				}
				answer := f.answer(query)
				if _, err := theirs.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
					return
				}
			}
		}()
		return ours, nil
	}}
}

// answer is the message that answers the one question of another, as in
// https://www.rfc-editor.org/rfc/rfc1035#section-4.
func (f *flipping) answer(query []byte) []byte {
	const header, typeA, typeAAAA = 12, 1, 28
	end := header
	for query[end] != 0 { // the labels of the name
		end += int(query[end]) + 1
	}
	question := query[header : end+5]
	ip := f.now.Load().(netip.Addr)
	wants := binary.BigEndian.Uint16(query[end+1:])
	var answers byte
	if wants == typeA && ip.Is4() || wants == typeAAAA && ip.Is6() {
		answers = 1
	}
	m := append([]byte{query[0], query[1], 0x81, 0x80, 0, 1, 0, answers, 0, 0, 0, 0}, question...)
	if answers > 0 {
		m = append(m, 0xc0, header, 0, byte(wants), 0, 1, 0, 0, 0, 0, 0, byte(ip.BitLen()/8)) // the question's name, not to be kept
		m = append(m, ip.AsSlice()...)
	}
	return m
}

// TestNamesThatFlip: a host that is listed by its name is spoken to where the
// name leads, but never at an address that no host has.
func TestNamesThatFlip(t *testing.T) {
	listen := func(address string) net.Listener {
		ln, err := net.Listen("tcp4", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = ln.Close() })
		return ln
	}
	canaryAt := listen("127.0.0.1:0")
	_, port, _ := strings.Cut(canaryAt.Addr().String(), ":")
	hostAt := listen("127.0.0.2:" + port)
	var canary, host atomic.Int32
	for ln, n := range map[net.Listener]*atomic.Int32{canaryAt: &canary, hostAt: &host} {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "1") }))
		s.Listener.Close()
		s.Listener = ln
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				n.Add(1)
			}
		}
		s.Start()
		t.Cleanup(s.Close)
	}
	names := &flipping{}
	ask := func(host string) error {
		c, err := sparky.NewClient(sparky.HostConfig{URL: "http://" + host + ":" + port, Dial: sparky.DialTCP(names.resolver())})
		if err != nil {
			t.Fatal(err)
		}
		defer c.CloseIdle()
		_, err = c.Status(t.Context(), "p", "job.1")
		return err
	}
	for _, ip := range []string{
		"0.0.0.0", "::", "::ffff:0.0.0.0", "169.254.169.254", "::ffff:169.254.169.254", "169.254.1.1", "fe80::1", "fd00:ec2::254", "100.100.100.200",
		"224.0.0.1", "ff02::1", "255.255.255.255",
	} {
		names.set("127.0.0.2")
		if err := ask("host.test"); err != nil {
			t.Fatalf("before it leads to %s: %v", ip, err)
		}
		names.set(ip)
		err := ask("host.test")
		if sparky.KindOf(err) != sparky.KindUnreachable || !strings.Contains(err.Error(), "where no host is") || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("leads to %s: %v", ip, err)
		}
	}
	if host.Load() != 12 || canary.Load() != 0 {
		t.Errorf("%d connections to the host, %d to what listens at the address that the name was changed to", host.Load(), canary.Load())
	}
	// Listed by its address, it is what was asked for; and what listens there was in reach.
	if err := ask("0.0.0.0"); err != nil || canary.Load() != 1 {
		t.Errorf("%d connections, %v", canary.Load(), err)
	}
}
