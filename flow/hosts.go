package flow

import (
	"fmt"
	"path"
	"strings"

	"gopkg.in/yaml.v3"
)

// HostEntry is one entry of a hosts.yaml, or of hosts in a bot.yaml.
type HostEntry struct {
	Pos                Pos
	URL                string   // http or https, without trailing slash
	Name               string   // label for people; "" when absent
	TokenFile          string   // file with the host's token, relative to the file with the entry
	TokenSecret        string   // name of the secret that is the host's token, instead of TokenFile
	CAFile             string   // file with PEM certificates to trust, relative like TokenFile
	InsecureSkipVerify bool     // do not check the host's certificate
	Slots              int      // jobs to have on the host at once; 0 when absent
	SparrowRepo        string   // plugin repository of a real Sparky; "" when absent
	Repos              []string // who may use it, as owner/repo with * for any; nil: nobody
	Forks              bool     // approved code of forks may run on it
	PublicPort         bool     // "public_port: ok": secrets may go to a host whose port others can read
}

// ParseHosts reads a hosts.yaml: a list of hosts, or a map with the list under
// hosts, whose other keys are left alone so that a bot.yaml serves as well. A
// file that says nothing has no hosts. The error is an [ErrorList] of every
// problem; name is what messages call the file.
func ParseHosts(name string, data []byte) ([]HostEntry, error) {
	p := newParser(name, data).withTables()
	root := p.document(data)
	if root != nil && root.Kind == yaml.MappingNode {
		root = p.hostsKey(root)
	}
	if root == nil || isNull(root) {
		return nil, p.err()
	}
	if root.Kind != yaml.SequenceNode {
		p.fail(p.pos(root), "hosts must be a list", "write - url: https://hostA:4000")
		return nil, p.err()
	}
	hosts := make([]HostEntry, 0, len(root.Content))
	urls, names := make(map[string]int), make(map[string]int)
	for _, c := range root.Content {
		if h, ok := p.hostEntry(c); ok {
			p.unique(h.Pos, "url", strings.ToLower(h.URL), urls)
			p.unique(h.Pos, "name", h.Name, names)
			hosts = append(hosts, h)
		}
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	return hosts, nil
}

// hostsKey returns the value of hosts in the map root.
func (p *parser) hostsKey(root *yaml.Node) *yaml.Node {
	var found, key *yaml.Node
	keys := []string{}
	p.each(root, false, func(k, v *yaml.Node, merged bool) {
		keys = append(keys, k.Value)
		switch {
		case k.Value != "hosts" || found != nil && merged:
		case found != nil:
			p.duplicate(k, key, "the file")
		default:
			found, key = v, k
		}
	})
	if found == nil {
		hint := "write hosts: and the list below it"
		for _, k := range keys {
			if p.didYouMean(k, []string{"hosts"}, "") != "" {
				hint = fmt.Sprintf("write hosts instead of %s", quote(k))
			} else if _, ok := p.hosts.index[k]; ok {
				hint = `write "-" before the keys of each host`
			}
		}
		p.fail(p.pos(root), `"hosts" is missing`, hint)
	}
	return found
}

func (p *parser) hostEntry(n *yaml.Node) (HostEntry, bool) {
	h := HostEntry{Pos: p.pos(n)}
	n = deref(n)
	if n.Kind != yaml.MappingNode {
		p.fail(h.Pos, "an entry of hosts must be a map", "write - url: "+scalarOr(n, "https://hostA:4000"))
		return h, false
	}
	readMap(p, p.hosts, n, "an entry of hosts", &h)
	if lookup(n, "url") == nil && h.URL == "" {
		p.fail(h.Pos, `an entry of hosts has no "url"`, "write url: https://hostA:4000")
	}
	if h.TokenFile != "" && h.TokenSecret != "" {
		p.fail(h.Pos, `"token_file" and "token_secret" exclude each other`, "remove one")
	}
	if h.CAFile != "" && h.InsecureSkipVerify {
		p.fail(h.Pos, `"ca_file" and "insecure_skip_verify" exclude each other`, "remove one")
	}
	return h, true
}

// unique reports that value, of the entry at pos, is an earlier entry's too.
func (p *parser) unique(pos Pos, key, value string, first map[string]int) {
	if value == "" {
		return
	}
	if line, dup := first[value]; dup {
		p.fail(pos, fmt.Sprintf("duplicate %s %s (first at line %d)", key, quote(value), line), "")
		return
	}
	first[value] = pos.Line
}

func hostEntryKeys() []key[HostEntry] {
	plain := func(name string, typ valueType, at func(*HostEntry) *string, check func(*parser, *yaml.Node, Text) bool) key[HostEntry] {
		return key[HostEntry]{name, "", typ, func(p *parser, h *HostEntry, k, n *yaml.Node) {
			if t, ok := p.text(k, n, false); ok && (check == nil || check(p, k, t)) {
				*at(h) = t.Value
			}
		}}
	}
	return []key[HostEntry]{
		{"url", "", typeURL(), func(p *parser, h *HostEntry, k, n *yaml.Node) {
			if t, ok := p.text(k, n, false); ok && checkURL(p, k, t) {
				h.URL = strings.TrimSuffix(t.Value, "/")
			}
		}},
		plain("name", typeText(), func(h *HostEntry) *string { return &h.Name }, nil),
		plain("token_file", typeText(), func(h *HostEntry) *string { return &h.TokenFile }, nil),
		plain("token_secret", typeName(envNamePattern), func(h *HostEntry) *string { return &h.TokenSecret }, checkSecretName),
		plain("ca_file", typeText(), func(h *HostEntry) *string { return &h.CAFile }, nil),
		boolKey("insecure_skip_verify", "", func(h *HostEntry) *bool { return &h.InsecureSkipVerify }),
		{"slots", "", typeInt(1, MaxSlots), func(p *parser, h *HostEntry, k, n *yaml.Node) { p.integer(k, n, 1, MaxSlots, &h.Slots) }},
		plain("sparrow_repo", typeText(), func(h *HostEntry) *string { return &h.SparrowRepo }, func(p *parser, k *yaml.Node, t Text) bool { return p.shellSafe(k, t) }),
		{"repos", "", typeNames("repository", `^[^/ ]+/[^/ ]+$`, true), readRepos},
		boolKey("forks", "", func(h *HostEntry) *bool { return &h.Forks }),
		{"public_port", "", typeEnum("ok"), func(p *parser, h *HostEntry, k, n *yaml.Node) { h.PublicPort = p.enum(k, n, []string{"ok"}) == "ok" }},
	}
}

// checkSecretName does not repeat what is no name: it may be the secret.
func checkSecretName(p *parser, k *yaml.Node, t Text) bool {
	if !isEnvName(t.Value) {
		p.fail(t.Pos, quote(k.Value)+" must be the name of a secret", envNameRule)
		return false
	}
	return true
}

func readRepos(p *parser, h *HostEntry, _, n *yaml.Node) {
	for _, c := range n.Content {
		c = deref(c)
		if !p.isText(c, `an entry of "repos"`, "write - owner/repo") {
			continue
		}
		owner, repo, ok := strings.Cut(c.Value, "/")
		if _, err := path.Match(c.Value, ""); !ok || err != nil || owner == "" || repo == "" || strings.ContainsAny(repo, "/ ") {
			p.fail(p.pos(c), fmt.Sprintf("%s is not a repository", quote(c.Value)), "write owner/repo or owner/*")
			continue
		}
		h.Repos = append(h.Repos, c.Value)
	}
}
