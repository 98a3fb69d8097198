package sparky_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/cromt/cromt/sparky"
)

// TestNameForms compares each form with the expression that it gives itself
// out for, at every byte and length.
func TestNameForms(t *testing.T) {
	for form, want := range map[sparky.NameForm]string{
		sparky.ProjectName: `^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$`,
		sparky.JobID:       `^[a-z0-9][a-z0-9._-]{0,99}$`,
		sparky.FileName:    `^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`,
	} {
		if form.String() != want {
			t.Errorf("%s, want %s", form, want)
		}
		names := []string{"", "a\n", "ab\n", "é", "a\x00", strings.Repeat("a", 99), strings.Repeat("a", 100), strings.Repeat("a", 101)}
		for c := range 256 {
			names = append(names, string([]byte{byte(c)}), string([]byte{'a', byte(c)}), string([]byte{byte(c), 'a'}))
		}
		re := regexp.MustCompile(want)
		for _, name := range names {
			if got := form.MatchString(name); got != re.MatchString(name) {
				t.Errorf("%s: %q is %v", want, name, got)
			}
		}
	}
}
