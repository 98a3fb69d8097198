package flow

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// DecodeYAML reads one YAML document into map[string]any, []any, string, bool,
// int64, float64 and nil, within the limits of a jobs.yaml: MaxFileSize,
// MaxDepth, MaxNodes. Keys are their source text, merge keys (<<) are applied,
// dates stay text. An empty document is nil. The error is an [ErrorList] with
// places in data; its File is "yaml", for the caller to replace.
func DecodeYAML(data []byte) (any, error) {
	p := newParser("yaml", data)
	root := p.document(data)
	var v any
	if root != nil {
		v = p.plain(root)
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	return v, nil
}

// document returns the root of the only document in data, nil when there is
// none or when it breaks a limit, which is then reported. Every walk over what
// it returns ends, and ends soon: the tree behind its aliases is finite and
// has at most MaxNodes nodes.
func (p *parser) document(data []byte) *yaml.Node {
	if !p.readable(data) {
		return nil
	}
	data = bytes.TrimPrefix(data, []byte(utf8BOM))
	docs, err := decodeNodes(data)
	if err != nil {
		p.syntaxError(data, err)
		return nil
	}
	if len(docs) == 0 || len(docs[0].Content) == 0 {
		return nil
	}
	if len(docs) > 1 {
		p.fail(p.pos(docs[1]), "a second document begins here", `write one document, without another "---"`)
		return nil
	}
	root := docs[0].Content[0]
	b := bounds{left: MaxNodes, open: make(map[*yaml.Node]bool)}
	if !b.walk(p, root, 1) {
		return nil
	}
	return root
}

const utf8BOM = "\xef\xbb\xbf"

// readable refuses what is not worth giving to the YAML library, with a
// better place and text than it would have.
func (p *parser) readable(data []byte) bool {
	if len(data) > MaxFileSize {
		p.fail(Pos{}, fmt.Sprintf("file has %.1f MiB, more than the limit of %d MiB", float64(len(data))/(1<<20), MaxFileSize>>20), "")
		return false
	}
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		p.fail(Pos{1, 1}, "file is UTF-16", "save it as UTF-8")
		return false
	}
	separators := 0
	for i, c := range data {
		switch {
		case c == '\n' || c == ',' || c == '[' || c == '{':
			separators++
		case c < ' ' && c != '\t' && c != '\r' || c == 0x7f:
			p.fail(p.lines.at(i), fmt.Sprintf("control character 0x%02x", c), `remove it, or write "\x`+fmt.Sprintf("%02x", c)+`" in double quotes`)
			return false
		}
	}
	if separators > MaxSeparators {
		p.fail(Pos{}, fmt.Sprintf("file has %d lines, commas and brackets, more than the limit of %d", separators, MaxSeparators), "")
		return false
	}
	if !utf8.Valid(data) {
		p.fail(p.lines.at(invalidUTF8(data)), "text is not valid UTF-8", "save the file as UTF-8")
		return false
	}
	return true
}

func invalidUTF8(data []byte) int {
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(data)
}

