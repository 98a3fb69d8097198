package checks

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cromt/cromt/flow"
)

// tableRow is a job, or several of one project that ended alike.
type tableRow struct {
	state state
	jobs  []*flow.JobReport
}

// table is the jobs of a run: those to look at first on top (failed, then
// cancelled, running, queued, skipped, succeeded), so that no failure hides
// below three hundred successes; within those in the plan's order, so that
// causes stand above what followed from them.
type table struct {
	v    View
	rows []tableRow
	next int // row that is not written yet
	body strings.Builder
	left map[state]int // jobs that are not shown
}

func newTable(v View) *table {
	return &table{v: v, rows: tableRows(v.Run), left: make(map[state]int)}
}

func tableRows(r *flow.Run) []tableRow {
	type group struct {
		state          state
		project, cause string
	}
	var rows []tableRow
	place := make(map[group]int)
	for i := range r.Jobs {
		j := &r.Jobs[i]
		s := jobState(j)
		if len(r.Jobs) > MaxRows && !s.failed() {
			g := group{state: s, project: j.Project}
			if s == stateSkipped {
				g.cause = j.Error
			}
			if at, ok := place[g]; ok {
				rows[at].jobs = append(rows[at].jobs, j)
				continue
			}
			place[g] = len(rows)
		}
		rows = append(rows, tableRow{s, []*flow.JobReport{j}})
	}
	slices.SortStableFunc(rows, func(a, b tableRow) int { return int(a.state) - int(b.state) })
	return rows
}

// addTroubled writes the rows of jobs that did not succeed, or not yet, and
// returns how many bytes it took.
func (t *table) addTroubled(room int) int {
	n := 0
	for n < len(t.rows) && !t.rows[n].state.passed() {
		n++
	}
	return t.add(n, room)
}

// addPassed writes the rest of the rows.
func (t *table) addPassed(room int) int { return t.add(len(t.rows), room) }

// add writes rows up to the one with the index end, as far as there is room.
func (t *table) add(end, room int) int {
	if len(t.rows) == 0 {
		return 0
	}
	used, full := 0, false
	if t.body.Len() == 0 {
		used = len(t.head())
	}
	from := t.next
	for ; t.next < end; t.next++ {
		tr := &t.rows[t.next]
		line := ""
		if !full && t.next-from < MaxFailedRows {
			line = t.row(tr)
		}
		if line == "" || used+len(line) > room {
			full = true
			t.left[tr.state] += len(tr.jobs)
			continue
		}
		t.body.WriteString(line)
		used += len(line)
	}
	return used
}

func (t *table) head() string {
	names := []string{"Project", "Host", "Result", "Duration", "Attempts", "Commit"}
	if t.v.JobURL != nil {
		names = append(names, "Log")
	}
	return tableHead(names...)
}

func (t *table) row(tr *tableRow) string {
	if len(tr.jobs) > 1 {
		return t.groupRow(tr)
	}
	j := tr.jobs[0]
	project := code(oneLine(j.Project, maxName))
	if j.Title != "" && j.Title != j.Key && j.Title != j.Label {
		project += " " + plain(oneLine(j.Title, maxName))
	}
	cells := []string{
		project, code(oneLine(j.Label, maxName)), t.result(tr.state, j), "", "", "",
	}
	if d := took(t.v, j); d > 0 {
		cells[3] = readable(d)
	}
	if n := len(j.Attempts); n > 0 {
		cells[4] = fmt.Sprint(n)
	}
	if j.SHA != "" {
		cells[5] = commit(j.SHA)
	}
	if t.v.JobURL != nil {
		cells = append(cells, "")
		if len(j.Attempts) > 0 { // else there is nothing to read
			cells[6] = jobLink(t.v, j, "log")
		}
	}
	return row(cells...)
}

// result is the mark, its word, and the reason.
func (t *table) result(s state, j *flow.JobReport) string {
	text := s.mark() + " " + s.word()
	if j.Kept != "" {
		text += ", kept from run " + code(oneLine(j.Kept, maxName))
	}
	reason := why(t.v.Run, j)
	switch {
	case s == stateQueued:
		return text + ", waits for " + waitsFor(t.v, j).markdown()
	case reason == "":
		return text
	case s.failed(), s == stateNeutral:
		return text + ": " + code(reason)
	}
	return text + ": " + plain(reason)
}

func (t *table) groupRow(tr *tableRow) string {
	var longest time.Duration
	attempts := 0
	hosts := make(map[string]bool)
	for _, j := range tr.jobs {
		longest = max(longest, took(t.v, j))
		attempts += len(j.Attempts)
		hosts[j.Where()] = true
	}
	where := many(len(hosts), "host")
	if len(hosts) < len(tr.jobs) {
		where = many(len(tr.jobs), "job") + " on " + where
	}
	result := tr.state.mark() + " " + tr.state.word()
	if tr.state == stateSkipped {
		if reason := why(t.v.Run, tr.jobs[0]); reason != "" {
			result += ": " + plain(reason)
		}
	}
	cells := []string{code(oneLine(tr.jobs[0].Project, maxName)), where, result, "", "", ""}
	if longest > 0 {
		cells[3] = "up to " + readable(longest)
	}
	if attempts > 0 {
		cells[4] = fmt.Sprint(attempts)
	}
	if t.v.JobURL != nil {
		cells = append(cells, "")
	}
	return row(cells...)
}

// String returns the table and a sentence about what it leaves out.
func (t *table) String() string {
	text := ""
	if t.body.Len() > 0 {
		text = t.head() + t.body.String()
	}
	var parts []string
	for s := stateFailed; s <= stateSucceeded; s++ {
		n := t.left[s]
		if n == 0 {
			continue
		}
		what := fmt.Sprintf("%d that %s", n, clause(s, n))
		if len(parts) == 0 {
			what = many(n, "more job") + " that " + clause(s, n)
		}
		parts = append(parts, what)
	}
	if len(parts) > 0 {
		if text != "" {
			text += "\n"
		}
		text += "… and " + strings.Join(parts, ", ") + "\n"
	}
	return text
}

// clause is what n jobs of a state did.
func clause(s state, n int) string {
	was, is := "were", "are"
	if n == 1 {
		was, is = "was", "is"
	}
	switch s {
	case stateCancelled, stateSkipped:
		return was + " " + s.word()
	case stateRunning, stateQueued:
		return is + " " + s.word()
	case stateNeutral:
		return "failed, which is allowed"
	}
	return s.word()
}

// jobLink is text as a link to the job's page, "" when there is no page.
func jobLink(v View, j *flow.JobReport, text string) string {
	if v.JobURL == nil {
		return ""
	}
	if l := link(text, v.JobURL(j.Key)); l != text {
		return l
	}
	return ""
}
