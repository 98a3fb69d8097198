package checks

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// parseCommand reads a workflow command of GitHub Actions:
// "::error file=a.c,line=1,endLine=2,col=3,endColumn=4,title=T::message". One
// without a file is about the whole job, which an annotation cannot be.
func parseCommand(line string) (Annotation, bool) {
	head, message, ok := strings.Cut(strings.TrimPrefix(line, "::"), "::")
	if !ok {
		return Annotation{}, false
	}
	name, properties, _ := strings.Cut(head, " ")
	a := Annotation{StartLine: 1}
	switch strings.ToLower(name) {
	case "error":
		a.Level = LevelFailure
	case "warning":
		a.Level = LevelWarning
	case "notice":
		a.Level = LevelNotice
	default:
		return Annotation{}, false
	}
	endColumn := 0
	for p := range strings.SplitSeq(properties, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		value = unescape(value)
		switch strings.ToLower(key) {
		case "file":
			a.Path = value
		case "line":
			a.StartLine = max(1, number(value))
		case "endline":
			a.EndLine = number(value)
		case "col":
			a.StartColumn = number(value)
		case "endcolumn":
			endColumn = number(value)
		case "title":
			a.Title = cutTitle(value)
		}
	}
	a.EndLine = max(a.EndLine, a.StartLine)
	switch {
	case a.EndLine > a.StartLine: // GitHub takes columns only within one line
		a.StartColumn = 0
	case endColumn >= a.StartColumn && a.StartColumn > 0:
		a.EndColumn = endColumn
	}
	a.Message = strings.TrimSpace(unescape(message))
	return a, a.Path != "" && a.Message != ""
}

// unescape undoes what the toolkit of GitHub Actions does to a command's
// message and properties. It needs no more than
// these, and gives no control character but the line end.
func unescape(s string) string {
	return strings.NewReplacer("%25", "%", "%0D", "", "%0d", "", "%0A", "\n", "%0a", "\n",
		"%3A", ":", "%3a", ":", "%2C", ",", "%2c", ",").Replace(s)
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > maxLineNumber {
		return 0
	}
	return n
}

// cutTitle makes a title one line of at most maxAnnotationTitle bytes.
func cutTitle(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= maxAnnotationTitle {
		return s
	}
	end := maxAnnotationTitle
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}
