package flow_test

import (
	"reflect"
	"testing"

	"github.com/cromt/cromt/flow"
)

func TestSplitWords(t *testing.T) {
	tests := []struct {
		s    string
		want []string
	}{
		{"", nil},
		{" \t\n", nil},
		{"--verbose", []string{"--verbose"}},
		{"--quiet  --env=dev\n--x", []string{"--quiet", "--env=dev", "--x"}},
		{`--env='my env'`, []string{"--env=my env"}},
		{`"a \"b\" \\ \$x \y"`, []string{`a "b" \ $x \y`}},
		{`'a\'`, []string{`a\`}},
		{`a\ b \'`, []string{"a b", "'"}},
		{`'' ""`, []string{"", ""}},
		{`a''b`, []string{"ab"}},
		{"$HOME ~ * # `id` $(id)", []string{"$HOME", "~", "*", "#", "`id`", "$(id)"}},
		{"a\\\nb \\\n c", []string{"ab", "c"}},
		{"\"a\\\nb\"", []string{"ab"}},
		{"é 'ü ö'", []string{"é", "ü ö"}},
	}
	for _, tt := range tests {
		got, err := flow.SplitWords(tt.s)
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%q: %q, %v, want %q", tt.s, got, err, tt.want)
		}
	}
	for s, want := range map[string]string{
		"'a":     "single quote is not closed",
		`a "b`:   "double quote is not closed",
		`"a\"`:   "double quote is not closed",
		`a \`:    "backslash at the end quotes nothing",
		`"'`:     "double quote is not closed",
		`'a' 'b`: "single quote is not closed",
	} {
		if got, err := flow.SplitWords(s); err == nil || err.Error() != want {
			t.Errorf("%q: %q, %v, want %s", s, got, err, want)
		}
	}
}
