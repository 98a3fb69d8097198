package checks

import (
	"path"
	"strings"
)

// above is what the lines before the current one said, for tools that write
// the message and the place on different lines.
type above struct {
	message string     // last line that is neither empty nor a place
	level   Level      // of message, "" when it has none
	frame   Annotation // Python: the innermost place so far, without message
	raku    bool       // the place of this message is found already
}

// next takes a line and returns the place that it, with those above, tells.
// Of a backtrace that is the innermost place in a file that is ours.
func (a *above) next(line string, ours func(path string) bool) (Annotation, bool) {
	text := strings.TrimSpace(line)
	if text == "" {
		return Annotation{}, false
	}
	if place, ok := rustPlace(text); ok {
		place.Message, place.Level = a.message, a.level
		return place, a.level != ""
	}
	if place, ok := pythonPlace(text); ok {
		if a.frame.Path == "" || ours(place.Path) {
			a.frame = place
		}
		return Annotation{}, false // the message comes below
	}
	if a.frame.Path != "" {
		return a.underPython(line)
	}
	if place, ok := rakuPlace(text); ok {
		if a.raku || a.message == "" || !ours(place.Path) {
			return Annotation{}, false
		}
		a.raku = true
		place.Message, place.Level = a.message, LevelFailure
		return place, true
	}
	if place, ok := linePlace(text); ok {
		a.message, a.level = "", ""
		return place, true
	}
	if !isRakuMark(text) {
		a.message, a.raku = text, false
		a.level, _ = severity(text)
	}
	return Annotation{}, false
}

// underPython takes a line below a traceback's frame: the source, indented,
// or the exception, which ends it.
func (a *above) underPython(line string) (Annotation, bool) {
	if line[0] == ' ' || line[0] == '\t' {
		return Annotation{}, false
	}
	place := a.frame
	*a = above{message: line}
	place.Message, place.Level = line, LevelFailure
	return place, true
}

// isRakuMark reports whether a line stands between a Raku message and its place.
func isRakuMark(text string) bool {
	return strings.HasPrefix(text, "------>") || strings.HasPrefix(text, "expecting any of")
}

// linePlace finds "path:line:col: message", "path:line: message" and bash's
// "path: line N: message" at the start of a line.
func linePlace(text string) (Annotation, bool) {
	text = strings.TrimPrefix(text, "vet: ") // go vet, of what does not compile
	for from := 0; ; {
		i := strings.IndexByte(text[from:], ':')
		if i < 0 {
			return Annotation{}, false
		}
		i += from
		if strings.ContainsAny(text[from:i], " \t") {
			return Annotation{}, false // a path without blanks, or a sentence
		}
		if rest, ok := strings.CutPrefix(text[i+1:], " line "); ok {
			return bashPlace(text[:i], rest)
		}
		if line, rest, ok := cutNumber(text[i+1:]); ok {
			return colonPlace(text[:i], line, rest)
		}
		from = i + 1
	}
}

// colonPlace takes what stands behind "path:line:".
func colonPlace(p string, line int, rest string) (Annotation, bool) {
	a := Annotation{Path: p, StartLine: line, EndLine: line}
	if col, message, ok := cutNumber(rest); ok {
		a.StartColumn, rest = col, message
	}
	a.Message = strings.TrimSpace(rest)
	level, named := severity(a.Message)
	switch {
	case named:
		a.Level = level
	case a.StartColumn > 0:
		a.Level = LevelFailure // compilers that do not say so: Go, and most linters
	default:
		a.Level = LevelWarning // a test's message, or what grep -n has found
	}
	return a, a.Message != "" && mayBePath(p, named)
}

func bashPlace(p, rest string) (Annotation, bool) {
	line, message, ok := cutNumber(rest)
	message = strings.TrimSpace(message)
	return Annotation{Path: p, StartLine: line, EndLine: line, Level: LevelFailure, Message: message},
		ok && message != "" && mayBePath(p, true)
}

