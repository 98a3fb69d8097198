package flow

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"gopkg.in/yaml.v3"
)

// textKey is a key whose value is a text; check, where there is one, reports
// what is wrong with it.
func textKey[T any](name, doc string, typ valueType, at func(*T) *Text, check func(*parser, *yaml.Node, Text) bool) key[T] {
	return key[T]{name, doc, typ, func(p *parser, to *T, k, n *yaml.Node) {
		if t, ok := p.text(k, n, typ.empty); ok && (check == nil || check(p, k, t)) {
			*at(to) = t
		}
	}}
}

// boolKey is a key whose value is true or false.
func boolKey[T any](name, doc string, at func(*T) *bool) key[T] {
	return key[T]{name, doc, typeBool(), func(p *parser, to *T, k, n *yaml.Node) { *at(to) = p.boolean(k, n) }}
}

// text returns the source text of the scalar n, without white space around it.
func (p *parser) text(k, n *yaml.Node, empty bool) (Text, bool) {
	t := Text{strings.TrimSpace(n.Value), p.pos(n)}
	switch {
	case empty && !strings.Contains(t.Value, "\x00"):
		return t, true
	case t.Value == "":
		p.fail(t.Pos, quote(k.Value)+" is empty", "give it a value, or remove it")
	case strings.ContainsAny(t.Value, "\r\n"):
		p.fail(t.Pos, quote(k.Value)+" must be one line", "")
	case strings.ContainsFunc(t.Value, unicode.IsControl):
		p.fail(t.Pos, quote(k.Value)+" contains a control character", "")
	default:
		return t, true
	}
	return t, false
}

// isText reports whether n is a scalar that can stand for itself, and says
// so of what, a phrase that names n, if not.
func (p *parser) isText(n *yaml.Node, what, hint string) bool {
	switch {
	case n.Kind != yaml.ScalarNode:
		p.fail(p.pos(n), what+" must be a string", hint)
	case isNull(n):
		p.fail(p.pos(n), what+" is null", hint)
	default:
		return true
	}
	return false
}

func (p *parser) boolean(k, n *yaml.Node) bool {
	v, ok := parseBool(n.Value)
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 || n.ShortTag() == "!!str" && n.Style&yaml.TaggedStyle != 0 {
		hint := ""
		if ok {
			hint = "remove the quotes"
		}
		p.fail(p.pos(n), quote(k.Value)+" must be true or false", hint)
		return false
	}
	if !ok {
		p.fail(p.pos(n), fmt.Sprintf("%s must be true or false, not %s", quote(k.Value), quote(n.Value)), "")
	}
	return v
}

// enum returns n when it is one of values, else "".
func (p *parser) enum(k, n *yaml.Node, values []string) string {
	if slices.Contains(values, n.Value) {
		return n.Value
	}
	hint := p.didYouMean(n.Value, values, "")
	p.fail(p.pos(n), fmt.Sprintf("%s must be %s, not %s", quote(k.Value), orList(values), quote(n.Value)), hint)
	return ""
}

// enums reads a list of some of values, at least one.
func (p *parser) enums(k, n *yaml.Node, values []string) []string {
	var list []string
	for _, c := range n.Content {
		c = deref(c)
		what := "an entry of " + quote(k.Value)
		switch {
		case !p.isText(c, what, "it takes "+orList(values)):
		case !slices.Contains(values, c.Value):
			p.fail(p.pos(c), fmt.Sprintf("%s must be %s, not %s", what, orList(values), quote(c.Value)), p.didYouMean(c.Value, values, ""))
		case slices.Contains(list, c.Value):
			p.fail(p.pos(c), fmt.Sprintf("%s is listed twice in %s", quote(c.Value), quote(k.Value)), "")
		default:
			list = append(list, c.Value)
		}
	}
	if len(n.Content) == 0 {
		p.fail(p.pos(n), quote(k.Value)+" is empty", "remove it, or list "+orList(values))
	}
	return list
}