// decodeNodes parses up to two documents: the second one is only needed to be
// refused. The library panics on some inputs.
func decodeNodes(data []byte) (docs []*yaml.Node, err error) {
	defer func() {
		if v := recover(); v != nil {
			docs, err = nil, fmt.Errorf("yaml: document cannot be read (%v)", v)
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for len(docs) < 2 {
		doc := new(yaml.Node)
		if err := dec.Decode(doc); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		docs = append(docs, doc)
	}
	return docs, nil
}

// bounds walks a document as a reader would, through its aliases, and stops
// at the first limit that it breaks.
type bounds struct {
	left int
	open map[*yaml.Node]bool // anchored nodes between the root and here
}

func (b *bounds) walk(p *parser, n *yaml.Node, depth int) bool {
	b.left--
	if b.left < 0 {
		p.fail(p.pos(n), fmt.Sprintf("more than %d values, those behind aliases counted each time", MaxNodes), "")
		return false
	}
	if depth > MaxDepth {
		p.fail(p.pos(n), fmt.Sprintf("more than %d levels of nesting", MaxDepth), "")
		return false
	}
	if n.Kind == yaml.AliasNode {
		if b.open[n.Alias] {
			p.fail(p.pos(n), fmt.Sprintf("anchor %s contains itself", quote(n.Value)), "")
			return false
		}
		p.aliased = true
		n = n.Alias
	}
	if n.Anchor != "" {
		b.open[n] = true
		defer delete(b.open, n)
	}
	if !knownTag(n) {
		p.fail(p.pos(n), fmt.Sprintf("tag %s is not supported", quote(n.Tag)), "remove it")
		return false
	}
	for _, c := range n.Content {
		if !b.walk(p, c, depth+1) {
			return false
		}
	}
	return true
}

// knownTag reports whether n has a tag that says no more than what it looks
// like; !!binary would need decoding, and others have no meaning here.
func knownTag(n *yaml.Node) bool {
	if n.Style&yaml.TaggedStyle == 0 {
		return true
	}
	switch n.ShortTag() {
	case "!!str", "!!int", "!!float", "!!bool", "!!null":
		return n.Kind == yaml.ScalarNode
	case "!!map":
		return n.Kind == yaml.MappingNode
	case "!!seq":
		return n.Kind == yaml.SequenceNode
	}
	return false
}

// deref returns the node that n stands for. document has made sure that it ends.
func deref(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

// each calls f for every entry of the map n, aliases resolved: its own first,
// then those of its merge keys, nearest first, with merged true. A merged
// entry counts only where there is no nearer one of its name.
func (p *parser) each(n *yaml.Node, merged bool, f func(key, value *yaml.Node, merged bool)) {
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := deref(n.Content[i]), deref(n.Content[i+1])
		switch {
		case k.Kind == yaml.ScalarNode && k.Tag == "!!merge":
			merges = append(merges, k, v)
		case k.Kind != yaml.ScalarNode:
			p.fail(p.pos(n.Content[i]), "a key must be a string", "quote it if it begins with a bracket or a brace")
		case isNull(k):
			p.fail(p.pos(n.Content[i]), "a key must not be null", "write a name before the colon")
		default:
			f(k, v, merged)
		}
	}
	for i := 0; i < len(merges); i += 2 {
		sources := []*yaml.Node{merges[i+1]}
		if merges[i+1].Kind == yaml.SequenceNode {
			sources = merges[i+1].Content
		}
		for _, s := range sources {
			if s = deref(s); s.Kind != yaml.MappingNode {
				p.fail(p.pos(merges[i]), `"<<" must be a map or a list of maps`, "write <<: *name, with &name at a map above")
				continue
			}
			p.each(s, true, f)
		}
	}
}

// plain turns n into Go values.
func (p *parser) plain(n *yaml.Node) any {
	n = deref(n)
	switch n.Kind {
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, c := range n.Content {
			list[i] = p.plain(c)
		}
		return list
	case yaml.MappingNode:
		m := make(map[string]any, len(n.Content)/2)
		first := make(map[string]*yaml.Node, len(n.Content)/2)
		p.each(n, false, func(k, v *yaml.Node, merged bool) {
			switch at, dup := first[k.Value]; {
			case dup && !merged:
				p.duplicate(k, at, "")
			case !dup:
				first[k.Value] = k
				m[k.Value] = p.plain(v)
			}
		})
		return m
	}
	return plainScalar(n)
}

func plainScalar(n *yaml.Node) any {
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		if b, ok := parseBool(n.Value); ok {
			return b
		}
	case "!!int", "!!float":
		var v any
		if err := n.Decode(&v); err != nil {
			return n.Value
		}
		switch v := v.(type) {
		case int:
			return int64(v)
		case int64:
			return v
		case uint64:
			return float64(v)
		case float64:
			return v
		}
	}
	return n.Value
}

// parseBool knows the YAML 1.1 words too: people write yes and off.
func parseBool(s string) (value, ok bool) {
	switch s {
	case "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON":
		return true, true
	case "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF":
		return false, true
	}
	return false, false
}

// parseNumber reads a plain decimal number, as people write seconds and
// factors: no sign, no exponent, no hexadecimal.
func parseNumber(s string) (float64, bool) {
	for _, c := range s {
		if (c < '0' || c > '9') && c != '.' {
			return 0, false
		}
	}
	v, err := strconv.ParseFloat(s, 64)
	return v, err == nil && !math.IsInf(v, 0)
}
