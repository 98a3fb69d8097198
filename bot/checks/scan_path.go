package checks

import (
	"path"
	"strings"
	"unicode"
)

// repoPath returns a path of a log as one below the repository's root; not ok
// when it is outside, or when the repository has no such file.
func (s *Scanner) repoPath(p string, rooted bool) (string, bool) {
	p = strings.ReplaceAll(p, `\`, "/")
	if strings.ContainsFunc(p, unicode.IsControl) || len(p) > 2 && p[1] == ':' { // a drive of Windows
		return "", false
	}
	if strings.HasPrefix(p, "/") {
		if p, rooted = cutCheckout(p); p == "" {
			return "", false
		}
	}
	below, root := path.Join(s.o.Dir, p), path.Clean(p)
	choices := []string{below, root}
	if rooted {
		choices = []string{root, below}
	}
	for _, c := range choices {
		if c == "." || c == ".." || strings.HasPrefix(c, "../") || strings.HasPrefix(c, "/") {
			continue
		}
		if s.o.Exists == nil || s.o.Exists(c) {
			return c, true
		}
	}
	return "", false
}

// cutCheckout returns the part of an absolute path that is below the job's
// checkout: our agent checks out into work/NUMBER/scm below its root, the job
// on any other host into cromt-work/src.
func cutCheckout(p string) (below string, ok bool) {
	if _, below, ok := strings.Cut(p, "/cromt-work/src/"); ok {
		return below, true
	}
	for rest := p; ; {
		_, after, found := strings.Cut(rest, "/work/")
		if !found {
			return "", false
		}
		number, below, _ := strings.Cut(after, "/scm/")
		if below != "" && isNumber(number) {
			return below, true
		}
		rest = "/" + after
	}
}

// mayBePath reports whether a word before ":12" looks like a file, rather
// than like a time, a URL or a host with its port. Named says that the line
// calls it an error or warning, which an ending can take the place of.
func mayBePath(p string, named bool) bool {
	if p == "" || strings.ContainsAny(p, "<>\"'|*?=@,;{}:") || strings.HasPrefix(p, "-") {
		return false
	}
	base := path.Base(strings.ReplaceAll(p, `\`, "/"))
	ending := strings.TrimPrefix(path.Ext(strings.TrimPrefix(base, ".")), ".")
	if !hasLetter(base) {
		return false
	}
	if !hasLetter(ending) {
		return named && ending == "" && (strings.Contains(p, "/") || strings.HasSuffix(strings.ToLower(base), "file"))
	}
	// The endings of hosts' names, where no folder says that it is a file.
	switch strings.ToLower(ending) {
	case "com", "org", "net", "io", "local", "internal", "lan", "localdomain":
		return strings.Contains(p, "/")
	}
	return len(ending) <= 12
}

func hasLetter(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r|0x20 >= 'a' && r|0x20 <= 'z' || r == '_' || r >= 0x80 })
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