// duration reads seconds or a Go duration into to.
func (p *parser) duration(k, n *yaml.Node, positive bool, to *time.Duration) {
	s := strings.TrimSpace(n.Value)
	var d time.Duration
	if v, ok := parseNumber(s); ok {
		d = time.Duration(min(v, 1e9) * float64(time.Second)) // beyond the limit, but no overflow
	} else if v, err := time.ParseDuration(s); err == nil && !strings.HasPrefix(s, "+") {
		d = v
	} else if _, err := strconv.ParseFloat(s, 64); err != nil || !strings.HasPrefix(s, "-") {
		p.fail(p.pos(n), fmt.Sprintf("%s must be seconds or a duration, not %s", quote(k.Value), quote(n.Value)), durationHint(s))
		return
	} else {
		d = -1
	}
	switch {
	case positive && d == 0:
		p.fail(p.pos(n), quote(k.Value)+" must not be 0", "remove it for the default")
	case d < 0:
		p.fail(p.pos(n), quote(k.Value)+" must not be negative", "")
	case d > MaxTimeout:
		p.fail(p.pos(n), fmt.Sprintf("%s is longer than the limit of %d h", quote(k.Value), MaxTimeout/time.Hour), "")
	default:
		*to = d
	}
}

// durationHint understands what people write instead: 5 min, 2 days, 1h30.
func durationHint(s string) string {
	number := strings.TrimRight(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz ")
	unit := strings.TrimSpace(strings.ToLower(s)[len(number):])
	n, err := strconv.Atoi(number)
	if err == nil && n > 0 && n < 1e6 {
		switch unit {
		case "sec", "secs", "second", "seconds", "s":
			return fmt.Sprintf("write %d or %ds", n, n)
		case "min", "mins", "minute", "minutes", "m":
			return fmt.Sprintf("write %d or %dm", n*60, n)
		case "hr", "hrs", "hour", "hours", "h":
			return fmt.Sprintf("write %d or %dh", n*3600, n)
		case "d", "day", "days":
			return fmt.Sprintf("write %dh", n*24)
		case "w", "week", "weeks":
			return fmt.Sprintf("write %dh", n*7*24)
		}
	}
	return "write 90, 90s, 15m or 1h30m"
}

// integer reads a whole number into to.
func (p *parser) integer(k, n *yaml.Node, lo, hi int, to *int) {
	v, err := strconv.Atoi(n.Value)
	if err != nil || v < lo || v > hi {
		p.fail(p.pos(n), fmt.Sprintf("%s must be a whole number from %d to %d, not %s", quote(k.Value), lo, hi, quote(n.Value)), "")
		return
	}
	*to = v
}

// number reads a decimal number into to.
func (p *parser) number(k, n *yaml.Node, lo, hi float64, to *float64) {
	v, ok := parseNumber(n.Value)
	if !ok || v < lo || v > hi {
		p.fail(p.pos(n), fmt.Sprintf("%s must be a number from %g to %g, not %s", quote(k.Value), lo, hi, quote(n.Value)), "")
		return
	}
	*to = v
}

// names reads a list of names without duplicates. It is not nil: an empty
// list says none.
func (p *parser) names(k, n *yaml.Node, valid func(string) bool, rule string) []Text {
	list := make([]Text, 0, len(n.Content))
	first := make(map[string]int, len(n.Content))
	for _, c := range n.Content {
		c = deref(c)
		if !p.isText(c, "an entry of "+quote(k.Value), "write - NAME") {
			continue
		}
		if !valid(c.Value) {
			p.fail(p.pos(c), fmt.Sprintf("%s is not a name for %s", quote(c.Value), quote(k.Value)), rule)
			continue
		}
		if line, dup := first[c.Value]; dup {
			p.fail(p.pos(c), fmt.Sprintf("%s is listed twice in %s (first at line %d)", quote(c.Value), quote(k.Value), line), "")
			continue
		}
		first[c.Value] = c.Line
		list = append(list, Text{c.Value, p.pos(c)})
	}
	return list
}

// The name rules, as the hint says them and the schema has them.
const (
	projectNamePattern  = `^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`
	artifactNamePattern = `^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`
	envNamePattern      = `^[A-Za-z_][A-Za-z0-9_]*$`

	projectNameRule  = "use letters, digits, dots, dashes and underscores, at most 100, beginning with a letter or a digit"
	artifactNameRule = projectNameRule
	envNameRule      = "use letters, digits and underscores, not beginning with a digit"
)

func isProjectName(s string) bool { return isFileName(s, MaxProjectName) }

func isArtifactName(s string) bool { return isFileName(s, 100) }

func isFileName(s string, longest int) bool {
	for i, c := range []byte(s) {
		if !isAlnum(c) && (i == 0 || c != '.' && c != '_' && c != '-') {
			return false
		}
	}
	return s != "" && len(s) <= longest
}

func isEnvName(s string) bool {
	for i, c := range []byte(s) {
		if c != '_' && !isAlnum(c) || i == 0 && c >= '0' && c <= '9' {
			return false
		}
	}
	return s != ""
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
