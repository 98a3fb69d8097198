package flow

import (
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// orList joins values for a sentence: a, b or c.
func orList(values []string) string {
	if len(values) == 1 {
		return values[0]
	}
	return strings.Join(values[:len(values)-1], ", ") + " or " + values[len(values)-1]
}

// didYouMean suggests the one of names that is closest to s, the first of
// equals, never except. "" when none is close.
func (p *parser) didYouMean(s string, names []string, except string) string {
	if p.full() || p.compared >= MaxSuggestions {
		return ""
	}
	best := closest(s, names, func(name string) bool {
		p.compared++
		return p.compared <= MaxSuggestions && name != except
	})
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %s?", quote(best))
}

// closest returns the one of names that is closest to s, the first of equals,
// or "" when none is close. Where may is not nil,
// only names that it says yes to are compared.
func closest(s string, names []string, may func(name string) bool) string {
	best, bestAt := "", max(2, len(s)/3+1)
	folded := foldName(s)
	for _, name := range names {
		if may != nil && !may(name) {
			continue
		}
		if d := distance(folded, foldName(name), bestAt); d < bestAt {
			best, bestAt = name, d
		}
	}
	return best
}

// foldName makes equal what people confuse: case, dashes and underscores.
func foldName(s string) string {
	return strings.ReplaceAll(strings.ToLower(s), "_", "-")
}

// distance is the number of single-byte edits, swaps of neighbours included,
// from a to b, or limit when it is not less.
func distance(a, b string, limit int) int {
	if max(len(a)-len(b), len(b)-len(a)) >= limit || max(len(a), len(b)) > MaxProjectName {
		return limit
	}
	var before, last, row [MaxProjectName + 1]int
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return min(last[len(b)], limit)
}

// unknownKey reports k in the map n, a map of the kind what.
func (p *parser) unknownKey(what string, names []string, n, k, v *yaml.Node) {
	p.fail(p.pos(k), "unknown key "+quote(k.Value), p.unknownKeyHint(what, names, n, k, v))
}

func (p *parser) unknownKeyHint(what string, names []string, n, k, v *yaml.Node) string {
	if p.full() {
		return ""
	}
	if parent, ok := p.parentOf(k.Value, names); ok {
		if sibling := lookup(n, parent); sibling != nil && (isNull(sibling) || k.Value != "host") {
			return "indent under " + parent
		}
	}
	if (k.Value == "host" || k.Value == "hosts") && slices.Contains(names, "url") && v.Kind == yaml.ScalarNode {
		return `did you mean "url"?`
	}
	if hint := p.didYouMean(k.Value, names, ""); hint != "" {
		return hint
	}
	for _, name := range otherWords()[foldName(k.Value)] {
		if slices.Contains(names, name) {
			return fmt.Sprintf("did you mean %s?", quote(name))
		}
	}
	if parent, ok := p.parentOf(k.Value, names); ok {
		return fmt.Sprintf("it belongs under %s: write %s: {%s: …}", parent, parent, k.Value)
	}
	if _, ok := p.project.index[k.Value]; ok && what == p.top.what {
		under := "the project's name, below projects"
		if p.previous != "" {
			under = quote(p.previous)
		}
		return "it belongs to a project: indent it under " + under
	}
	if slices.Contains(p.top.names, k.Value) && what != p.top.what {
		return "it belongs to the file: write it without indentation"
	}
	return what + " takes " + strings.Join(slices.Sorted(slices.Values(names)), ", ")
}

// parentOf returns the one of names whose map has the key.
func (p *parser) parentOf(key string, names []string) (string, bool) {
	parent := ""
	if _, ok := p.options[key]; ok {
		parent = "sparrowdo"
	} else if _, ok := p.art.index[key]; ok {
		parent = "artifacts"
	}
	return parent, slices.Contains(names, parent)
}

// lookup returns the value of a key of the map n itself, nil when it has none.
func lookup(n *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if deref(n.Content[i]).Value == key {
			return deref(n.Content[i+1])
		}
	}
	return nil
}

