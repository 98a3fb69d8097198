package flow

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strconv"
	"strings"
)

// The parts of generated names, in bytes: long enough to be read, and the
// whole fits into the 100 of a Sparky project's name.
const (
	maxLabel     = 60
	maxQueuePart = 40
	queueHash    = 5 // 40 bits; names that look alike are few
)

// makeJobs gives inv its jobs, one for each of its entries.
func (p *planner) makeJobs(s spec, inv *Invocation, needs []*Job) {
	own := p.settings(s)
	own.Vars = p.overrideVars(own.Vars)
	inv.Title = own.Title.Value
	work := &Work{
		Actions: p.split.action(own.Action), Options: p.words(own.Options), Secrets: values(own.Secrets), Sparrowdo: optionMap(own.Sparrowdo),
		Source: p.sourceOf(inv.Project), Out: inv.Project.Out, Needs: needs,
	}
	use := p.poolOf(s)
	p.checkPool(use)
	if use != nil {
		work.PoolLabels = use.Labels
	}
	entries := p.entries(s)
	jobs := make([]Job, len(entries))
	inv.Jobs = make([]*Job, len(jobs))
	labels := labels{taken: make(map[string]int, len(jobs))}
	for i := range jobs {
		j, settings, e := &jobs[i], own, &entries[i]
		*j = Job{Invocation: inv, Work: work, Pos: inv.Project.Pos}
		if e.host != nil {
			settings = p.overlay(&own, &e.host.Settings)
			p.specialise(j, e.host, &settings)
		}
		j.Vars = p.fixVars(settings.Vars, e)
		if use != nil {
			j.Pool = use.Name.Value
		} else {
			j.Host = p.hostURL(settings.URL, j.Pos)
		}
		j.Key = inv.Key + "@" + labels.next(p.entryLabel(e, j.Host))
		j.Label = j.Key[len(inv.Key)+1:]
		j.Title = settings.Title.Or(j.Key)
		j.QueueID = settings.QueueID.Value
		j.Queue = p.queue(j)
		inv.Jobs[i] = j
	}
}

// specialise gives j what its host entry says otherwise than the project.
func (p *planner) specialise(j *Job, host *Host, merged *Settings) {
	j.Pos = host.Pos
	if host.Action.IsSet() || host.Options.IsSet() || host.Secrets != nil || len(host.Sparrowdo) > 0 {
		own := *j.Work
		j.Work = &own
	}
	if host.Action.IsSet() {
		j.Actions = p.split.action(host.Action)
	}
	if host.Options.IsSet() {
		j.Options = p.words(host.Options)
	}
	if host.Secrets != nil {
		j.Secrets = values(host.Secrets)
	}
	if len(host.Sparrowdo) > 0 {
		j.Sparrowdo = optionMap(merged.Sparrowdo)
	}
	if len(host.Vars) > 0 {
		merged.Vars = p.overrideVars(merged.Vars)
	}
}

// words splits options; it reports those that cannot be.
func (p *planner) words(t Text) []string {
	words, err := p.split.option(t)
	if err != nil {
		p.fail(t.Pos, "", "options %q: %v", t.Value, err)
	}
	return words
}

func values(list []Text) []string {
	if len(list) == 0 {
		return nil
	}
	s := make([]string, len(list))
	for i, t := range list {
		s[i] = t.Value
	}
	return s
}

func optionMap(list []Option) map[string]any {
	if len(list) == 0 {
		return nil
	}
	m := make(map[string]any, len(list))
	for _, o := range list {
		m[o.Name] = o.Value
	}
	return m
}

// hostURL returns the URL of the host of the job at pos.
func (p *planner) hostURL(t Text, pos Pos) string {
	if !t.IsSet() && p.opts.RequireHost {
		p.fail(pos, `give it a "url"`, "no host to run on")
	}
	return strings.TrimRight(t.Or(p.opts.DefaultHost), "/")
}

// label returns the name of a host entry, which may be nil, before it is made
// unique.
func (p *planner) label(h *Host, hostURL string) string {
	if h != nil {
		if s := safeName(h.Title.Value, maxLabel, "."); s != "" {
			return s
		}
	}
	if s := safeName(p.opts.HostName(hostURL), maxLabel, "."); s != "" {
		return s
	}
	host := hostURL
	if u, err := url.Parse(hostURL); err == nil && u.Host != "" {
		host = strings.TrimSuffix(u.Host, ":4000")
	}
	if s := safeName(host, maxLabel, "."); s != "" {
		return s
	}
	return "host"
}

// labels makes the labels of one invocation unique, also where file names
// ignore case.
type labels struct{ taken map[string]int }

func (l labels) next(label string) string {
	folded := strings.ToLower(label)
	if l.taken[folded] == 0 {
		l.taken[folded] = 1
		return label
	}
	for {
		l.taken[folded]++
		suffix := "-" + strconv.Itoa(l.taken[folded])
		if l.taken[folded+suffix] == 0 {
			l.taken[folded+suffix] = 1
			return label + suffix
		}
	}
}

// safeName returns s for file names, URLs and check names: letters, digits,
// "_" and those of extra, everything else one "-". It begins with a letter or
// digit and has at most limit bytes; it may be empty.
func safeName(s string, limit int, extra string) string {
	var b strings.Builder
	for i := 0; i < len(s) && b.Len() < limit; i++ {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9':
			b.WriteByte(c)
		case b.Len() == 0:
		case c == '_' || strings.IndexByte(extra, c) >= 0:
			b.WriteByte(c)
		case b.String()[b.Len()-1] != '-':
			b.WriteByte('-')
		}
	}
	return strings.TrimRight(b.String(), "-._")
}

// queue returns the Sparky project of j on its host: that of its queue-id in
// this repository, else one of its own. A hash keeps apart what would read
// the same.
func (p *planner) queue(j *Job) string {
	if j.QueueID != "" {
		return queueName([]string{"queue-id", p.repo, j.QueueID}, j.QueueID)
	}
	return queueName([]string{"job", p.repo, p.opts.Folder, j.Key}, j.Invocation.Key, j.Label)
}

// queueName returns a name made of the parts that people read, and of a hash
// of what it stands for.
func queueName(identity []string, parts ...string) string {
	var buf []byte
	for _, s := range identity {
		buf = strconv.AppendInt(buf, int64(len(s)), 10)
		buf = append(append(buf, ':'), s...)
	}
	sum := sha256.Sum256(buf)
	var b strings.Builder
	for _, s := range parts {
		if s = safeName(s, maxQueuePart, "-"); s != "" {
			b.WriteString(s)
			b.WriteByte('-')
		}
	}
	return b.String() + hex.EncodeToString(sum[:queueHash])
}
