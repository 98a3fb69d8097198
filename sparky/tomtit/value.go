package tomtit

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// The values of a scenario are nil, bool, string, number, allomorph, list,
// pair and map[string]any of those.

// list is a Raku List, (a b), or Array, [a b].
type list struct {
	items []any
	array bool
}

// typeObject is what a variable of a Raku type holds without a value.
type typeObject string

// pair is a Raku Pair outside of a hash.
type pair struct {
	key   string
	value any
}

func (p pair) hash() map[string]any { return map[string]any{p.key: p.value} }

// truth is what Raku's boolean context makes of v.
func truth(v any) bool {
	switch v := v.(type) {
	case bool:
		return v
	case string:
		return v != ""
	case number:
		return !v.zero
	case allomorph:
		return !v.num.zero
	case list:
		return len(v.items) > 0
	case map[string]any:
		return len(v) > 0
	case pair:
		return truth(v.value)
	}
	return false
}

// text is what Raku's string context makes of v.
func text(v any) string {
	var b strings.Builder
	writeText(&b, v)
	return b.String()
}

func writeText(b *strings.Builder, v any) {
	switch v := v.(type) {
	case bool:
		if v {
			b.WriteString("True")
		} else {
			b.WriteString("False")
		}
	case string:
		b.WriteString(v)
	case number:
		b.WriteString(v.text)
	case allomorph:
		b.WriteString(v.text)
	case list:
		for i, item := range v.items {
			if i > 0 {
				b.WriteByte(' ')
			}
			writeText(b, item)
		}
	case pair:
		writeText(b, v.hash())
	case map[string]any:
		for i, k := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(k)
			b.WriteByte('\t')
			writeText(b, v[k])
		}
	}
}

// writeGist writes what say makes of v.
func writeGist(b *strings.Builder, v any) {
	switch v := v.(type) {
	case nil:
		b.WriteString("(Any)")
	case typeObject:
		b.WriteString("(" + string(v) + ")")
	case list:
		brackets := "()"
		if v.array {
			brackets = "[]"
		}
		b.WriteByte(brackets[0])
		for i, item := range v.items {
			if i > 0 {
				b.WriteByte(' ')
			}
			writeGist(b, item)
		}
		b.WriteByte(brackets[1])
	case pair:
		b.WriteString(v.key + " => ")
		writeGist(b, v.value)
	case map[string]any:
		b.WriteByte('{')
		for i, k := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				b.WriteString(", ")
			}
			writeGist(b, pair{k, v[k]})
		}
		b.WriteByte('}')
	default:
		writeText(b, v)
	}
}

// configValue returns v as a task's config has it: Raku writes it as JSON, so
// allomorphs become their numbers, and infinite ones nothing.
func configValue(v any) any {
	switch v := v.(type) {
	case typeObject:
		return nil
	case allomorph:
		return configValue(v.num)
	case number:
		if v.json == "null" {
			return nil
		}
		return v
	case list:
		items := make([]any, len(v.items))
		for i, item := range v.items {
			items[i] = configValue(item)
		}
		return list{items, true}
	case pair:
		return configValue(v.hash())
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, item := range v {
			m[k] = configValue(item)
		}
		return m
	}
	return v
}

// fromPlain turns decoded YAML or JSON into values of a scenario.
func fromPlain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, item := range v {
			m[k] = fromPlain(item)
		}
		return m
	case []any:
		items := make([]any, len(v))
		for i, item := range v {
			items[i] = fromPlain(item)
		}
		return list{items, true}
	case int64:
		return intNumber(big.NewInt(v))
	case float64:
		return floatNumber(v)
	case fmt.Stringer: // json.Number
		if n, ok := parseNumber(v.String()); ok {
			return n
		}
		return v.String()
	}
	return v
}

// merge lays b over a: maps key by key, everything else replaced.
func merge(a, b map[string]any) map[string]any {
	m := maps.Clone(a)
	if m == nil {
		m = make(map[string]any, len(b))
	}
	for k, v := range b {
		x, isMap := m[k].(map[string]any)
		if y, ok := v.(map[string]any); ok && isMap {
			m[k] = merge(x, y)
		} else {
			m[k] = v
		}
	}
	return m
}

// flatten calls f with the dotted path of every value below m and what the
// shell helper config prints for it. Keys with a dot cannot be asked for.
func flatten(m map[string]any, prefix string, f func(path, value string)) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if k == "" || strings.ContainsAny(k, ".\x00") {
			continue
		}
		s := text(m[k])
		if _, ok := m[k].(list); ok {
			s = "(" + s + ")"
		}
		if s != "" {
			f(prefix+k, strings.ReplaceAll(s, "\x00", ""))
		}
		if sub, ok := m[k].(map[string]any); ok {
			flatten(sub, prefix+k+".", f)
		}
	}
}

// appendJSON appends v as JSON. Bytes that are not UTF-8 stay as they are, for
// the helper libraries to hand them on.
func appendJSON(b []byte, v any) []byte {
	switch v := v.(type) {
	case bool:
		return strconv.AppendBool(b, v)
	case number:
		return append(b, v.json...)
	case allomorph:
		return append(b, v.num.json...)
	case string:
		return appendJSONString(b, v)
	case list:
		b = append(b, '[')
		for i, item := range v.items {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(b, item)
		}
		return append(b, ']')
	case map[string]any:
		b = append(b, '{')
		for i, k := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendJSONString(b, k), ':')
			b = appendJSON(b, v[k])
		}
		return append(b, '}')
	}
	return append(b, "null"...)
}

func appendJSONString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c == 0x7f:
			b = fmt.Appendf(b, `\u%04x`, c)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
