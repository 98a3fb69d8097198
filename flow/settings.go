package flow

import (
	"slices"

	"gopkg.in/yaml.v3"
)

// Setting is one key of a settings file. Exactly one of its fields beside
// Name says what its value is.
type Setting struct {
	Name string
	// Set takes a text, a number or a boolean: its source text. What it
	// returns is what is wrong with it and what to do about that, if anything.
	Set func(Text) (problem, hint string)
	// Keys are those of a map.
	Keys []Setting
	// Each is called for every entry of a list of maps, and returns its keys.
	Each func(Pos) []Setting
	// Skip leaves the value, which is not null, to another reader.
	Skip func()
	// Refuse is what is wrong with the key itself, RefuseHint what to do
	// instead. The value, which may be a secret, is not repeated.
	Refuse, RefuseHint string
}

// ReadSettings reads a YAML file of settings as Parse reads a jobs.yaml: with
// the same limits, and with every problem in the [ErrorList] that it returns.
// Null is as good as an absent key. A file that says nothing has no settings.
func ReadSettings(name string, data []byte, settings []Setting) error {
	p := newParser(name, data)
	p.tables = settingTables(settings)
	root := p.document(data)
	if root == nil || isNull(root) {
		return p.err()
	}
	if root.Kind != yaml.MappingNode {
		p.fail(p.pos(root), "a settings file must be a map", "it begins with a key and a colon")
		return p.err()
	}
	p.settings(root, "the file", append(slices.Clone(settings), misplacedSettings(settings)...))
	return p.err()
}

// settingTables are what hints know of the file: nothing of a jobs.yaml.
func settingTables(settings []Setting) tables {
	top := make([]key[File], len(settings))
	for i, s := range settings {
		top[i] = key[File]{name: s.Name, typ: s.typ()}
	}
	return tables{top: newTable("the file", top), project: newTable[Project]("", nil), art: newTable[Project]("", nil)}
}

// misplacedSettings are the keys of maps, refused at the top.
func misplacedSettings(settings []Setting) []Setting {
	var list []Setting
	for _, group := range settings {
		for _, s := range group.Keys {
			known := slices.ContainsFunc(settings, func(t Setting) bool { return t.Name == s.Name })
			if !known && s.Refuse == "" {
				list = append(list, Setting{Name: s.Name, Refuse: "unknown key " + quote(s.Name), RefuseHint: "indent it under " + group.Name})
			}
		}
	}
	return list
}

// settings reads the map n. what names it in messages.
func (p *parser) settings(n *yaml.Node, what string, settings []Setting) {
	keys := make([]key[struct{}], len(settings))
	for i, s := range settings {
		keys[i] = key[struct{}]{name: s.Name, typ: s.typ(), read: func(p *parser, _ *struct{}, k, v *yaml.Node) { p.setting(s, k, v) }}
	}
	readMap(p, newTable(what, keys), n, what, &struct{}{})
}

func (s Setting) typ() valueType {
	switch {
	case s.Skip != nil || s.Refuse != "":
		return valueType{raw: s.Refuse != "", null: true}
	case s.Keys != nil:
		return valueType{kind: yaml.MappingNode, null: true, want: "a map"}
	case s.Each != nil:
		return valueType{kind: yaml.SequenceNode, null: true, want: "a list"}
	}
	return valueType{kind: yaml.ScalarNode, null: true, want: "a string"}
}

func (p *parser) setting(s Setting, k, v *yaml.Node) {
	switch {
	case s.Skip != nil:
		s.Skip()
	case s.Refuse != "":
		p.fail(p.pos(k), s.Refuse, s.RefuseHint)
	case s.Keys != nil:
		p.settings(v, quote(s.Name), s.Keys)
	case s.Each != nil:
		for _, c := range v.Content {
			pos, entry := p.pos(c), deref(c)
			if entry.Kind != yaml.MappingNode {
				p.fail(pos, "an entry of "+quote(s.Name)+" must be a map", "")
				continue
			}
			p.settings(entry, "an entry of "+s.Name, s.Each(pos))
		}
	default:
		if t, ok := p.text(k, v, false); ok {
			if problem, hint := s.Set(t); problem != "" {
				p.fail(t.Pos, problem, hint)
			}
		}
	}
}
