package checks_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/bot/checks"
	"github.com/cromt/cromt/flow"
)

var views = []struct {
	name  string
	view  func(testing.TB) checks.View
	limit int
	job   string // whose output is a golden file as well
}{
	{"passing", passing, checks.MaxOutput, "build@hostA"},
	{"failing", failing, checks.MaxOutput, "build@hostB"},
	{"cancelled", cancelled, checks.MaxOutput, "build@hostB"},
	{"running", running, checks.MaxOutput, "test@hostD"},
	{"truncated", truncated, 20_000, "job3@host7"},
}

func TestGolden(t *testing.T) {
	for _, c := range views {
		t.Run(c.name, func(t *testing.T) {
			v := c.view(t)
			got := checks.Summary(v, c.limit)
			check(t, got, c.limit)
			golden(t, c.name+".md", got)
			j := job(t, v, c.job)
			const limit = 8000
			summary, text := checks.JobSummary(v, j, limit), checks.JobText(v, j, limit)
			check(t, summary, limit)
			check(t, text, limit)
			golden(t, c.name+"-job.md", checks.JobTitle(v, j)+"\n\n"+summary+"\n"+text)
		})
	}
}

func TestTitle(t *testing.T) {
	for want, v := range map[string]checks.View{
		"6 succeeded in 2m 5s":                         passing(t),
		"2 failed, 3 skipped, 1 succeeded in 2m 5s":    failing(t),
		"cancelled: 5 cancelled, 1 succeeded in 2m 5s": cancelled(t),
		"3 of 6 done, 1 failed":                        running(t),
		"0 of 6 done":                                  newView(t),
		"nothing to run":                               {Run: &flow.Run{Conclusion: flow.Success}},
		"timed out: 5 cancelled, 1 succeeded in 2m 5s": end(cancelled(t), flow.TimedOut),
		"60 failed, 1140 succeeded in 2m 5s":           truncated(t),
	} {
		if got := checks.Title(v.Run); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestTitleDurations(t *testing.T) {
	for d, want := range map[time.Duration]string{
		350 * time.Millisecond: "350ms", 999600 * time.Microsecond: "999ms", 59700 * time.Millisecond: "1m 0s",
		time.Hour + 62*time.Second: "1h 1m", 50 * time.Hour: "2d 2h",
	} {
		r := &flow.Run{Conclusion: flow.Success, StartedAt: at(0), CompletedAt: at(0).Add(d), Jobs: make([]flow.JobReport, 1)}
		r.Jobs[0].Conclusion = flow.Success
		if got := checks.Title(r); got != "1 succeeded in "+want {
			t.Errorf("%v: %q, want %s", d, got, want)
		}
	}
}

// Whatever the limit is, it is kept, and what is left out is counted right.
func TestSummaryLimits(t *testing.T) {
	v := truncated(t)
	for limit := 0; limit < 120_000; limit = limit*5/4 + 7 {
		got := checks.Summary(v, limit)
		p := check(t, got, limit)
		if p.fences != p.details {
			t.Errorf("limit %d: %d details, %d fences", limit, p.details, p.fences)
		}
		if limit >= 6<<10 {
			checkCounts(t, got, p, 60)
		}
	}
}

// checkCounts compares the failed jobs that a summary shows and leaves out
// with how many there are.
func checkCounts(t *testing.T, got string, p page, failed int) {
	t.Helper()
	rows, logs := strings.Count(got, "| ❌ failed"), p.details
	for pattern, n := range map[string]*int{
		`and (\d+) more jobs? that failed`: &rows, `logs of (\d+) (?:more )?jobs? that failed`: &logs,
	} {
		if m := regexp.MustCompile(pattern).FindStringSubmatch(got); m != nil {
			left, err := strconv.Atoi(m[1])
			if err != nil {
				t.Fatal(err)
			}
			*n += left
		}
	}
	if rows != failed || logs != failed {
		t.Errorf("%d rows and %d logs of %d failed jobs are accounted for in\n%s", rows, logs, failed, got)
	}
}

func TestSummaryPriorities(t *testing.T) {
	v := failing(t)
	for i := range 300 { // successes that would fill the page
		j := flow.JobReport{
			Key: fmt.Sprintf("%060d@h", i), Project: fmt.Sprintf("%060d", i), Label: "h", Host: "https://h", Conclusion: flow.Success, Status: flow.StatusCompleted,
		}
		v.Run.Jobs = append(v.Run.Jobs, j)
	}
	got := checks.Summary(v, 12_000)
	check(t, got, 12_000)
	for _, want := range []string{
		"❌ failed: `src/main.c:12:5: error: 'x' undeclared (first use in this function)`",
		"removing containers", "```mermaid", " more jobs that succeeded",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Index(got, "❌ failed") > strings.Index(got, "✅ succeeded") {
		t.Error("a success stands above a failure")
	}
}

func TestSummaryGroups(t *testing.T) {
	v := newView(t)
	v.Run.Jobs, v.Plan = nil, nil
	for i := range 300 {
		j := flow.JobReport{Key: fmt.Sprintf("web@h%d", i), Project: "web", Label: fmt.Sprintf("h%d", i), Host: fmt.Sprintf("https://h%d", i)}
		attempt(&j, 0, i, flow.Success, "", "", "")
		v.Run.Jobs = append(v.Run.Jobs, j)
	}
	got := checks.Summary(end(v, flow.Success), checks.MaxOutput)
	if p := check(t, got, checks.MaxOutput); p.rows != 1 {
		t.Errorf("%d rows", p.rows)
	}
	if want := "| `web` | 300 hosts | ✅ succeeded | up to 4m 59s | 300 |"; !strings.Contains(got, want) {
		t.Errorf("no %q in\n%s", want, got)
	}
}

func TestSummaryManyGroups(t *testing.T) {
	v := newView(t)
	v.Run.Jobs, v.Plan = nil, nil
	for i := range 6000 {
		j := flow.JobReport{Key: fmt.Sprintf("p%d@h%d", i%200, i), Project: fmt.Sprint("p", i%200), Host: fmt.Sprint("https://h", i), Conclusion: flow.Success}
		v.Run.Jobs = append(v.Run.Jobs, j)
	}
	got := checks.Summary(end(v, flow.Success), checks.MaxOutput)
	if p := check(t, got, checks.MaxOutput); p.rows != checks.MaxFailedRows || !strings.Contains(got, "\n… and 3000 more jobs that succeeded\n") {
		t.Errorf("%d rows in\n%s", p.rows, got)
	}
}

func TestJobManyAttempts(t *testing.T) {
	v := newView(t)
	j := job(t, v, "build@hostA")
	for i := range 30 {
		attempt(j, i, i, flow.Failure, flow.CauseTask, strings.Repeat("|", 1000), "")
	}
	p := check(t, checks.JobSummary(v, j, checks.MaxOutput), checks.MaxOutput)
	if p.rows != checks.MaxAttemptRows {
		t.Errorf("%d rows", p.rows)
	}
	got := checks.JobSummary(v, j, 7000)
	if p := check(t, got, 7000); !strings.Contains(got, fmt.Sprintf("… and %d attempts before these", 30-p.rows)) || !strings.Contains(got, "| 30 |") {
		t.Errorf("got\n%s", got)
	}
}

func TestJobTitles(t *testing.T) {
	v, f, c := running(t), failing(t), cancelled(t)
	for _, x := range []struct {
		v         checks.View
		key, want string
	}{
		{v, "build@hostA", "succeeded in 15s"},
		{v, "test@hostC", "failed in 38s: not ok 3 - addition"},
		{v, "test@hostD", "running for 1m 43s"},
		{v, "publish@hostA", "waiting for test@hostD and 1 more"},
		{f, "publish@hostA", "skipped: because build@hostB failed"},
		{f, "clean@hostA", "timed out after 1m 44s"},
		{c, "build@hostB", "cancelled after 30s: by interrupt; confirmed by the host"},
		{newView(t), "build@hostA", "waiting for its host"},
	} {
		if got := checks.JobTitle(x.v, job(t, x.v, x.key)); got != x.want {
			t.Errorf("%s: %q, want %q", x.key, got, x.want)
		}
	}
}

func TestSummaryGraphTooLarge(t *testing.T) {
	v := passing(t)
	inv := v.Plan.Invocations[0]
	for range checks.MaxGraphEdges {
		v.Plan.Invocations[1].Before = append(v.Plan.Invocations[1].Before, inv)
	}
	got := checks.Summary(v, checks.MaxOutput)
	if strings.Contains(got, "mermaid") || !strings.Contains(got, "The graph is left out: it has 503 edges") {
		t.Errorf("got\n%s", got)
	}
}

func TestSummaryNotes(t *testing.T) {
	v := passing(t)
	for i := range 30 {
		v.Notes = append(v.Notes, fmt.Sprint("note ", i))
	}
	v.Run.Notes = []string{"note 3"}
	got := checks.Summary(v, checks.MaxOutput)
	if p := check(t, got, checks.MaxOutput); p.items != checks.MaxNotes+1 || !strings.Contains(got, "and 20 more notes") {
		t.Errorf("%d items\n%s", p.items, got)
	}
}

func TestSummaryWithoutLinks(t *testing.T) {
	v := failing(t)
	v.RunURL, v.JobURL = "", nil
	if p := check(t, checks.Summary(v, checks.MaxOutput), checks.MaxOutput); len(p.links) > 0 {
		t.Errorf("links %q", p.links)
	}
}

func TestSummaryEmpty(t *testing.T) {
	got := checks.Summary(checks.View{Run: &flow.Run{Conclusion: flow.Success}}, checks.MaxOutput)
	if got != "✅ **nothing to run**\n" {
		t.Errorf("got %q", got)
	}
}

func BenchmarkSummary(b *testing.B) {
	v := newView(b)
	v.Plan, v.Run.Jobs = nil, nil
	for i := range 10_000 {
		j := flow.JobReport{
			Key: fmt.Sprintf("p%d@h%d", i%50, i), Project: fmt.Sprintf("p%d", i%50), Label: fmt.Sprint("h", i), Host: fmt.Sprint("https://h", i),
		}
		switch i % 10 {
		case 0:
			attempt(&j, 0, 9, flow.Failure, flow.CauseTask, "exit status 1", strings.Repeat("some output\n", flow.LogTailLimit/12)+"error: no\n")
		case 1, 2, 3:
			skip(&j, "because p0@h0 failed")
		default:
			attempt(&j, 0, 5, flow.Success, "", "", "ok\n")
			artifact(&j)
		}
		v.Run.Jobs = append(v.Run.Jobs, j)
	}
	v = end(v, flow.Failure)
	for b.Loop() {
		checks.Summary(v, checks.MaxOutput)
	}
}

// What the host's side of cromt says to this one is not for people.
func TestProtocolLinesAreLeftOut(t *testing.T) {
	j := flow.JobReport{Key: "a@h", Conclusion: flow.Failure, Attempts: []flow.AttemptReport{{Log: "meta: step=clone\nmeta: of the user\nboom\nmeta: result=failed step=x exit=2\n"}}}
	text := checks.JobText(checks.View{Run: &flow.Run{Jobs: []flow.JobReport{j}}}, &j, 10_000)
	if !strings.Contains(text, "boom") || !strings.Contains(text, "meta: of the user") || strings.Contains(text, "step=") {
		t.Error(text)
	}
}
