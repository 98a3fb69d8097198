package flow

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// effective is a project's settings with those of a dependency over them.
type effective struct {
	Settings
	hosts   []Host
	timeout string // the dependency's, for the fingerprint
}

func merged(p *Project, d *Dep) effective {
	m := effective{Settings: p.Settings, hosts: p.Hosts}
	if d == nil {
		return m
	}
	m.Settings = overlay(p.Settings, d.Settings)
	if d.Hosts != nil {
		m.hosts = d.Hosts
	}
	if d.Timeout > 0 {
		m.timeout = d.Timeout.String()
	}
	return m
}

// overlay returns s with near over it: vars and sparrowdo key by key, the
// rest as a whole.
func overlay(s, near Settings) Settings {
	for _, t := range []struct{ to, from *Text }{
		{&s.URL, &near.URL}, {&s.Action, &near.Action}, {&s.Options, &near.Options}, {&s.QueueID, &near.QueueID}, {&s.Title, &near.Title},
	} {
		if t.from.IsSet() {
			*t.to = *t.from
		}
	}
	if near.Secrets != nil {
		s.Secrets = near.Secrets
	}
	if len(near.Vars) > 0 {
		s.Vars = overlayBy(s.Vars, near.Vars, func(v Var) string { return v.Name })
	}
	if len(near.Sparrowdo) > 0 {
		s.Sparrowdo = overlaySparrowdo(s.Sparrowdo, near.Sparrowdo)
	}
	return s
}

func overlayBy[T any](list, near []T, name func(T) string) []T {
	list = slices.Clone(list)
	for _, v := range near {
		if i := slices.IndexFunc(list, func(w T) bool { return name(w) == name(v) }); i >= 0 {
			list[i] = v
		} else {
			list = append(list, v)
		}
	}
	return list
}

// overlaySparrowdo merges sparrowdo keys as Sparky does: where the job runs
// is said once, by the nearest, and sudo takes away no_sudo.
func overlaySparrowdo(list, near []Option) []Option {
	where := func(o Option) bool { return o.Name == "localhost" || o.Name == "host" || o.Name == "docker" }
	list = slices.Clone(list)
	if slices.ContainsFunc(near, where) {
		list = slices.DeleteFunc(list, where)
	}
	if slices.ContainsFunc(near, func(o Option) bool { return o.Name == "sudo" && o.Value == true }) {
		list = slices.DeleteFunc(list, func(o Option) bool { return o.Name == "no_sudo" })
	}
	return overlayBy(list, near, func(o Option) string { return o.Name })
}

// fingerprint tells the effective settings of invocations of one project
// apart, titles aside.
func (b *planner) fingerprint(p *Project, d *Dep) string {
	if d == nil || d.Timeout == 0 && d.Hosts == nil && !changes(d.Settings) {
		s, ok := b.prints[p]
		if !ok {
			s = fingerprint(p, merged(p, nil))
			b.prints[p] = s
		}
		return s
	}
	m := merged(p, d)
	if d.Timeout == p.Timeout {
		m.timeout = ""
	}
	return fingerprint(p, m)
}

func changes(s Settings) bool {
	return s.URL.IsSet() || s.Action.IsSet() || s.Options.IsSet() || s.QueueID.IsSet() || s.Secrets != nil || len(s.Vars) > 0 || len(s.Sparrowdo) > 0
}

func fingerprint(p *Project, m effective) string {
	var w strings.Builder
	field := func(s string) {
		w.WriteString(strconv.Itoa(len(s)))
		w.WriteByte(':')
		w.WriteString(s)
	}
	settings := func(s Settings) {
		for _, t := range []Text{s.URL, s.Action, s.Options, s.QueueID} {
			field(t.Value)
		}
		for _, v := range sortedBy(s.Vars, func(v Var) string { return v.Name }) {
			field(v.Name)
			field(v.Value)
		}
		w.WriteByte('|')
		for _, t := range s.Secrets {
			field(t.Value)
		}
		w.WriteByte('|')
		for _, o := range sortedBy(s.Sparrowdo, func(o Option) string { return o.Name }) {
			field(o.Name)
			field(fmt.Sprint(o.Value))
		}
		w.WriteByte('|')
	}
	field(p.Name)
	field(m.timeout)
	settings(m.Settings)
	for i := range m.hosts {
		settings(m.hosts[i].Settings)
	}
	return w.String()
}

func sortedBy[T any](list []T, name func(T) string) []T {
	if len(list) < 2 {
		return list
	}
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b T) int { return cmp.Compare(name(a), name(b)) })
	return list
}

