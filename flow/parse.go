package flow

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Parse reads a jobs.yaml; name is what messages call it. The error is an
// [ErrorList] of every problem that the file alone shows; what needs the
// graph (cycles, artifacts without a producer) is left to the planner. When
// the YAML could be read the File is returned beside the error, without the
// values that are wrong, for a caller that looks for more problems.
func Parse(name string, data []byte) (*File, error) {
	p := newParser(name, data).withTables()
	root := p.document(data)
	if root == nil {
		if len(p.errs) == 0 {
			p.fail(Pos{1, 1}, "file is empty", `a flow needs "projects", with at least one`)
		}
		return nil, p.err()
	}
	f := &File{Name: name, Timeout: DefaultTimeout}
	if root.Kind != yaml.MappingNode {
		p.fail(p.pos(root), "a flow file must be a map", "it begins with projects:")
		return nil, p.err()
	}
	readMap(p, p.top, root, "the file", f)
	p.checkTop(root)
	finish(p, f)
	return f, p.err()
}

// parser holds what reading one file needs.
type parser struct {
	file     string
	lines    *lineIndex
	errs     ErrorList
	reported map[problem]bool
	dropped  int    // problems beyond MaxErrors
	compared int    // names compared for suggestions
	previous string // the project before the one being read
	aliased  bool   // nodes are read more than once
	tables
}

// tables are the keys of every kind of map.
type tables struct {
	top     *table[File]
	project *table[Project]
	host    *table[Host]
	before  *table[Dep]
	after   *table[Dep]
	art     *table[Project]
	out     *table[Output]
	retry   *table[Retry]
	filters *table[TriggerEvent]
	options map[string]optionKey
	hosts   *table[HostEntry]
	pool    *table[Pool]
	member  *table[PoolHost]
}

// problem identifies one in the file: what is behind an anchor is read once
// for each alias, but wrong only once.
type problem struct {
	pos Pos
	msg string
}

func newParser(file string, data []byte) *parser {
	return &parser{file: file, lines: newLineIndex(data), reported: make(map[problem]bool)}
}

// withTables makes p ready for readMap.
func (p *parser) withTables() *parser {
	p.tables = tables{
		top:     newTable("the file", topKeys()),
		project: newTable("a project", projectKeys()),
		host:    newTable("a host entry", hostKeys()),
		before:  newTable("an entry of before", depKeys(false)),
		after:   newTable("an entry of after", depKeys(true)),
		art:     newTable("artifacts", artifactKeys()),
		out:     newTable("an entry of out", outputKeys()),
		retry:   newTable("retry", retryKeys()),
		filters: newTable("an event of trigger", filterKeys()),
		options: sparrowdoKeys(),
		hosts:   newTable("an entry of hosts", hostEntryKeys()),
		pool:    newTable("a pool", poolKeys()),
		member:  newTable("a host of a pool", poolHostKeys()),
	}
	return p
}

// fail reports a problem, once.
func (p *parser) fail(pos Pos, msg, hint string) {
	id := problem{pos, msg}
	if p.reported[id] {
		return
	}
	if p.full() {
		p.dropped++
		return
	}
	p.reported[id] = true
	p.errs = append(p.errs, &Error{File: p.file, Pos: pos, Msg: clip(msg), Hint: clip(hint)})
}

// full reports whether no further problem is listed: its hint is of no use.
func (p *parser) full() bool { return len(p.errs) >= MaxErrors }

// err returns the problems found, nil when there are none.
func (p *parser) err() error {
	if len(p.errs) == 0 {
		return nil
	}
	list := slices.Clone(p.errs)
	list.Sort()
	if p.dropped > 0 {
		last := list[len(list)-1].Pos
		list = append(list, &Error{File: p.file, Pos: last, Msg: fmt.Sprintf("%d more problems are not listed", p.dropped)})
	}
	return list
}

// duplicate reports key, which is at first already. owner is the map that
// they are in, and may be empty.
func (p *parser) duplicate(key, first *yaml.Node, owner string) {
	if owner != "" {
		owner = " in " + owner
	}
	p.fail(p.pos(key), fmt.Sprintf("duplicate key %s%s (first at line %d)", quote(key.Value), owner, first.Line), "")
}

// clip shortens a message that repeats a long text of the file.
func clip(s string) string {
	const longest = 500
	if len(s) <= longest {
		return s
	}
	return strings.ToValidUTF8(s[:longest], "") + "…"
}

// quote returns s in double quotes, shortened to what fits into a line.
func quote(s string) string {
	const longest = 80
	if len(s) > longest {
		s = strings.ToValidUTF8(s[:longest], "") + "…"
	}
	return strconv.Quote(s)
}

// key is one key of a map of the file. The parser and the schema are both
// made from it.
type key[T any] struct {
	name string
	doc  string // for the schema
	typ  valueType
	// read stores n, the value of k, in to. It is of typ and not null.
	read func(p *parser, to *T, k, n *yaml.Node)
}

// valueType says what a value may be.
type valueType struct {
	kind   yaml.Kind // of the node; 0: any that read accepts
	null   bool      // null means empty
	empty  bool      // a text may be empty, and may have several lines
	raw    bool      // read takes whatever is there: the key is known, to be refused
	want   string    // for messages: "a list"
	schema object    // JSON Schema of it; null is added where it is allowed
}

// table is the keys of one kind of map.
type table[T any] struct {
	what  string // for messages: "a project"
	keys  []key[T]
	index map[string]int
	names []string // those that may be written
}

func newTable[T any](what string, keys []key[T]) *table[T] {
	t := &table[T]{what: what, keys: keys, index: make(map[string]int, len(keys))}
	for i, k := range keys {
		t.index[k.name] = i
		if !k.typ.raw {
			t.names = append(t.names, k.name)
		}
	}
	return t
}

// readMap reads the map n into to. owner names the map in messages.
func readMap[T any](p *parser, t *table[T], n *yaml.Node, owner string, to *T) {
	first := make([]*yaml.Node, len(t.keys))
	p.each(n, false, func(k, v *yaml.Node, merged bool) {
		i, ok := t.index[k.Value]
		switch {
		case !ok:
			p.unknownKey(t.what, t.names, n, k, v)
		case first[i] != nil && merged:
		case first[i] != nil:
			p.duplicate(k, first[i], owner)
		default:
			first[i] = k
			if p.typeOK(t.keys[i].typ, k, v) {
				t.keys[i].read(p, to, k, v)
			}
		}
	})
}

// typeOK checks v, the value of k, against typ. It is false for a null that
// means empty, too: there is nothing to read.
func (p *parser) typeOK(typ valueType, k, v *yaml.Node) bool {
	switch {
	case typ.raw:
	case isNull(v):
		if !typ.null {
			p.nullValue(k, v, typ)
		}
		return false
	case typ.kind != 0 && v.Kind != typ.kind:
		p.fail(p.pos(v), fmt.Sprintf("%s must be %s", quote(k.Value), typ.want), p.shapeHint(k.Value, v))
		return false
	}
	return true
}
