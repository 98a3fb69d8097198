package sparky

import "strings"

// Names that a real Sparky handles; others break it (they reach its shell,
// its SQL and its paths unquoted). Artifact names are the file format's.
var (
	ProjectName = NameForm{upper: true, more: "_-"}
	JobID       = NameForm{more: "._-"}
	FileName    = NameForm{upper: true, more: "._-"}
)

// NameForm is what a kind of names looks like. It does the work of a regular
// expression, of which the making alone takes a millisecond, and several
// matches go into every request.
type NameForm struct {
	upper bool   // it has capital letters, too
	more  string // characters besides letters and digits, but for the first
}

// MatchString reports whether s is such a name: of 1 to 100 bytes.
func (f NameForm) MatchString(s string) bool {
	for i := range len(s) {
		c := s[i]
		plain := 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || f.upper && 'A' <= c && c <= 'Z'
		if !plain && (i == 0 || strings.IndexByte(f.more, c) < 0) {
			return false
		}
	}
	return s != "" && len(s) <= 100
}

// String returns the form as a regular expression, for people.
func (f NameForm) String() string {
	letters := "a-z"
	if f.upper {
		letters = "A-Za-z"
	}
	return "^[" + letters + "0-9][" + letters + "0-9" + f.more + "]{0,99}$"
}