// addJobs makes the jobs of an invocation: one for each host entry.
func (b *planner) addJobs(inv *Invocation, m effective) {
	entries := m.hosts
	if entries == nil {
		entries = []Host{{Pos: inv.Project.Pos}}
	}
	labels := make(map[string]bool, len(entries))
	for i := range entries {
		e := &entries[i]
		s := overlay(m.Settings, e.Settings)
		j := &Job{
			Invocation: inv, Pos: e.Pos, Host: strings.TrimRight(s.URL.Or(b.o.DefaultHost), "/"),
			QueueID: s.QueueID.Value, Actions: strings.Fields(s.Action.Or("default")),
			Vars: slices.Clone(sortedBy(s.Vars, func(v Var) string { return v.Name })), Out: inv.Project.Out,
			Source: b.source(inv.Project),
		}
		if len(j.Actions) == 0 {
			j.Actions = []string{"default"}
		}
		options, err := SplitWords(s.Options.Or("--verbose"))
		if err != nil {
			b.fail(s.Options.Pos, "", "options: %v", err)
		}
		j.Options = options
		for _, t := range s.Secrets {
			j.Secrets = append(j.Secrets, t.Value)
		}
		if len(s.Sparrowdo) > 0 {
			j.Sparrowdo = make(map[string]any, len(s.Sparrowdo))
			for _, o := range s.Sparrowdo {
				j.Sparrowdo[o.Name] = o.Value
			}
		}
		j.Label = unique(labels, b.label(e, j.Host))
		j.Key = inv.Key + "@" + j.Label
		j.Title = s.Title.Or(j.Key)
		j.Queue = b.queue(j)
		inv.Jobs = append(inv.Jobs, j)
	}
}

var unsafeLabel = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// label is the entry's own name within its invocation.
func (b *planner) label(e *Host, host string) string {
	s := e.Title.Value
	if s == "" && b.o.HostName != nil {
		s = b.o.HostName(host)
	}
	if s == "" {
		s = host
		if u, err := url.Parse(host); err == nil && u.Host != "" {
			s = strings.TrimSuffix(u.Host, ":4000")
		}
	}
	s = strings.Trim(unsafeLabel.ReplaceAllString(s, "-"), "-.")
	if len(s) > maxLabel {
		s = strings.TrimRight(s[:maxLabel], "-.")
	}
	if s == "" {
		return "host"
	}
	return s
}

// maxLabel bounds what of a title or a host becomes part of names.
const maxLabel = 60

func unique(taken map[string]bool, s string) string {
	name := s
	for i := 2; taken[name]; i++ {
		name = s + "-" + strconv.Itoa(i)
	}
	taken[name] = true
	return name
}

var unsafeQueue = regexp.MustCompile(`[^A-Za-z0-9]+`)

// queue is the Sparky project that the job is queued in: the same for the
// same repository and queue-id, or the same project and host entry, in every
// run; another for every other.
func (b *planner) queue(j *Job) string {
	name, id := j.Key, "job\x00"+j.Key
	if j.QueueID != "" {
		name, id = j.QueueID, "queue-id\x00"+j.QueueID
	}
	sum := sha256.Sum256([]byte(NormalizeRepo(b.o.Repo) + "\x00" + id))
	name = strings.Trim(unsafeQueue.ReplaceAllString(name, "-"), "-")
	if len(name) > maxLabel {
		name = name[:maxLabel]
	}
	return strings.TrimLeft(name+"-"+hex.EncodeToString(sum[:5]), "-")
}

// source is where a project's scenarios come from.
func (b *planner) source(p *Project) Source {
	s := p.Path.Or(".")
	switch {
	case s == "." || strings.HasPrefix(s, "./"):
		dir := path.Join(b.o.Folder, s)
		if dir == "." {
			dir = ""
		}
		return Source{Kind: SourceOwn, Dir: dir}
	case strings.HasPrefix(s, "/") || s == "~" || strings.HasPrefix(s, "~/"):
		return Source{Kind: SourceDir, Dir: s}
	case !p.Branch.IsSet() && b.o.Repo != "" && NormalizeRepo(s) == NormalizeRepo(b.o.Repo):
		return Source{Kind: SourceOwn}
	}
	return Source{Kind: SourceGit, URL: s, Ref: p.Branch.Value}
}

// NormalizeRepo reduces a repository's URL to what tells repositories apart:
// without scheme, user, .git, trailing slashes, and with the host in lower
// case. host:path is the same as ssh://host/path.
func NormalizeRepo(s string) string {
	_, rest, ok := strings.Cut(s, "://")
	if !ok {
		rest = s
		if host, dir, ok := strings.Cut(s, ":"); ok && !strings.Contains(host, "/") {
			rest = host + "/" + strings.TrimLeft(dir, "/")
		}
	}
	host, dir, ok := strings.Cut(rest, "/")
	if !ok {
		host, dir = rest, ""
	}
	if i := strings.LastIndexByte(host, '@'); i >= 0 {
		host = host[i+1:]
	}
	dir = strings.TrimRight(dir, "/")
	dir = strings.TrimRight(strings.TrimSuffix(dir, ".git"), "/")
	return strings.ToLower(host) + "/" + dir
}

