package action

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/cromt/cromt/bot/checks"
	"github.com/cromt/cromt/flow"
)

// Annotate issues annotations about a run, not more than GitHub shows of a
// step: first of each job that failed the line that says why, then what its
// log says about places in the repository.
func Annotate(c *Commands, plan *flow.Plan, v checks.View) {
	var errs, warnings []Annotation
	for i := range v.Run.Jobs {
		j := &v.Run.Jobs[i]
		if j.Conclusion == flow.Failure || j.Conclusion == flow.TimedOut {
			errs = append(errs, firstFailure(plan, v, j))
		}
	}
	for i := range v.Run.Jobs {
		j := &v.Run.Jobs[i]
		for _, a := range v.Annotations[j.Key] {
			found := fromLog(j, a)
			switch {
			case a.Level == checks.LevelFailure && !contains(errs, found):
				errs = append(errs, found)
			case a.Level == checks.LevelWarning && !contains(warnings, found):
				warnings = append(warnings, found)
			}
		}
	}
	for _, a := range errs[:min(len(errs), maxAnnotations)] {
		c.Error(a)
	}
	for _, a := range warnings[:min(len(warnings), maxAnnotations)] {
		c.Warning(a)
	}
}

// Conclude ends the log: for those who read only its end, a line for each job
// that failed, of many the first ones, and the run's result.
func Conclude(c *Commands, r *flow.Run) {
	told, failed := 0, 0
	for i := range r.Jobs {
		j := &r.Jobs[i]
		if j.Conclusion != flow.Failure && j.Conclusion != flow.TimedOut {
			continue
		}
		if failed++; told < maxConcluded {
			told++
			c.Line("✗ " + oneLine(j.Key+" on "+j.Where()) + ": " + why(r, j))
		}
	}
	if failed > told {
		c.Line(fmt.Sprintf("… and %d more, see the summary", failed-told))
	}
	c.Line(fmt.Sprintf("cromt: %s (run %s)", checks.Title(r), r.ID))
}

// why is the reason of a job's failure, and the line of its log that tells more.
func why(r *flow.Run, j *flow.JobReport) string {
	reason := oneLine(r.Reason(j))
	if line, _ := flow.FirstFailure(j.Log()); line != "" && j.Cause == flow.CauseTask {
		reason += ": " + oneLine(line)
	}
	return reason
}

// firstFailure is the annotation of a job that failed: at the place that its
// log names first, else where the flow file has the job.
func firstFailure(plan *flow.Plan, v checks.View, j *flow.JobReport) Annotation {
	for _, a := range v.Annotations[j.Key] {
		if a.Level == checks.LevelFailure {
			return fromLog(j, a)
		}
	}
	a := Annotation{Title: oneLine(j.Key + " on " + j.Where()), Message: oneLine(v.Run.Reason(j))}
	if line, _ := flow.FirstFailure(j.Log()); line != "" && j.Cause == flow.CauseTask {
		a.Message = oneLine(line)
	}
	if a.Message == "" {
		a.Message = string(j.Conclusion)
	}
	for _, job := range plan.Jobs {
		if job.Key == j.Key {
			a.File, a.Line, a.Col = path.Clean(plan.File.Name), job.Pos.Line, job.Pos.Col
			break
		}
	}
	return a
}

func fromLog(j *flow.JobReport, a checks.Annotation) Annotation {
	title := j.Key
	if a.Title != "" {
		title += ": " + a.Title
	}
	return Annotation{
		File: a.Path, Line: a.StartLine, EndLine: a.EndLine, Col: a.StartColumn,
		Title: oneLine(title), Message: flow.PlainText(a.Message),
	}
}

// contains reports whether the same thing is said of the same place, by
// another job perhaps.
func contains(list []Annotation, a Annotation) bool {
	for _, b := range list {
		if b.File == a.File && b.Line == a.Line && b.Message == a.Message {
			return true
		}
	}
	return false
}

func oneLine(s string) string { return strings.Join(strings.Fields(flow.PlainText(s)), " ") }

// Problems issues an annotation for each thing that an error says, at its
// place in the flow file if it has one, and returns them as lines.
func Problems(c *Commands, err error) []string {
	var list flow.ErrorList
	if !errors.As(err, &list) {
		text := flow.PlainText(err.Error())
		c.Error(Annotation{Title: "cromt", Message: text})
		return strings.Split(text, "\n")
	}
	lines := make([]string, 0, len(list))
	for i, e := range list {
		lines = append(lines, oneLine(e.Error()))
		if i >= maxAnnotations { // GitHub shows no more; the log does
			c.Line(oneLine(e.Error()))
			continue
		}
		msg := e.Msg
		if e.Hint != "" {
			msg += "; " + e.Hint
		}
		c.Error(Annotation{File: path.Clean(e.File), Line: e.Pos.Line, Col: e.Pos.Col, Title: "cromt", Message: oneLine(msg)})
	}
	return lines
}

// Refusal is the summary of a step that ran nothing.
func Refusal(problems []string) string {
	text := strings.Join(problems, "\n")
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	const most = 100 << 10 // nobody reads more
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "\n…"
	}
	return fmt.Sprintf("### ❌ cromt ran nothing\n\n%stext\n%s\n%s\n", fence, text, fence)
}
