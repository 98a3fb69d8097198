package checks

import (
	"fmt"
	"strings"

	"github.com/cromt/cromt/flow"
)

// JobTitle says in at most MaxTitle characters how a job ended and why
// ("failed in 12s: make: *** [build] Error 2"), or how far it is.
func JobTitle(v View, j *flow.JobReport) string {
	title := outcome(v, j)
	if jobState(j) == stateQueued {
		title = "waiting for " + waitsFor(v, j).String()
	}
	if reason := why(v.Run, j); reason != "" {
		title += ": " + reason
	}
	return clip(title, MaxTitle)
}

// outcome is "failed in 12s".
func outcome(v View, j *flow.JobReport) string {
	s := jobState(j)
	d := took(v, j)
	if d <= 0 {
		return s.word()
	}
	preposition := "in"
	switch s {
	case stateTimedOut, stateCancelled:
		preposition = "after"
	case stateRunning:
		preposition = "for"
	}
	return s.word() + " " + preposition + " " + readable(d)
}

// JobSummary returns the facts of a job as Markdown of at most limit bytes:
// how it ended, where it ran, its attempts, its artifacts.
func JobSummary(v View, j *flow.JobReport, limit int) string {
	s := jobState(j)
	if limit < minSummary {
		return clipBytes(s.mark()+" "+outcome(v, j), limit)
	}
	head := s.mark() + " **" + outcome(v, j) + "**"
	if s == stateQueued {
		head += ", waits for " + waitsFor(v, j).markdown()
	}
	if reason := why(v.Run, j); reason != "" {
		if s.failed() || s == stateNeutral {
			head += ": " + code(reason)
		} else {
			head += ": " + plain(reason)
		}
	}
	head += "\n"
	facts := jobFacts(v, j)
	room := limit - len(head) - 1 - 2*noteRoom
	if len(facts)+1 > room {
		facts = ""
	}
	room -= len(facts) + 1
	attempts := attemptsPart(v, j, room)
	room -= len(attempts) + 1
	artifacts := artifactsPart([]flow.JobReport{*j}, room)

	var b strings.Builder
	b.WriteString(head)
	for _, part := range []string{facts, attempts, artifacts} {
		if part != "" {
			b.WriteByte('\n')
			b.WriteString(part)
		}
	}
	return b.String()
}

// jobFacts is a list of what is known about a job.
func jobFacts(v View, j *flow.JobReport) string {
	var b strings.Builder
	fact := func(name, value string) {
		if value != "" {
			b.WriteString("- " + name + " " + value + "\n")
		}
	}
	fact("Job", code(oneLine(j.Key, maxName)))
	if j.Title != j.Key && j.Title != j.Label {
		fact("Title", plain(oneLine(j.Title, maxName)))
	}
	fact("Host", code(oneLine(j.Where(), maxName)))
	if j.SHA != "" {
		fact("Commit", code(oneLine(j.SHA, maxName)))
	}
	if len(j.Needs) > 0 {
		needs := code(oneLine(j.Needs[0], maxName))
		if len(j.Needs) > 1 {
			needs += fmt.Sprintf(" and %d more", len(j.Needs)-1)
		}
		fact("Needs", needs)
	}
	fact("Run", link(code(oneLine(v.Run.ID, maxName)), v.RunURL))
	fact("Log", jobLink(v, j, "whole log"))
	return b.String()
}

// attemptsPart is a table of the job's last attempts, each with its end.
func attemptsPart(v View, j *flow.JobReport, room int) string {
	if len(j.Attempts) == 0 {
		return ""
	}
	head := tableHead("Attempt", "Result", "Duration", "Exit code", "Job on the host")
	var lines []string
	used := len(head)
	for i := len(j.Attempts) - 1; i >= 0 && len(lines) < MaxAttemptRows; i-- {
		line := attemptRow(v, i+1, &j.Attempts[i])
		if used += len(line); used > room {
			break
		}
		lines = append(lines, line)
	}
	if len(lines) == 0 {
		return "The table of attempts is left out: it does not fit here.\n"
	}
	var b strings.Builder
	b.WriteString(head)
	for i := len(lines) - 1; i >= 0; i-- {
		b.WriteString(lines[i])
	}
	if left := len(j.Attempts) - len(lines); left > 0 {
		b.WriteString("\n… and " + many(left, "attempt") + " before these\n")
	}
	return b.String()
}

func attemptRow(v View, number int, a *flow.AttemptReport) string {
	s := stateOf(a.Status, a.Conclusion)
	result := s.mark() + " " + s.word()
	if a.Error != "" {
		result += ": " + code(oneLine(a.Error, maxReason))
	}
	from := a.StartedAt
	if from.IsZero() {
		from = a.QueuedAt
	}
	took := duration(from, a.CompletedAt)
	if s == stateRunning {
		took = duration(from, v.Now)
	}
	exit := ""
	if a.ExitCode != 0 || s == stateSucceeded {
		exit = fmt.Sprint(a.ExitCode)
	}
	return row(fmt.Sprint(number), result, took, exit, code(oneLine(a.JobID, maxName)))
}

// JobText returns the end of a job's log in a code block, together at most
// limit bytes: whole lines from its end on, after a sentence about what is
// left out and where it can be read.
func JobText(v View, j *flow.JobReport, limit int) string {
	lines := logLines(j.Log())
	if len(lines) == 0 {
		return clipPart("It printed nothing.\n", limit)
	}
	if fits(lines, limit) == len(lines) {
		return fence("", lines)
	}
	where := jobLink(v, j, "the whole log")
	if where != "" {
		where = " Read " + where + "."
	}
	n := fits(lines, limit-noteRoom-len(where))
	if n == 0 {
		return clipPart("Its log is left out: its last line does not fit here."+where+"\n", limit)
	}
	return fmt.Sprintf("The last %s of its log; %d before them are left out.%s\n\n", many(n, "line"), len(lines)-n, where) +
		fence("", lines[len(lines)-n:])
}
