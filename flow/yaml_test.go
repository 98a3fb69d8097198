package flow_test

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/flow"
)

func TestDecodeYAML(t *testing.T) {
	tests := []struct {
		yaml string
		want any
	}{
		{"", nil},
		{"# nothing", nil},
		{"~", nil},
		{"5", int64(5)},
		{"-0x1F", int64(-31)},
		{"9223372036854775807", int64(9223372036854775807)},
		{"18446744073709551615", float64(18446744073709551615)},
		{"1.50", 1.5},
		{"true", true},
		{"'true'", "true"},
		{"2024-01-01", "2024-01-01"},
		{"!!str 5", "5"},
		{"a: [1, b, {c: ~}]", map[string]any{"a": []any{int64(1), "b", map[string]any{"c": nil}}}},
		{"1: x", map[string]any{"1": "x"}},
		{"a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}", map[string]any{
			"a": map[string]any{"b": int64(1), "c": int64(2)},
			"d": map[string]any{"b": int64(1), "c": int64(3)},
		}},
		{"a: &x [1]\nb: *x", map[string]any{"a": []any{int64(1)}, "b": []any{int64(1)}}},
		{"[]", []any{}},
		{"{}", map[string]any{}},
	}
	for _, tt := range tests {
		got, err := flow.DecodeYAML([]byte(tt.yaml))
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%q: %#v, %v, want %#v", tt.yaml, got, err, tt.want)
		}
	}
}

func TestDecodeYAMLErrors(t *testing.T) {
	tests := []struct{ yaml, want string }{
		{"a: 1\nb: {c: 1, c: 2}", `yaml:2:11: duplicate key "c" (first at line 2)`},
		{"a: 1\na: 2", `yaml:2:1: duplicate key "a" (first at line 1)`},
		{"a\n---\nb", `yaml:2:1: a second document begins here; write one document, without another "---"`},
		{"? [a]\n: b", "yaml:1:3: a key must be a string; quote it if it begins with a bracket or a brace"},
		{"a: !!binary aGk=", `yaml:1:4: tag "!!binary" is not supported; remove it`},
		{"a: !!map x", `yaml:1:4: tag "!!map" is not supported; remove it`},
	}
	for _, tt := range tests {
		v, err := flow.DecodeYAML([]byte(tt.yaml))
		if err == nil || err.Error() != tt.want || v != nil {
			t.Errorf("%q: %v, %v, want %s", tt.yaml, v, err, tt.want)
		}
	}
}

// lol is an alias bomb of levels lists, each of nine times the one before.
func lol(levels int) string {
	var b strings.Builder
	b.WriteString("a0: &a0 [lol]\n")
	for i := range levels {
		fmt.Fprintf(&b, "a%d: &a%d [%s*a%d]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d,", i), 8), i)
	}
	return b.String()
}

func mergeBomb(levels int) string {
	var b strings.Builder
	b.WriteString("a0: &a0 {x: 1}\n")
	for i := range levels {
		fmt.Fprintf(&b, "a%d: &a%d {<<: [%s*a%d]}\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d,", i), 8), i)
	}
	return b.String()
}

func manyKeys(n int) string {
	var b strings.Builder
	b.WriteString("projects:\n  a:\n    vars:\n")
	for i := range n {
		fmt.Fprintf(&b, "      V%d: x\n", i)
	}
	return b.String()
}

