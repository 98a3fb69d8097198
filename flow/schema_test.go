package flow_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cromt/cromt/flow"
)

// validator checks values against the part of JSON Schema that Schema uses,
// and fails the test on any other keyword.
type validator struct {
	t    *testing.T
	defs map[string]any
	res  map[string]*regexp.Regexp
}

func newValidator(t *testing.T) (*validator, map[string]any) {
	t.Helper()
	var root map[string]any
	if err := json.Unmarshal(flow.Schema(), &root); err != nil {
		t.Fatal(err)
	}
	return &validator{t, root["$defs"].(map[string]any), make(map[string]*regexp.Regexp)}, root
}

func (v *validator) valid(schema map[string]any, x any) bool {
	for word, arg := range schema {
		if !v.word(schema, word, arg, x) {
			return false
		}
	}
	return true
}

func (v *validator) word(schema map[string]any, word string, arg, x any) bool {
	list, isList := x.([]any)
	m, isMap := x.(map[string]any)
	text, isText := x.(string)
	number, isNumber := asNumber(x)
	switch word {
	case "$schema", "$defs", "title", "description":
		return true
	case "$ref":
		return v.valid(v.defs[strings.TrimPrefix(arg.(string), "#/$defs/")].(map[string]any), x)
	case "anyOf":
		return slices.ContainsFunc(arg.([]any), func(s any) bool { return v.valid(s.(map[string]any), x) })
	case "type":
		types, ok := arg.([]any)
		if !ok {
			types = []any{arg}
		}
		return slices.ContainsFunc(types, func(name any) bool { return isType(name.(string), x) })
	case "enum":
		return slices.Contains(arg.([]any), x)
	case "pattern":
		if v.res[arg.(string)] == nil {
			v.res[arg.(string)] = regexp.MustCompile(arg.(string))
		}
		return !isText || v.res[arg.(string)].MatchString(text)
	case "minimum":
		return !isNumber || number >= arg.(float64)
	case "exclusiveMinimum":
		return !isNumber || number > arg.(float64)
	case "maximum":
		return !isNumber || number <= arg.(float64)
	case "items":
		return !isList || !slices.ContainsFunc(list, func(e any) bool { return !v.valid(arg.(map[string]any), e) })
	case "minItems":
		return !isList || float64(len(list)) >= arg.(float64)
	case "dependentRequired":
		for k, needed := range arg.(map[string]any) {
			_, has := m[k]
			if has && slices.ContainsFunc(needed.([]any), func(n any) bool { _, ok := m[n.(string)]; return !ok }) {
				return false
			}
		}
		return true
	case "uniqueItems":
		seen := make(map[string]bool)
		for _, e := range list {
			key := fmt.Sprint(e)
			if seen[key] {
				return false
			}
			seen[key] = true
		}
		return true
	case "minProperties":
		return !isMap || float64(len(m)) >= arg.(float64)
	case "required":
		return !isMap || !slices.ContainsFunc(arg.([]any), func(k any) bool { _, ok := m[k.(string)]; return !ok })
	case "propertyNames":
		for k := range m {
			if !v.valid(arg.(map[string]any), k) {
				return false
			}
		}
		return true
	case "properties", "additionalProperties":
		return !isMap || v.properties(schema, m)
	}
	v.t.Fatalf("schema uses %q", word)
	return false
}

func (v *validator) properties(schema, m map[string]any) bool {
	props, _ := schema["properties"].(map[string]any)
	for k, e := range m {
		s, known := props[k].(map[string]any)
		if !known {
			s, known = schema["additionalProperties"].(map[string]any)
		}
		if !known || !v.valid(s, e) {
			return false
		}
	}
	return true
}

func asNumber(x any) (float64, bool) {
	switch x := x.(type) {
	case int64:
		return float64(x), true
	case float64:
		return x, true
	}
	return 0, false
}

func isType(name string, x any) bool {
	switch x := x.(type) {
	case nil:
		return name == "null"
	case bool:
		return name == "boolean"
	case string:
		return name == "string"
	case int64:
		return name == "integer" || name == "number"
	case float64:
		return name == "number" || name == "integer" && x == float64(int64(x))
	case []any:
		return name == "array"
	}
	return name == "object"
}

// samples are values of every type, and the right ones of every key. At most
// one of them is right for what a schema cannot describe.
func samples() []string {
	return []string{
		"", "~", "''", "' '", "text", "'quoted text'", "1", "0", "-1", "1.5", "true", "no", "'true'", "5m", "0s", "'5'", "1d", "9999999", "a b",
		"https://hostA:4000", "ftp://hostA", "https://hostA/x", "~/x", "./x", "x/y", "git@host:repo", "ssh://git@host/repo",
		"[]", "[text]", "[text, text]", "[~]", "[[text]]", "[{}]", "{}", "{text: x}", "{A: ~}", "{A: [1]}", "{A: 1}", "{1A: x}", "[a-b]", "['']",
		"success", "always", "cancel", "queue", "[failure]", "[lost, failure]", "[failed]", "[push]", "{push: }", "{push: {branches: [main]}}", "{push: {branches: []}}",
		"{push: {tags: [x]}}", "{push: [main]}", "{docker: x}", "{docker: 'a b'}", "{docker: }", "{no_sudo: yes}", "{no_sudo: 1}", "{tags: x}", "{conf: x}",
		"[~]", "[{url: 'https://hostA:4000'}]", "[{url: hostA}]", "[{hosts: []}]", "[{name: other}]", "[{name: other, when: always}]", "[{name: other, path: x}]",
		"[{file: a, path: b}]", "[{file: a}]", "[{file: a, path: b, x: c}]", "[{path: b}]", "{in: [x], out: }", "{in: x}", "{in: [a/b]}", "{limit: 1}", "{limit: 1000}", "{on: []}", "{backoff: 0}",
		"{backoff: 1.5, delay: 0}", "{delay: -1}", "{max_delay: 5 min}", "{other: }", "{other: text}", "{p: {hosts: [{url: 'https://hostA:4000'}]}}", "{p: {register: true}}", "{p: {hosts: []}}", "{p: {hosts: [{slots: 1}]}}",
		"{OS: [a, b], include: [{OS: a, X: 1}], exclude: [{OS: a}]}", "{OS: []}", "{OS: [[a]]}", "{include: [{A: 1}]}", "{include: {A: 1}}", "{include: [{}]}", "'30 6 * * 1-5'", "{-x: }",
	}
}

