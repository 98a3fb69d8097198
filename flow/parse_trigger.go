package flow

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// readTrigger reads the three forms of trigger: true or false, a list of
// events, a map from events to their filters.
func readTrigger(p *parser, pr *Project, k, n *yaml.Node) {
	t := Trigger{Pos: p.pos(n)}
	switch n.Kind {
	case yaml.ScalarNode:
		_, known := parseBool(n.Value)
		hint := p.didYouMean(n.Value, triggerEvents(), "")
		if slices.Contains(triggerEvents(), n.Value) {
			hint = fmt.Sprintf("write trigger: [%s]", n.Value)
		}
		if !known {
			p.fail(t.Pos, fmt.Sprintf(`"trigger" must be true, a list or a map, not %s`, quote(n.Value)), hint)
			return
		}
		if p.boolean(k, n) {
			t.Events = []TriggerEvent{{Name: "push"}}
		}
	case yaml.SequenceNode:
		for _, name := range p.enums(k, n, triggerEvents()) {
			t.Events = append(t.Events, TriggerEvent{Name: name})
		}
	case yaml.MappingNode:
		t.Events = p.triggerMap(k, n)
	}
	pr.Trigger = t
}

func (p *parser) triggerMap(k, n *yaml.Node) []TriggerEvent {
	var events []TriggerEvent
	first := make(map[string]*yaml.Node)
	p.each(n, false, func(k, v *yaml.Node, merged bool) {
		at, dup := first[k.Value]
		ev := TriggerEvent{Name: k.Value}
		switch {
		case !slices.Contains(triggerEvents(), k.Value):
			hint := p.didYouMean(k.Value, triggerEvents(), "")
			if _, ok := p.filters.index[k.Value]; ok {
				hint = fmt.Sprintf("write it below an event: push: {%s: […]}", k.Value)
			} else if hint == "" {
				hint = "trigger takes " + orList(triggerEvents())
			}
			p.fail(p.pos(k), "unknown event "+quote(k.Value), hint)
			return
		case dup && !merged:
			p.duplicate(k, at, `"trigger"`)
			return
		case dup:
			return
		case isNull(v):
		case v.Kind != yaml.MappingNode:
			p.fail(p.pos(v), quote(k.Value)+" must be a map", fmt.Sprintf("write %s: {branches: [main]}", k.Value))
			return
		default:
			readMap(p, p.filters, v, quote(k.Value), &ev)
		}
		first[k.Value] = k
		events = append(events, ev)
	})
	if len(n.Content) == 0 {
		p.fail(p.pos(n), quote(k.Value)+" is empty", "remove it, or list "+orList(triggerEvents()))
	}
	return events
}

// globs reads a list of globs.
func (p *parser) globs(k, n *yaml.Node) []string {
	list := make([]string, 0, len(n.Content))
	for _, c := range n.Content {
		c = deref(c)
		if !p.isText(c, "an entry of "+quote(k.Value), "") {
			continue
		}
		glob := strings.TrimPrefix(c.Value, "!")
		if _, err := path.Match(glob, ""); err != nil || strings.TrimSpace(glob) == "" {
			p.fail(p.pos(c), fmt.Sprintf("%s is not a glob", quote(c.Value)), "close its brackets, or write a name like release-*")
			continue
		}
		list = append(list, c.Value)
	}
	if len(n.Content) == 0 {
		p.fail(p.pos(n), quote(k.Value)+" is empty", "remove it, or list at least one glob")
	}
	return list
}

// sparrowdo reads the options that say how the host runs a job.
func (p *parser) sparrowdo(n *yaml.Node) []Option {
	options := make([]Option, 0, len(n.Content)/2)
	first := make(map[string]*yaml.Node, len(n.Content)/2)
	p.each(n, false, func(k, v *yaml.Node, merged bool) {
		opt, ok := p.options[k.Value]
		at, dup := first[k.Value]
		if dup {
			if !merged {
				p.duplicate(k, at, "sparrowdo")
			}
			return
		}
		first[k.Value] = k
		switch {
		case k.Value == "conf" || k.Value == "tags":
			p.fail(p.pos(k), quote(k.Value)+" is set by the job itself", "remove it")
		case !ok:
			names := make([]string, 0, len(p.options))
			for name := range p.options {
				names = append(names, name)
			}
			slices.Sort(names)
			p.unknownKey("sparrowdo", names, n, k, v)
		case isNull(v):
			p.nullValue(k, v, valueType{})
		case v.Kind != yaml.ScalarNode:
			p.fail(p.pos(v), quote(k.Value)+" must be "+opt.want(), p.shapeHint(k.Value, v))
		case opt.bool:
			options = append(options, Option{k.Value, p.boolean(k, v), p.pos(k)})
		default:
			if t, ok := p.text(k, v, false); ok && p.shellSafe(k, t) {
				options = append(options, Option{k.Value, t.Value, p.pos(k)})
			}
		}
	})
	p.exclusive(options)
	return options
}

func (o optionKey) want() string {
	if o.bool {
		return "true or false"
	}
	return "a string"
}

const sparrowdoPattern = `^(~/)?[A-Za-z0-9._:/@=,+][A-Za-z0-9._:/@=,+-]*$`

// shellSafe refuses what a real Sparky would not pass on as it is: it pastes
// these values into a shell line.
func (p *parser) shellSafe(k *yaml.Node, t Text) bool {
	rest := strings.TrimPrefix(t.Value, "~/")
	if strings.HasPrefix(rest, "-") {
		p.fail(t.Pos, quote(k.Value)+` must not begin with "-"`, "")
		return false
	}
	for i, c := range rest {
		if c > 0x7f || !isAlnum(byte(c)) && strings.IndexByte("._:/@=,+-", byte(c)) < 0 {
			p.fail(Pos{t.Pos.Line, t.Pos.Col}, fmt.Sprintf("%s contains %q, which would reach a shell", quote(k.Value), rest[i:i+len(string(c))]),
				"use letters, digits and . _ : / @ = , + - only, after ~/ if need be")
			return false
		}
	}
	if rest == "" {
		p.fail(t.Pos, quote(k.Value)+" names nothing", "")
	}
	return rest != ""
}

// exclusive reports options that contradict each other in one map.
func (p *parser) exclusive(options []Option) {
	where, sudo := "", ""
	for _, o := range options {
		if o.Value == false {
			continue
		}
		other := &where
		switch o.Name {
		case "sudo", "no_sudo":
			other = &sudo
		case "localhost", "host", "docker":
		default:
			continue
		}
		if *other != "" {
			p.fail(o.Pos, fmt.Sprintf("%s and %s exclude each other", quote(*other), quote(o.Name)), "remove one")
		}
		*other = o.Name
	}
}
