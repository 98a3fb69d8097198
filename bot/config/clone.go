package config

import (
	"fmt"
	"path"
	"strings"

	"github.com/cromt/cromt/bot/trust"
	"github.com/cromt/cromt/flow"
)

// clone is an entry of clone as the file has it.
type clone struct {
	pos      flow.Pos
	from, to flow.Text
}

// eachClone begins a new entry of clone.
func (l *loader) eachClone(pos flow.Pos) []flow.Setting {
	i := len(l.clones)
	l.clones = append(l.clones, clone{pos: pos})
	return []flow.Setting{
		{Name: "from", Set: func(t flow.Text) (problem, hint string) { l.clones[i].from = t; return }},
		{Name: "to", Set: func(t flow.Text) (problem, hint string) { l.clones[i].to = t; return }},
	}
}

// readClones checks the entries of clone, or of CROMT_CLONE: FROM=TO, with
// commas between.
func (l *loader) readClones() {
	if v, ok := l.lookup("clone"); ok {
		for entry := range strings.SplitSeq(v.text, ",") {
			from, to, _ := strings.Cut(entry, "=")
			l.addClone(v, strings.TrimSpace(from), strings.TrimSpace(to))
		}
	} else {
		for _, c := range l.clones {
			l.addClone(value{file: l.name, pos: c.pos}, c.from.Value, c.to.Value)
		}
	}
	if len(l.c.Clone) > MaxClones {
		l.fail(value{file: l.fileOrEnv()}, fmt.Sprintf("clone has more than %d entries", MaxClones), "write to: owner/* for all of an owner")
	}
}

func (l *loader) addClone(at value, from, to string) {
	const rule = "write {from: owner/lib, to: owner/app}, or to: owner/*; as a variable owner/lib=owner/app"
	switch {
	case !isRepo(from, ""):
		l.fail(at, `an entry of clone has no repository owner/name as "from"`, rule)
	case !isRepo(to, "*"):
		l.fail(at, `an entry of clone has no repository owner/name as "to"`, rule)
	default:
		l.c.Clone = append(l.c.Clone, trust.CloneRule{From: from, To: to})
	}
}

// isRepo reports whether s is owner/name, of the characters that GitHub
// allows and those in more.
func isRepo(s, more string) bool {
	owner, name, _ := strings.Cut(s, "/")
	plain := strings.Trim(owner+name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"+more) == ""
	return plain && owner != "" && name != "" && !strings.HasPrefix(owner, ".") && path.Clean(s) == s && len(s) <= 200
}