// TestSchemaAgrees puts every sample at every key, and at an unknown one, of
// every kind of map: the schema and the parser must say the same of it.
func TestSchemaAgrees(t *testing.T) {
	v, root := newValidator(t)
	// What a schema cannot say: texts with rules of their own, numbers that
	// are source text, and quotes.
	lenient := func(key, sample string) bool {
		switch key {
		case "crontab":
			return true
		case "branch":
			return strings.ContainsAny(sample, " :~") || sample == "./x" || sample == "-1" || strings.HasPrefix(sample, "'30")
		case "name":
			return sample != "other"
		case "pool", "labels", "matrix":
			return sample == "-1" || sample == "{text: x}"
		case "action":
			return sample == "-1"
		case "path":
			return sample == "https://hostA:4000"
		case "timeout", "queue_timeout":
			return sample == "0s"
		}
		return sample == "'true'" // a quoted boolean
	}
	bodies := map[string]string{
		"":           "%s\nprojects: {other: }",
		"project":    "projects: {other: , a: {%s}}",
		"host":       "projects: {a: {hosts: [{%s}]}}",
		"dependency": "projects: {other: , a: {before: [{name: other, %s}]}}",
		"after":      "projects: {other: , a: {after: [{name: other, %s}]}}",
		"artifacts":  "projects: {a: {artifacts: {%s}}}",
		"output":     "projects: {a: {artifacts: {out: [{file: a, path: b, %s}]}}}",
		"retry":      "projects: {a: {retry: {%s}}}",
		"filters":    "projects: {a: {trigger: {push: {%s}}}}",
		"sparrowdo":  "projects: {a: {sparrowdo: {%s}}}",
		"pool":       "projects: {a: }\npools: {p: {register: true, %s}}",
		"member":     "projects: {a: }\npools: {p: {hosts: [{url: 'https://hostA:4000', %s}]}}",
	}
	if len(bodies) != len(v.defs) { // one of them for the file; the keys of a matrix are anything
		t.Errorf("%d kinds of maps in the schema, %d in the test", len(v.defs), len(bodies))
	}
	all := map[string]bool{"unknown": true, "conf": true, "tags": true}
	for kind := range bodies {
		for k := range properties(t, v, root, kind) {
			all[k] = true
		}
	}
	accepted := make(map[string]int)
	for kind, body := range bodies {
		props := properties(t, v, root, kind)
		for k := range all {
			if k == "projects" && kind == "" || strings.Contains(body, k+": other") || kind == "output" && props[k] != nil ||
				strings.Contains(body, k+": 'https") || strings.Contains(body, k+": true") {
				continue // they are in the body
			}
			values := samples()
			if props[k] == nil {
				values = values[:10] // no value helps a key that is not known
			}
			for _, sample := range values {
				doc := fmt.Sprintf(body, k+": "+sample)
				if kind == "project" && (k == "labels" || k == "workers") {
					doc = fmt.Sprintf(body, "pool: p, "+k+": "+sample)
				}
				x, err := flow.DecodeYAML([]byte(doc))
				if err != nil {
					t.Fatalf("%s: %v", doc, err)
				}
				_, err = flow.Parse("jobs.yaml", []byte(doc))
				valid := v.valid(root, x)
				if err == nil {
					accepted[kind+"."+k]++
				}
				agree := valid == (err == nil) || valid && lenient(k, sample)
				if !agree {
					t.Errorf("%s\nschema says %v, parser says %v", doc, valid, err)
				}
			}
			if known := props[k] != nil; known != (accepted[kind+"."+k] > 0) {
				t.Errorf("key %q of %q: in the schema %v, accepted with %d values", k, kind, known, accepted[kind+"."+k])
			}
		}
	}
}

func properties(t *testing.T, v *validator, root map[string]any, kind string) map[string]any {
	t.Helper()
	s := root
	if kind != "" {
		s = v.defs[kind].(map[string]any)
	}
	props := s["properties"].(map[string]any)
	for name, p := range props {
		if d, _ := p.(map[string]any)["description"].(string); d == "" {
			t.Errorf("key %q of %q has no description", name, kind)
		}
	}
	return props
}

// TestSchemaOfFiles: what parses is valid, and the errors of shape are not.
func TestSchemaOfFiles(t *testing.T) {
	v, root := newValidator(t)
	for name, data := range files(t, "ok") {
		x, err := flow.DecodeYAML(data)
		if err != nil || !v.valid(root, x) {
			t.Errorf("%s is not valid (%v)", name, err)
		}
	}
	// Files whose problems a schema cannot express: they concern the text of
	// YAML, or what values mean.
	beyond := []string{"crontab", "unknown-project", "branches", "merge"}
	for name, data := range files(t, "err") {
		x, err := flow.DecodeYAML(data)
		if err != nil {
			continue
		}
		if base := strings.TrimSuffix(filepath.Base(name), ".yaml"); v.valid(root, x) && !slices.Contains(beyond, base) {
			t.Errorf("%s is valid", name)
		}
	}
}