// TestBombs sends what would take a careless reader's time or memory. Each
// must be answered, with a limit's message where it breaks one.
func TestBombs(t *testing.T) {
	// 0.12 s and 75 MiB at most, most of them a tenth of that. Freed memory
	// counts, too, and the CPU time of those who collect it.
	const mostCPU, mostMemory = 250 * time.Millisecond * slower, 100 << 20
	full := flow.MaxFileSize
	tests := []struct{ name, yaml, want string }{
		{"billion laughs", lol(9), "more than 200000 values"},
		{"merge bomb", mergeBomb(9), "more than 200000 values"},
		{"self anchor", "a: &x [*x]", `anchor "x" contains itself`},
		{"self merge", "a: &x {<<: *x}", `anchor "x" contains itself`},
		{"mutual anchors", "a: &x {b: &y [*x]}", `anchor "x" contains itself`},
		{"flow nesting", strings.Repeat("[", 9000) + strings.Repeat("]", 9000), "more than 64 levels"},
		{"map nesting", strings.Repeat("{a: ", 9000) + strings.Repeat("}", 9000), "more than 64 levels"},
		{"10,000 open brackets", strings.Repeat("[", 10_000), "invalid YAML"},
		{"block nesting", strings.Repeat("- ", 9000) + "x", "more than 64 levels"},
		{"open brackets", strings.Repeat("[", full), "lines, commas and brackets"},
		{"dashes", strings.Repeat("- ", full/2), "invalid YAML"},
		{"question marks", strings.Repeat("? ", full/2), "invalid YAML"},
		{"file of 5 MB", strings.Repeat("x", 5_000_000), "more than the limit of 4 MiB"},
		{"scalar of 4 MiB", "projects: " + strings.Repeat("x", full-20), `"projects" must be a map`},
		{"list of 2 million", "[" + strings.Repeat("a,", full/2-1) + "]", "lines, commas and brackets"},
		{"list of 299,000", "[" + strings.Repeat("a,", 299_000) + "]", "more than 200000 values"},
		{"comments", strings.Repeat("# x\n", 299_000), "file is empty"},
		{"long comment", "#" + strings.Repeat("x", full-2), "file is empty"},
		{"anchors", "[" + strings.Repeat("&a x,", 99_000) + "]", "must be a map"},
		{"spaces", strings.Repeat(" ", full-10) + "x", "must be a map"},
		{"long key", strings.Repeat("k", full-10) + ": x", "invalid YAML"},
		{"escapes", `projects: "` + strings.Repeat(`\u0041`, full/6-10) + `"`, `"projects" must be a map`},
		{"wide line", "projects: {" + strings.Repeat("é: ü,", 99_000) + "}", "a project is a map"},
		{"80,000 unknown keys", strings.ReplaceAll(manyKeys(80_000), "      V", "    V"), "79000 more problems are not listed"},
		{"80,000 keys", manyKeys(80_000), ""},
		{"90,000 unknown projects", "projects: {a: {before: [" + strings.Repeat("{name: aa},", 49_000) + "]}}", "48000 more problems are not listed"},
		{"many mistyped names", func() string {
			var b strings.Builder
			b.WriteString("projects:\n")
			for i := range 10_000 {
				fmt.Fprintf(&b, "  project-number-%d: {before: [{name: project-numbre-%d}]}\n", i, i)
			}
			return b.String()
		}(), "9000 more problems are not listed"},
		{"many tabs", strings.Repeat("a:\n\tb: 1\n", 100_000), "a tab cannot be used"},
		{"unknown anchor", "a: *" + strings.Repeat("x", 100_000), "has no anchor above it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			data := []byte(tt.yaml)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			begun := cpuTime()
			_, err := flow.Parse("jobs.yaml", data)
			if used := cpuTime() - begun; used > mostCPU {
				t.Errorf("used %v of CPU", used)
			}
			runtime.ReadMemStats(&after)
			if n := after.TotalAlloc - before.TotalAlloc; n > mostMemory {
				t.Errorf("took %d MiB", n>>20)
			}
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%.300v, want %q", err, tt.want)
			}
		})
	}
}

func TestErrorsAreBounded(t *testing.T) {
	_, err := flow.Parse("jobs.yaml", []byte("projects:\n  a: {"+strings.Repeat("x"+strings.Repeat("y", 1000)+": 1, ", 4000)+"}\n"))
	if len(err.Error()) > 1<<20 {
		t.Errorf("message has %d bytes", len(err.Error()))
	}
}

func FuzzDecodeYAML(f *testing.F) {
	for _, folder := range []string{"ok", "err"} {
		for _, data := range files(f, folder) {
			f.Add(data)
		}
	}
	f.Add([]byte(lol(3)))
	f.Add([]byte(mergeBomb(2)))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := flow.DecodeYAML(data)
		if err == nil {
			plainValue(t, v)
			return
		}
		checkList(t, "yaml", data, err)
	})
}

func plainValue(t *testing.T, v any) {
	switch v := v.(type) {
	case nil, string, bool, int64, float64:
	case []any:
		for _, e := range v {
			plainValue(t, e)
		}
	case map[string]any:
		for _, e := range v {
			plainValue(t, e)
		}
	default:
		t.Fatalf("value of type %T", v)
	}
}

// checkList checks what every ErrorList promises.
func checkList(t *testing.T, file string, data []byte, err error) {
	t.Helper()
	var list flow.ErrorList
	if !errors.As(err, &list) || len(list) == 0 {
		t.Fatalf("error %T: %v", err, err)
	}
	lines := 1 + bytes.Count(data, []byte("\n")) + bytes.Count(data, []byte("\r")) +
		bytes.Count(data, []byte("\u0085")) + bytes.Count(data, []byte("\u2028")) + bytes.Count(data, []byte("\u2029"))
	last := flow.Pos{}
	for _, e := range list {
		if e.File != file || e.Msg == "" || strings.ContainsAny(e.Error(), "\n\r\x00\x1b") {
			t.Errorf("bad error %q", e.Error())
		}
		if e.Pos.IsSet() && (e.Pos.Col < 1 || e.Pos.Line > lines+1) {
			t.Errorf("bad place in %q, the file has %d lines", e.Error(), lines)
		}
		if e.Pos.Line < last.Line || e.Pos.Line == last.Line && e.Pos.Col < last.Col {
			t.Errorf("not sorted: %q", e.Error())
		}
		last = e.Pos
	}
}