// artifacts finds for every artifact that a job takes in the invocation that
// makes it.
func (b *planner) artifacts() {
	makers := make(map[string][]*Invocation)
	index := make(map[*Invocation]int)
	for _, inv := range b.plan.Invocations {
		for _, out := range inv.Project.Out {
			makers[out.File] = append(makers[out.File], inv)
			if _, ok := index[inv]; !ok {
				index[inv] = len(index)
			}
		}
	}
	anc := ancestry{index: index, words: (len(index) + 63) / 64, before: make(map[*Invocation]bitset), done: make(map[*Invocation]bitset)}
	reported := make(map[Pos]bool)
	for _, inv := range b.plan.Invocations {
		for _, name := range inv.Project.In {
			from, msg, hint := pick(inv, name.Value, makers, &anc)
			if msg != "" {
				if hint == "" && len(makers[name.Value]) == 0 {
					hint = b.meantArtifact(name.Value, makers)
				}
				if !reported[name.Pos] {
					reported[name.Pos] = true
					b.fail(name.Pos, hint, "%s", msg)
				}
				continue
			}
			for _, j := range inv.Jobs {
				j.In = append(j.In, Input{File: name.Value, From: from.Jobs, Pos: name.Pos})
			}
		}
	}
}

// pick chooses the producer of an artifact: of those that end before the
// consumer starts, the one that comes after all others.
func pick(inv *Invocation, name string, makers map[string][]*Invocation, anc *ancestry) (from *Invocation, msg, hint string) {
	mine := anc.of(inv)
	var found []*Invocation
	for _, m := range makers[name] {
		if mine.has(anc.index[m]) {
			found = append(found, m)
		}
	}
	for _, m := range found {
		last := true
		for _, other := range found {
			last = last && (other == m || anc.of(m).has(anc.index[other]))
		}
		if last {
			return m, "", ""
		}
	}
	if len(found) > 0 {
		return nil, fmt.Sprintf("artifact %q has two producers in no order: %q and %q", name, found[0].Key, found[1].Key), "give one of them a before entry with the other, or rename one file"
	}
	for _, a := range inv.After {
		if slices.Contains(makers[name], a.Invocation) {
			hint = fmt.Sprintf("its producer %q is named under \"after\" of %q; move it to \"before\"", a.Invocation.Project.Name, inv.Project.Name)
		}
	}
	if hint == "" && len(makers[name]) > 0 {
		hint = fmt.Sprintf("%q makes it; add before: [{name: %s}] to %q", makers[name][0].Project.Name, makers[name][0].Project.Name, inv.Project.Name)
	}
	return nil, fmt.Sprintf("artifact %q has no earlier producer", name), hint
}

func (b *planner) meantArtifact(name string, makers map[string][]*Invocation) string {
	s := closest(name, slices.Sorted(maps.Keys(makers)))
	if s == "" {
		return "a project that this one names under \"before\" must list it under artifacts: out"
	}
	return fmt.Sprintf("did you mean %q from %q?", s, makers[s][0].Project.Name)
}

// ancestry answers which producers end before an invocation starts. Sets are
// bits, made on demand and kept: 10,000 invocations are a few megabytes.
type ancestry struct {
	index        map[*Invocation]int // of the producers
	words        int
	before, done map[*Invocation]bitset
}

type bitset []uint64

func (s bitset) has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }

func (s bitset) add(t bitset) {
	for i := range t {
		s[i] |= t[i]
	}
}

// of returns the producers that have ended when the invocation starts.
func (a *ancestry) of(inv *Invocation) bitset {
	if s, ok := a.before[inv]; ok {
		return s
	}
	s := make(bitset, a.words)
	if p := inv.Parent; p != nil {
		s.add(a.of(p))
		a.set(s, p)
	}
	for _, b := range inv.Before {
		s.add(a.complete(b))
	}
	a.before[inv] = s
	return s
}

// complete returns the producers that have ended when the invocation, with
// its after, is complete.
func (a *ancestry) complete(inv *Invocation) bitset {
	if s, ok := a.done[inv]; ok {
		return s
	}
	s := slices.Clone(a.of(inv))
	a.set(s, inv)
	for _, e := range inv.After {
		s.add(a.complete(e.Invocation))
	}
	a.done[inv] = s
	return s
}

func (a *ancestry) set(s bitset, inv *Invocation) {
	if i, ok := a.index[inv]; ok {
		s[i/64] |= 1 << (i % 64)
	}
}
