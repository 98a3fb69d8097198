package sparky

import (
	"context"
	"net"
	"net/http"
)

// HostConfig says how one Sparky host is reached.
type HostConfig struct {
	URL                string // scheme://host[:port], without trailing slash
	Name               string // label for people; "" derives one from URL
	Token              string // sent as the token header; "" sends none
	CA                 []byte // PEM certificates to trust besides the system's; nil: the system's alone
	InsecureSkipVerify bool
	Slots              int    // jobs to have on the host at once; 0: what the host announces, else DefaultSlots
	SparrowRepo        string // plugin repository that a real Sparky is told to use; "" is DefaultSparrowRepo
	PublicPort         bool   // clone credentials may be sent to a real Sparky there, whose port shows the data of its jobs

	// Dial replaces the network, for an agent inside this process. Nil means TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Transport replaces all of that, for a host that is reached in another
	// way: its URL is agent://NAME. Nil means HTTP to the URL.
	Transport http.RoundTripper
}

// AgentScheme of the URL of a host that only a Transport reaches.
const AgentScheme = "agent"
