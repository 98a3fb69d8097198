package tomtit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every limit is shown by an archive of testdata/refused, which names it, and
// whose error says so; an archive of limit none shows a mistake.
func TestLimits(t *testing.T) {
	names, err := filepath.Glob("testdata/refused/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatal("no testdata", err)
	}
	known := make(map[string]*limit)
	for _, l := range limits {
		if known[l.name] != nil || l.name == "none" || l.where == "" || l.what == "" {
			t.Errorf("limit %q is not whole, or there twice", l.name)
		}
		known[l.name] = l
	}
	shown := make(map[string]bool)
	for _, file := range names {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		first, rest, _ := strings.Cut(string(b), "\n")
		name, ok := strings.CutPrefix(first, "limit: ")
		_, want, _ := strings.Cut(rest, "-- want-error --\n")
		l := known[name]
		switch {
		case !ok || l == nil && name != "none":
			t.Errorf("%s names no limit: %q", file, first)
		case l != nil:
			shown[name] = true
			if !strings.Contains(want, "not supported by the built-in runner") || l.instead != "" && !strings.HasSuffix(want, l.hint()+"\n") {
				t.Errorf("%s: the error is not that of limit %s: %s", file, name, want)
			}
		}
	}
	for _, l := range limits {
		if !shown[l.name] {
			t.Errorf("no archive shows limit %s", l.name)
		}
	}
}

// The table of README.md is that of the program. With UPDATE set it is
// written anew.
func TestReadmeHasLimits(t *testing.T) {
	const begin, end = "<!-- limits -->\n", "<!-- end of limits -->\n"
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(b), begin)
	table, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("README.md has no place for the limits")
	}
	want := limitTable()
	if table == want {
		return
	}
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile("README.md", []byte(head+begin+want+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("README.md has another table of limits:\n%s\nwant:\n%s", table, want)
}
