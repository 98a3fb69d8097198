package bot

import (
	"slices"
	"strings"
	"testing"
)

func TestDifference(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{"a b c", "a b c", ""},
		{"", "", ""},
		{"a b c", "a x c", " a|-b|+x| c"},
		{"a b", "a b c", " b|+c"},
		{"a b c", "b c", "-a| b"},
		{"a 1 2 3 4 b z", "x 1 2 3 4 y z", "-a|+x| 1| …| 4|-b|+y| z"},
		{"a b", "b a", "-a| b|+a"},
	} {
		got := difference(strings.Fields(c.from), strings.Fields(c.to))
		if strings.Join(got, "|") != c.want || got == nil {
			t.Errorf("%s to %s: %q, want %q", c.from, c.to, got, c.want)
		}
	}
	long := make([]string, maxDifference/2+1)
	other := slices.Clone(long)
	other[0], other[len(other)-1] = "x", "y"
	if got := difference(long, other); got != nil {
		t.Errorf("compared %d lines", len(long))
	}
}

func TestFit(t *testing.T) {
	big := strings.Repeat("x", 200)
	if got := fit(200, "head ", []string{"", "one", big, "two"}); !strings.HasPrefix(got, "head one\n") || !strings.Contains(got, "left out") || strings.Contains(got, "xx") && len(got) > 200 {
		t.Errorf("%q", got)
	}
	if got := fit(1000, "head ", []string{"one"}); got != "head one\n" {
		t.Errorf("%q", got)
	}
}
