package checks

import (
	"bytes"
	"slices"
	"strings"

	"github.com/cromt/cromt/flow"
)

// ScanOptions says how a Scanner takes what it finds.
type ScanOptions struct {
	// Dir is the slash-separated folder below the repository's root where the
	// scenarios run; "" is the root.
	Dir string
	// Exists reports whether the repository has a file. Nil: any may exist.
	Exists func(path string) bool
	// Limit of annotations; 0 is MaxAnnotations.
	Limit int
}

// Scanner finds annotations in a log that is written to it: messages of
// compilers, linters and interpreters about a place in a file, and GitHub's
// workflow commands (::error file=…::). It takes any bytes, needs memory only
// for a line and for what it has found, and is not safe for concurrent use.
type Scanner struct {
	o     ScanOptions
	line  []byte // that has not ended yet, its first maxScanLine bytes
	state scanState
}

// scanState is what the lines so far have brought.
type scanState struct {
	found map[Level][]Annotation // each at most the limit
	seen  map[Annotation]bool    // those in found
	above above
}

// NewScanner returns a Scanner that has seen nothing.
func NewScanner(o ScanOptions) *Scanner {
	if o.Limit <= 0 {
		o.Limit = MaxAnnotations
	}
	return &Scanner{o: o, state: scanState{found: make(map[Level][]Annotation), seen: make(map[Annotation]bool)}}
}

// Write takes the next part of the log. It never fails.
func (s *Scanner) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		part, rest, ended := bytes.Cut(p, []byte("\n"))
		s.line = append(s.line, part[:min(len(part), maxScanLine-len(s.line))]...)
		if ended {
			s.scan(&s.state, string(s.line))
			s.line = s.line[:0]
		}
		p = rest
	}
	return n, nil
}

// Annotations returns what was found, in a line that has not ended as well:
// at most the limit, failures first, then warnings, then notices, so that no
// number of warnings hides why a job failed; each once, in the log's order.
func (s *Scanner) Annotations() []Annotation {
	st := s.state
	if len(s.line) > 0 {
		st = st.clone()
		s.scan(&st, string(s.line))
	}
	all := slices.Concat(st.found[LevelFailure], st.found[LevelWarning], st.found[LevelNotice])
	return all[:min(len(all), s.o.Limit)]
}

func (st scanState) clone() scanState {
	c := scanState{found: make(map[Level][]Annotation), seen: make(map[Annotation]bool), above: st.above}
	for level, list := range st.found {
		c.found[level] = slices.Clone(list)
		for _, a := range list {
			c.seen[a] = true
		}
	}
	return c
}

// scan looks at one line.
func (s *Scanner) scan(st *scanState, line string) {
	line = strings.TrimRight(flow.PlainText(line[strings.LastIndexByte(strings.TrimRight(line, "\r"), '\r')+1:]), " \t")
	line = cutTime(line)
	if strings.HasPrefix(strings.TrimLeft(line, " \t"), "::") {
		if c, ok := parseCommand(strings.TrimLeft(line, " \t")); ok {
			s.add(st, c, true)
		}
		return
	}
	if f, ok := st.above.next(line, s.ours); ok {
		s.add(st, f, false)
	}
}

// add keeps an annotation whose file is in the repository. A rooted path is
// below the repository's root rather than below the folder of the scenarios.
func (s *Scanner) add(st *scanState, a Annotation, rooted bool) {
	if len(st.found[a.Level]) >= s.o.Limit {
		return
	}
	var ok bool
	if a.Path, ok = s.repoPath(a.Path, rooted); !ok || st.seen[a] {
		return
	}
	st.seen[a] = true
	st.found[a.Level] = append(st.found[a.Level], a)
}

// ours reports whether a path of a log is one of the repository.
func (s *Scanner) ours(p string) bool {
	_, ok := s.repoPath(p, false)
	return ok
}

// cutTime cuts the time that Tomtit puts before each line of a task:
// "18:34:31 :: ".
func cutTime(s string) string {
	const form = "00:00:00 :: "
	if len(s) < len(form)-1 {
		return s
	}
	for i := range min(len(form), len(s)) {
		digit := '0' <= s[i] && s[i] <= '9'
		if (form[i] == '0') != digit || !digit && s[i] != form[i] {
			return s
		}
	}
	return s[min(len(form), len(s)):]
}
