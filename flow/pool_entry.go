package flow

import (
	"gopkg.in/yaml.v3"
)

// PoolEntry is a pool of a bot.yaml: besides its hosts it says who may use it,
// and how hosts get into it.
type PoolEntry struct {
	Pool
	Repos       []string // who may use it, as owner/repo with * for any; nil: nobody
	Forks       bool     // approved code of forks may run on it
	JoinKeyFile string   // file with the key of one-time tokens
	JoinSums    []string // SHA-256 in hex of tokens that may be used again and again
	Revoked     []string // names of hosts that are not let in any more
	MaxMembers  int      // 0 when absent
}

// ParsePoolEntries reads the pools of a bot.yaml, whose other keys are left
// alone. The error is an [ErrorList] of every problem; name is what messages
// call the file.
func ParsePoolEntries(name string, data []byte) ([]PoolEntry, error) {
	p := newParser(name, data).withTables()
	root := p.document(data)
	var list []PoolEntry
	if root != nil && root.Kind == yaml.MappingNode {
		if n := lookup(root, "pools"); n != nil && !isNull(n) {
			list = p.poolEntries(deref(n))
		}
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	return list, nil
}

func (p *parser) poolEntries(n *yaml.Node) []PoolEntry {
	if n.Kind != yaml.MappingNode {
		p.fail(p.pos(n), "pools must be a map", "write builders: {register: true}")
		return nil
	}
	var list []PoolEntry
	table := newTable("a pool", poolEntryKeys())
	first := make(map[string]*yaml.Node)
	p.each(n, false, func(k, v *yaml.Node, merged bool) {
		if at, dup := first[k.Value]; dup {
			if !merged {
				p.duplicate(k, at, "pools")
			}
			return
		}
		first[k.Value] = k
		e := PoolEntry{Pool: Pool{Name: k.Value, Pos: p.pos(k)}}
		const example = "write hosts: [{url: https://hostA:4000}], or register: true"
		v = deref(v)
		switch {
		case !isProjectName(k.Value):
			p.fail(e.Pos, quote(k.Value)+" is not a name for a pool", projectNameRule)
			return
		case v.Kind != yaml.MappingNode:
			p.fail(e.Pos, "pool "+quote(k.Value)+" must be a map", example)
			return
		}
		readMap(p, table, v, "pool "+quote(k.Value), &e)
		if !e.Register && len(e.Hosts) == 0 && lookup(v, "hosts") == nil {
			p.fail(e.Pos, "pool "+quote(k.Value)+" has no hosts", example)
		}
		list = append(list, e)
	})
	return list
}

func poolEntryKeys() []key[PoolEntry] {
	var keys []key[PoolEntry]
	for _, k := range poolKeys() {
		keys = append(keys, key[PoolEntry]{k.name, k.doc, k.typ, func(p *parser, e *PoolEntry, kn, n *yaml.Node) { k.read(p, &e.Pool, kn, n) }})
	}
	text := func(name string, valid func(string) bool, rule string, at func(*PoolEntry) *[]string) key[PoolEntry] {
		return key[PoolEntry]{name, "", typeNames(name, `.`, true), func(p *parser, e *PoolEntry, k, n *yaml.Node) {
			*at(e) = values(p.names(k, n, valid, rule))
		}}
	}
	return append(keys,
		key[PoolEntry]{"repos", "", typeNames("repository", `^[^/ ]+/[^/ ]+$`, true), func(p *parser, e *PoolEntry, k, n *yaml.Node) {
			var h HostEntry
			readRepos(p, &h, k, n)
			e.Repos = h.Repos
		}},
		boolKey("forks", "", func(e *PoolEntry) *bool { return &e.Forks }),
		key[PoolEntry]{"join_key_file", "", typeText(), func(p *parser, e *PoolEntry, k, n *yaml.Node) {
			if t, ok := p.text(k, n, false); ok {
				e.JoinKeyFile = t.Value
			}
		}},
		text("join_token_sha256", isSum, "64 hexadecimal digits: cromt token --reusable prints them", func(e *PoolEntry) *[]string { return &e.JoinSums }),
		text("revoked", isLabel, labelRule, func(e *PoolEntry) *[]string { return &e.Revoked }),
		key[PoolEntry]{"max_members", "", typeInt(1, MaxPoolHosts), func(p *parser, e *PoolEntry, k, n *yaml.Node) {
			p.integer(k, n, 1, MaxPoolHosts, &e.MaxMembers)
		}},
	)
}

// isSum reports whether s is a SHA-256 sum in lower-case hexadecimal.
func isSum(s string) bool {
	if len(s) != 64 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
