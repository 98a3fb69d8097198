package checks

import (
	"fmt"
	"html"
	"strings"

	"github.com/cromt/cromt/flow"
)

// tailsPart shows of each failed job the line that says why, and behind it
// the end of its log. The first one is open: mostly it is the only one.
func tailsPart(v View, room int) string {
	var failed []*flow.JobReport
	for i := range v.Run.Jobs {
		if jobState(&v.Run.Jobs[i]).failed() {
			failed = append(failed, &v.Run.Jobs[i])
		}
	}
	var b strings.Builder
	show := max(0, min(len(failed), MaxTails, room/minTail))
	for i, j := range failed[:show] {
		// What one leaves of its share goes to those after it.
		text := failedPart(v, j, i == 0, (room-b.Len())/(show-i)-1)
		if text == "" {
			show = i
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(text)
	}
	left := len(failed) - show
	switch {
	case left == 0:
		return b.String()
	case show > 0:
		fmt.Fprintf(&b, "\n… and the logs of %s that failed\n", many(left, "more job"))
	default:
		fmt.Fprintf(&b, "The logs of %s that failed are left out: they do not fit here.\n", many(left, "job"))
	}
	return b.String()
}

// failedPart is one failed job, "" when there is no room for it.
func failedPart(v View, j *flow.JobReport, open bool, room int) string {
	begin := "<details>"
	if open {
		begin = "<details open>"
	}
	s := jobState(j)
	begin += "<summary>" + s.mark() + " " + codeHTML(oneLine(j.Key, maxName)) + " " + html.EscapeString(outcome(v, j))
	if reason := why(v.Run, j); reason != "" {
		begin += ": " + codeHTML(reason)
	}
	begin += "</summary>\n\n" + failedFacts(v, j)
	const end = "\n</details>\n"
	room -= len(begin) + len(end)
	if room < 0 {
		return ""
	}
	return begin + failedLog(j, room) + end
}

// failedFacts is the line above a failed job's log.
func failedFacts(v View, j *flow.JobReport) string {
	facts := []string{"Host " + code(oneLine(j.Where(), maxName))}
	if n := len(j.Attempts); n > 1 {
		facts = append(facts, fmt.Sprintf("%d attempts", n))
	}
	if a := j.Last(); a != nil && a.ExitCode != 0 {
		facts = append(facts, fmt.Sprintf("exit code %d", a.ExitCode))
	}
	if j.Cause == flow.CauseInfrastructure {
		facts = append(facts, "not the scenario's fault: host, network or agent failed")
	}
	if l := jobLink(v, j, "whole log"); l != "" {
		facts = append(facts, l)
	}
	return strings.Join(facts, ", ") + "\n"
}

func failedLog(j *flow.JobReport, room int) string {
	lines := logLines(j.Log())
	if len(lines) == 0 {
		return clipPart("\nIt printed nothing.\n", room)
	}
	all := len(lines)
	lines = lines[max(0, all-TailLines):]
	for i := range lines {
		lines[i] = clip(lines[i], maxLogLine)
	}
	n := fits(lines, room-noteRoom)
	if n == 0 {
		return clipPart("\nIts log does not fit here.\n", room)
	}
	text := "\n"
	if n < all {
		text = fmt.Sprintf("\nThe last %s of its log:\n\n", many(n, "line"))
	}
	return text + fence("", lines[len(lines)-n:])
}

// clipPart returns the sentence when there is room for it.
func clipPart(sentence string, room int) string {
	if len(sentence) > room {
		return ""
	}
	return sentence
}

// logLines returns the lines of a log as they are to be read: without colours,
// without what is not for people, and of what a progress bar printed over
// itself only the last state.
func logLines(log string) []string {
	log = strings.ReplaceAll(log, "\r\n", "\n")
	var lines []string
	for l := range strings.SplitSeq(log, "\n") {
		l = strings.TrimRight(l, "\r")
		if l = l[strings.LastIndexByte(l, '\r')+1:]; !flow.IsProtocol(l) {
			lines = append(lines, strings.TrimRight(flow.PlainText(l), " \t"))
		}
	}
	end := len(lines)
	for end > 0 && lines[end-1] == "" {
		end--
	}
	return lines[:end]
}

// fits returns how many of the last lines a fence of at most room bytes holds.
func fits(lines []string, room int) int {
	size, ticks := 0, 3
	for i := len(lines) - 1; i >= 0; i-- {
		size += len(lines[i]) + 1
		ticks = max(ticks, longestRun(lines[i], '`')+1)
		if size+2*(ticks+1) > room {
			return len(lines) - 1 - i
		}
	}
	return len(lines)
}
