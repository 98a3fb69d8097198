package sparky

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
)

// dialTCP returns how hosts are connected to, whose names the resolver looks
// up; nil is the system's. Whoever lists a host by its address gets that. One
// that is listed by its name is wherever the name leads at the moment, which
// may change from one look-up to the next: an address that no host has in
// earnest is refused then, after the look-up and before anything is sent.
//
// Loopback addresses are not among them: a machine's own name often leads to
// one. What a name leads to inside a network, the certificate of an https URL
// has to prove.
func dialTCP(resolver *net.Resolver) func(ctx context.Context, network, address string) (net.Conn, error) {
	direct := net.Dialer{
		Timeout:         dialTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: keepIdle, Interval: keepProbe, Count: keepCount},
		Resolver:        resolver,
	}
	byName := direct
	byName.Control = func(_, address string, _ syscall.RawConn) error {
		if to, err := netip.ParseAddrPort(address); err != nil || !mayBeHost(to.Addr()) {
			return fmt.Errorf("its name leads to %s, where no host is; list it by that address if it is one", address)
		}
		return nil
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		name, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		if _, err := netip.ParseAddr(name); err == nil {
			return direct.DialContext(ctx, network, address)
		}
		return byName.DialContext(ctx, network, address)
	}
}

// metadata are the addresses, other than link-local ones, where clouds tell a
// machine its credentials: of AWS on IPv6 and of Alibaba.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
// https://www.alibabacloud.com/help/en/ecs/user-guide/view-instance-metadata
var metadata = []netip.Addr{netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("100.100.100.200")}

// mayBeHost reports whether a host's name may lead to the address: not to
// those of the link, where metadata services are, nor to one that stands for
// any or for several machines; the unspecified one leads to this machine.
func mayBeHost(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	return !ip.IsLinkLocalUnicast() && !ip.IsMulticast() && !ip.IsUnspecified() &&
		ip != netip.AddrFrom4([4]byte{255, 255, 255, 255}) && !slices.Contains(metadata, ip)
}
