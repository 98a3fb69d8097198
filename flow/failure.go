package flow

import "strings"

// FirstFailure returns the line of a job's log that most likely says why the
// job failed, as plain text without Tomtit's time, and its number, from 1. A
// log without any telling line gives "" and 0.
//
// It looks at the task that failed, the last one to have started before a
// "task exit status": first at what that wrote to stderr, then at all of it,
// for a line that looks like an error. If there is none, it is the last line
// that somebody meant to be read.
func FirstFailure(log string) (line string, n int) {
	lines := strings.Split(PlainText(strings.ReplaceAll(log, "\r", "\n")), "\n")
	number := make([]int, len(lines))
	lineNo := 1
	// A lone \r begins a new line to read, yet not a new line of the log.
	rest := log
	for i := range lines {
		lines[i] = trimTime(lines[i])
		number[i] = lineNo
		end := strings.IndexAny(rest, "\r\n")
		if end < 0 {
			continue
		}
		if rest[end] == '\n' {
			lineNo++
		}
		rest = rest[end+1:]
	}
	start, end := failedTask(lines)
	errs := stderrBlock(lines, start, end)
	for _, from := range []int{errs, start} {
		for i := from; i < end; i++ {
			if looksLikeError(lines[i]) {
				return strings.TrimSpace(lines[i]), number[i]
			}
		}
	}
	for _, to := range []int{end, len(lines)} {
		for i := to - 1; i >= 0; i-- {
			if !isFrame(lines[i]) {
				return strings.TrimSpace(lines[i]), number[i]
			}
		}
	}
	return "", 0
}

// trimTime cuts the time that Tomtit puts before a line: "18:34:31 :: ".
func trimTime(s string) string {
	if len(s) >= 12 && s[2] == ':' && s[5] == ':' && s[8:12] == " :: " && isDigits(s[:2]+s[3:5]+s[6:8]) {
		return s[12:]
	}
	return s
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// failedTask returns the lines of the task that failed: from its header to
// its exit status, or everything where there are none.
func failedTask(lines []string) (start, end int) {
	end = len(lines)
	for i := len(lines) - 1; i >= 0; i-- {
		if strings.HasPrefix(lines[i], "task exit status:") || lines[i] == "TASK CHECK FAIL" {
			end = i
			break
		}
	}
	for i := end - 1; i >= 0; i-- {
		if strings.HasPrefix(lines[i], "[task run:") {
			return i + 1, end
		}
	}
	return 0, end
}

// stderrBlock returns the index after the last "[task stderr]" of the lines,
// or end where there is none.
func stderrBlock(lines []string, start, end int) int {
	for i := end - 1; i >= start; i-- {
		if lines[i] == "[task stderr]" {
			return i + 1
		}
	}
	return end
}

// looksLikeError reports whether a line has the look of a compiler's, shell's
// or interpreter's error.
func looksLikeError(s string) bool {
	l := strings.ToLower(s)
	if strings.Contains(l, "warning:") || strings.Contains(l, ": note:") {
		return false
	}
	for _, sign := range []string{
		"error:", "error[", "error -", "*** [", "fatal:", "panic:", "exception:", "traceback (", "sorry!",
		"not found", "no such file", "does not exist", "permission denied", "connection refused",
		"unbound variable", "syntax error", "undefined reference", "assertion fail", "segmentation fault",
		"failed:", "--- fail", "not ok ", "cannot ", "could not ", "out of memory", "no space left",
	} {
		if strings.Contains(l, sign) {
			// A traceback's last line says more than its first.
			return sign != "traceback ("
		}
	}
	if strings.HasPrefix(l, "stdout match ") && strings.HasSuffix(l, " false") {
		return true
	}
	return hasPlace(s)
}

// hasPlace reports whether a line begins as path:line:col: does.
func hasPlace(s string) bool {
	word, _, _ := strings.Cut(strings.TrimSpace(s), " ")
	parts := strings.Split(word, ":")
	if len(parts) < 4 {
		return false
	}
	path, line, col := parts[0], parts[1], parts[2]
	return len(path) > 1 && !isDigits(path) && isDigits(line) && isDigits(col)
}

// isFrame reports whether a line is what runs the task says around it: a
// header, an exit status, a frame of a Raku backtrace.
func isFrame(s string) bool {
	t := strings.TrimSpace(s)
	if t == "" || strings.Trim(t, "=-") == "" {
		return true
	}
	for _, p := range []string{
		"[task ", "task exit status:", "meta:", "step:", "The spawned command ",
		"in block ", "in sub ", "in method ", "TASK CHECK FAIL",
	} {
		if strings.HasPrefix(t, p) {
			return true
		}
	}
	return strings.HasPrefix(t, "task ") && strings.HasSuffix(t, " FAILED")
}