// rustPlace finds "--> path:line:col".
func rustPlace(text string) (Annotation, bool) {
	rest, ok := strings.CutPrefix(text, "--> ")
	if !ok {
		return Annotation{}, false
	}
	p, numbers, ok := strings.Cut(rest, ":")
	if !ok {
		return Annotation{}, false
	}
	line, after, ok := cutNumber(numbers + ":")
	if !ok || !mayBePath(p, true) {
		return Annotation{}, false
	}
	col, _, _ := cutNumber(after)
	return Annotation{Path: p, StartLine: line, EndLine: line, StartColumn: col}, true
}

// pythonPlace finds `File "path", line N`.
func pythonPlace(text string) (Annotation, bool) {
	rest, ok := strings.CutPrefix(text, `File "`)
	if !ok {
		return Annotation{}, false
	}
	p, rest, ok := strings.Cut(rest, `", line `)
	if !ok {
		return Annotation{}, false
	}
	digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
	line, _, ok := cutNumber(rest[:digits] + ":")
	return Annotation{Path: p, StartLine: line, EndLine: line}, ok && mayBePath(p, true)
}

// rakuPlace finds "at path:line" and "in sub name at path line N". Places of
// Raku's own code and of modules are absolute or have no ending.
func rakuPlace(text string) (Annotation, bool) {
	var p, number string
	if rest, ok := strings.CutPrefix(text, "at "); ok {
		i := strings.LastIndexByte(rest, ':')
		if i < 0 {
			return Annotation{}, false
		}
		p, number = rest[:i], rest[i+1:]
	} else {
		i, j := strings.Index(text, " at "), strings.LastIndex(text, " line ")
		if !strings.HasPrefix(text, "in ") || i < 0 || j < i+4 {
			return Annotation{}, false
		}
		p, number = text[i+4:j], text[j+6:]
	}
	p, _, _ = strings.Cut(p, " (") // "path (Module)"
	if path.Ext(p) == "" || !mayBePath(p, true) {
		return Annotation{}, false
	}
	line, _, ok := cutNumber(number + ":")
	return Annotation{Path: p, StartLine: line, EndLine: line}, ok
}

// cutNumber cuts "12:" off the start of s. Zero is no line and no column.
func cutNumber(s string) (n int, rest string, ok bool) {
	i := 0
	for ; i < len(s) && '0' <= s[i] && s[i] <= '9'; i++ {
		if n = n*10 + int(s[i]-'0'); n > maxLineNumber {
			return 0, s, false
		}
	}
	if n == 0 || i == len(s) || s[i] != ':' {
		return 0, s, false
	}
	return n, s[i+1:], true
}

// severity returns how bad a message is by the word that it begins with, or,
// as eslint has it, by the one in brackets that it ends with.
func severity(message string) (Level, bool) {
	l := strings.ToLower(message)
	if i := strings.LastIndexByte(l, '['); i >= 0 && strings.HasSuffix(l, "]") {
		switch word, _, _ := strings.Cut(strings.TrimSuffix(l[i+1:], "]"), "/"); word {
		case "error":
			return LevelFailure, true
		case "warning":
			return LevelWarning, true
		}
	}
	if word, _, _ := strings.Cut(l, ":"); !strings.Contains(word, " ") && // AssertionError, of Python and others
		(strings.HasSuffix(word, "error") || strings.HasSuffix(word, "exception")) {
		return LevelFailure, true
	}
	for _, s := range []struct {
		word  string
		level Level
	}{
		{"error", LevelFailure}, {"fatal error", LevelFailure}, {"fatal", LevelFailure}, {"syntax error", LevelFailure},
		{"internal compiler error", LevelFailure}, {"*** ", LevelFailure},
		{"warning", LevelWarning}, {"note", LevelNotice}, {"info", LevelNotice}, {"style", LevelNotice},
	} {
		rest, ok := strings.CutPrefix(l, s.word)
		if ok && (strings.HasSuffix(s.word, " ") || rest == "" || strings.ContainsAny(rest[:1], ":[( ,")) {
			return s.level, true
		}
	}
	return "", false
}