// otherWords are what other tools call a thing.
func otherWords() map[string][]string {
	return map[string][]string{
		"host": {"url"}, "address": {"url"}, "server": {"url"}, "uri": {"url"},
		"env": {"vars"}, "environment": {"vars"}, "variables": {"vars"},
		"needs": {"before"}, "depends": {"before"}, "depends-on": {"before"}, "dependencies": {"before"},
		"schedule": {"crontab"}, "cron": {"crontab"},
		"scenario": {"action"}, "script": {"action"}, "run": {"action"}, "task": {"action"},
		"repository": {"path"}, "git": {"path"}, "repo": {"path"}, "ref": {"branch"}, "tag": {"branch"},
		"on": {"trigger"}, "queue": {"queue-id"}, "project": {"name", "projects"}, "jobs": {"projects"},
		"continue-on-error": {"ignore_errors"}, "allow-failure": {"ignore_errors"}, "if": {"when"},
		"name": {"title", "file"}, "description": {"title"}, "src": {"path"}, "retries": {"retry"},
	}
}

// nullValue reports that k, which is not allowed to be null, is.
func (p *parser) nullValue(k, v *yaml.Node, typ valueType) {
	hint := "give it a value, or remove it"
	switch k.Value {
	case "projects":
		p.fail(p.pos(k), `"projects" is empty`, "a flow needs at least one project, indented below it")
		return
	case "hosts":
		hint = "remove it, or list hosts below it: - url: https://hostA:4000"
	}
	if v.Value == "~" {
		hint = `quote it for a text: "~"`
	}
	if typ.empty {
		hint = `remove it, or write "" for an empty value`
	}
	p.fail(p.pos(k), quote(k.Value)+" is null", hint)
}

// shapeHint shows how v, the value of key, is written in the right shape.
func (p *parser) shapeHint(key string, v *yaml.Node) string {
	text := "NAME"
	if v.Kind == yaml.ScalarNode {
		text = flowText(v.Value)
	}
	switch key {
	case "before", "after":
		if name := lookup(v, "name"); v.Kind == yaml.MappingNode && name != nil && name.Kind == yaml.ScalarNode {
			text = flowText(name.Value)
		}
		return fmt.Sprintf("write %s: [{name: %s}]", key, text)
	case "hosts":
		if url := lookup(v, "url"); v.Kind == yaml.MappingNode && url != nil && url.Kind == yaml.ScalarNode {
			text = flowText(url.Value)
		} else if v.Kind == yaml.MappingNode {
			return `write "-" before each entry`
		}
		return fmt.Sprintf("write hosts: [{url: %s}]", text)
	case "secrets", "in", "on", "branches", "paths", "repos", "labels":
		return fmt.Sprintf("write %s: [%s]", key, text)
	case "out":
		return "write out: [{file: NAME, path: PATH}]"
	case "vars":
		return "write vars: {NAME: value}"
	case "sparrowdo":
		return "write sparrowdo: {docker: NAME}"
	case "artifacts":
		return "write artifacts: {in: [NAME], out: [{file: NAME, path: PATH}]}"
	case "matrix":
		return "write matrix: {NAME: [VALUE, VALUE]}"
	case "projects":
		return `write each project's name below it, without "-"`
	case "url", "storage":
		if len(scalars(v)) != 1 {
			return fmt.Sprintf("write %s: https://hostA:4000", key)
		}
	case "action":
		if words := scalars(v); len(words) > 0 {
			return "write action: " + strings.Join(words, " ")
		}
	}
	if words := scalars(v); len(words) == 1 {
		return fmt.Sprintf("write %s: %s", key, flowText(words[0]))
	}
	return ""
}

// scalars returns the entries of a list that has only scalars.
func scalars(v *yaml.Node) []string {
	var words []string
	for _, c := range v.Content {
		if c = deref(c); v.Kind != yaml.SequenceNode || c.Kind != yaml.ScalarNode {
			return nil
		}
		words = append(words, c.Value)
	}
	return words
}

// flowText writes s as it can stand within brackets.
func flowText(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("._-/@~+:", r) && (r > 0x7f || !isAlnum(byte(r)))
	}) && len(s) < 80 && !strings.HasSuffix(s, ":") && !strings.HasPrefix(s, "@") && !strings.HasPrefix(s, "-") {
		return s
	}
	return quote(s)
}
