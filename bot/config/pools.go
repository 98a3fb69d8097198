package config

import (
	"fmt"

	"github.com/cromt/cromt/bot/trust"
	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky/tunnel"
)

// Pool is an entry of pools with what its files hold.
type Pool struct {
	flow.PoolEntry
	JoinKey Secret // of one-time tokens; not set: there are none
}

// readPools reads pools of the file data.
func (l *loader) readPools(data []byte) {
	if !l.hasPools {
		return
	}
	list, err := flow.ParsePoolEntries(l.name, data)
	l.addErrors(err)
	for _, e := range list {
		at := value{file: l.name, pos: e.Pos, dir: l.dir}
		p := Pool{PoolEntry: e}
		if e.JoinKeyFile != "" {
			at.text = e.JoinKeyFile
			key, err := l.secretFile(at)
			switch {
			case err != nil:
				l.fail(at, "join_key_file: "+err.Error(), "")
			case len(key) < MinJoinKey:
				l.fail(at, fmt.Sprintf("join_key_file: the key is shorter than %d characters", MinJoinKey), "make one with: openssl rand -hex 32")
			}
			p.JoinKey = NewSecret(key)
		}
		l.checkPool(p, at)
		if p.MaxMembers == 0 {
			p.MaxMembers = DefaultMaxMembers
		}
		l.c.Pools = append(l.c.Pools, p)
	}
}

// checkPool reports what does not fit together.
func (l *loader) checkPool(p Pool, at value) {
	joins := p.JoinKeyFile != "" || len(p.JoinSums) > 0
	switch {
	case p.Register && !tunnel.IsPoolName(p.Name):
		l.fail(at, fmt.Sprintf("pool %q takes hosts that announce themselves, and its name is part of theirs", p.Name), "use lower-case letters, digits and hyphens")
	case p.Register && !joins:
		l.fail(at, fmt.Sprintf("nobody can join pool %q", p.Name), "give join_key_file for one-time tokens, or join_token_sha256 for tokens that are used again")
	case !p.Register && (joins || len(p.Revoked) > 0 || p.MaxMembers > 0):
		l.fail(at, fmt.Sprintf("pool %q has keys for hosts that announce themselves", p.Name), "write register: true")
	}
	for _, h := range p.Hosts {
		want, err := trust.Address(h.URL)
		known := err == nil
		if known {
			known = false
			for _, host := range l.c.Hosts {
				if got, _ := trust.Address(host.URL); got == want {
					known = true
				}
			}
		}
		if !known {
			l.fail(value{file: l.name, pos: h.Pos}, fmt.Sprintf("host %s of pool %q is none of the hosts", h.URL, p.Name), "list it under hosts as well")
		}
	}
	if len(p.Repos) == 0 {
		l.warn(`no repository may use pool %s; list some in its repos, like "owner/*"`, p.Name)
	}
}
