package web_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/flow"
)

// numbers are those of the lines on a page.
func numbers(page string) (first, last, n int) {
	for _, m := range regexp.MustCompile(`id="L(\d+)"`).FindAllStringSubmatch(page, -1) {
		_, _ = fmt.Sscan(m[1], &last)
		if n++; n == 1 {
			first = last
		}
	}
	return first, last, n
}

func TestLog(t *testing.T) {
	s := newSite(t, false)
	c := s.failed()
	path := "/runs/" + c.run.ID + "/jobs/test@hostB"
	page := s.page(path)
	wants(t, page, "Failed", "task exit status: 101", "50 lines", "First error: line 42", "error: assertion failed")
	for _, want := range []string{
		`class="first-error" href="#L42"`, `<a class="n" href="#L12" data-n="12"`, `<span class="term-fg32">ok</span>`, `<div class="l proto" id="L1">`,
		`href="/runs/run-0001/jobs/test@hostB/log?attempt=1" download`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s", want)
		}
	}
	if first, last, n := numbers(page); first != 1 || last != 50 || n != 50 {
		t.Errorf("lines %d to %d, %d of them", first, last, n)
	}
	resp, body := s.get(path + "/log")
	if body != broken() || resp.Header.Get("Content-Disposition") != `attachment; filename="test@hostB-1.log"` || resp.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("download %v", resp.Header)
	}
	found := s.page(path + "?q=FaIlEd")
	wants(t, found, "3 lines with “FaIlEd”")
	if !strings.Contains(found, `href="/runs/run-0001/jobs/test@hostB?attempt=1&amp;from=1#L42"`) {
		t.Error("a match has no link to its line")
	}
	wants(t, s.page(path+"?q=nowhere"), "No line with “nowhere”")
	var out struct {
		Attempt int
		Log     struct {
			Text  string
			Total int
		}
		Matches []struct{ Line int }
	}
	s.json(path+"?q=panicked", &out)
	if out.Attempt != 1 || out.Log.Text != broken() || out.Log.Total != 50 || len(out.Matches) != 1 || out.Matches[0].Line != 41 {
		t.Errorf("JSON %+v", out)
	}
	for _, none := range []string{path + "?attempt=2", path + "?attempt=x", path + "/log?attempt=7", "/runs/" + c.run.ID + "/jobs/none", "/runs/none/jobs/none"} {
		if resp, _ := s.get(none); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", none, resp.StatusCode)
		}
	}
}

func TestAttempts(t *testing.T) {
	s := newSite(t, false)
	c := s.failed()
	path := "/runs/" + c.run.ID + "/jobs/lint@hostB"
	wants(t, s.page(path), "Attempt 1 Failed, 8.1s, exit 2", "Attempt 2 Succeeded, 7.5s", "Nothing was printed")
	page := s.page(path + "?attempt=1")
	wants(t, page, "oops")
	if !strings.Contains(page, `href="/runs/run-0001/jobs/lint@hostB?attempt=1" aria-current="page"`) {
		t.Error("the attempt is not marked")
	}
}

// Of a large log a page has a part, and each line has the number that it has
// in the download.
func TestLargeLog(t *testing.T) {
	s := newSite(t, false)
	c := s.begin(nil)
	const key, total = "build@hostA", 20_000
	c.start(key, 1, 1, 2)
	var b strings.Builder
	for i := range total {
		fmt.Fprintf(&b, "this is line %d of it %s\n", i+1, strings.Repeat("-", i%90))
	}
	c.print(key, 1, b.String())
	c.end(key, 1, 60, taskFailure(1), "x", false)
	c.finish(61, flow.Failure)
	path := "/runs/" + c.run.ID + "/jobs/" + key
	page := s.page(path)
	first, last, n := numbers(page)
	if last != total || n != 2000 || first != total-1999 || len(page) > 1<<20 {
		t.Errorf("the end: lines %d to %d, %d of them, %d bytes", first, last, n, len(page))
	}
	wants(t, page, "this is line 20000 of it", fmt.Sprintf("this is line %d of it", first))
	link := func(page, text string) string {
		m := regexp.MustCompile(`href="([^"]*)"[^>]*>` + text + `<`).FindStringSubmatch(page)
		if m == nil {
			t.Fatalf("no link %s", text)
		}
		return strings.ReplaceAll(m[1], "&amp;", "&")
	}
	// Back to the beginning, and to the end again, without a gap.
	for first > 1 {
		before := first
		page = s.page(link(page, "Earlier lines"))
		first, last, _ = numbers(page)
		wants(t, page, fmt.Sprintf("this is line %d of it", first), fmt.Sprintf("this is line %d of it", last))
		if first >= before || last < before-1 && last-first < 1000 {
			t.Fatalf("before line %d: %d to %d", before, first, last)
		}
	}
	for pages := 0; last < total; pages++ {
		before := last
		page = s.page(link(page, "Later lines"))
		if first, last, _ = numbers(page); first != before+1 || pages > 100 {
			t.Fatalf("after line %d: %d to %d", before, first, last)
		}
		wants(t, page, fmt.Sprintf("this is line %d of it", first), fmt.Sprintf("this is line %d of it", last))
	}
	if strings.Contains(page, "Later lines") {
		t.Error("there is more after the end")
	}
	// A line that begins in one piece of the database and ends in the next.
	n = strings.Count(b.String()[:256<<10], "\n") + 1
	if torn := s.page(fmt.Sprintf("%s?from=%d", path, n)); !strings.Contains(torn, fmt.Sprintf(`id="L%d"><a class="n" href="#L%d" data-n="%d" tabindex="-1"></a><span class="t">this is line %d of it`, n, n, n, n)) {
		t.Errorf("line %d is torn", n)
	}
	found := s.page(path + "?q=line+11234+of")
	wants(t, found, "1 line with", "11234")
	m := regexp.MustCompile(`class="n" href="([^"#]*)#L11234"`).FindStringSubmatch(found)
	if m == nil {
		t.Fatal("the match has no link")
	}
	at := s.page(strings.ReplaceAll(m[1], "&amp;", "&"))
	if !strings.Contains(at, `id="L11234"`) {
		t.Error("the match's link leads elsewhere")
	}
	wants(t, s.page(path+"?q=line"), "500 lines and more have")
	if _, body := s.get(path + "/log"); body != b.String() {
		t.Errorf("download of %d bytes, want %d", len(body), b.Len())
	}
}

// A log whose middle was cut out says so; line numbers are those of the
// download.
func TestCutLog(t *testing.T) {
	s := newSite(t, false)
	c := s.begin(nil)
	const key = "build@hostA"
	c.start(key, 1, 1, 2)
	line := strings.Repeat("x", 999) + "\n"
	for range 20 {
		c.print(key, 1, strings.Repeat(line, 1000))
	}
	path := "/runs/" + c.run.ID + "/jobs/" + key
	_, body := s.get(path + "/log")
	lines := strings.Split(body, "\n")
	cut := 0
	for i, l := range lines {
		if strings.HasPrefix(l, "… ") {
			cut = i + 1
		}
	}
	if cut == 0 || len(body) > store.MaxLog+(1<<20) {
		t.Fatalf("%d bytes, the cut is at line %d", len(body), cut)
	}
	page := s.page(fmt.Sprintf("%s?from=%d", path, cut-2))
	wants(t, page, "were cut out here: the log is too long")
	if !strings.Contains(page, fmt.Sprintf(`id="L%d"><a class="n" href="#L%d" data-n="%d" tabindex="-1"></a><span class="t">… `, cut, cut, cut)) {
		t.Errorf("the cut is not at line %d", cut)
	}
	if _, last, _ := numbers(s.page(path)); last != len(lines)-1 {
		t.Errorf("the last line is %d, in the download %d", last, len(lines)-1)
	}
}

// Odd things that programs print.
func TestOddLog(t *testing.T) {
	s := newSite(t, false)
	c := s.begin(nil)
	const key = "build@hostA"
	c.start(key, 1, 1, 2)
	c.print(key, 1, "progress 1%\rprogress 50%\rprogress 100%\r\n\n\n\x1b[31mred\nstill red\x1b[0m\n\xff\xfe bytes\n"+strings.Repeat("long", 5000)+"\n\x1b[38;5;208morange\x1b[0m\nlast without end")
	c.end(key, 1, 60, flow.Result{}, "", false)
	path := "/runs/" + c.run.ID + "/jobs/" + key
	page := s.page(path)
	wants(t, page, "\ufffd\ufffd bytes", "and 11808 bytes more, which the download has", "last without end", "progress 100%")
	for _, want := range []string{`id="L5"><a class="n" href="#L5" data-n="5" tabindex="-1"></a><span class="t"><span class="term-fg31">still red`, `term-fgx208`, `id="L9"`} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(page, "progress 50%") {
		t.Error("what was written over is shown")
	}
	css := regexp.MustCompile(`/static/cromt\.[0-9a-f]+\.css`).FindString(page)
	if _, sheet := s.get(css); !strings.Contains(sheet, ".term-fgx208{color:#ff8700}") {
		t.Error("the style sheet has no colour for it")
	}
}

// BenchmarkLargeRun makes the page of a run with 1,000 jobs, and says how long
// that takes and how large it is.
func BenchmarkLargeRun(b *testing.B) {
	s := newSite(b, false)
	c := s.many(1000)
	var n int
	for b.Loop() {
		n = len(s.page("/runs/" + c.run.ID))
	}
	b.ReportMetric(float64(n), "bytes/page")
}

// BenchmarkLargeLog makes the page of a log of 16 MiB.
func BenchmarkLargeLog(b *testing.B) {
	s := newSite(b, false)
	c := s.begin(nil)
	c.start("build@hostA", 1, 1, 2)
	chunk := strings.Repeat("\x1b[32mok\x1b[0m 12:04:31 a line of a log that is as long as most of them are\n", 14000)
	for range 15 {
		c.print("build@hostA", 1, chunk)
	}
	for _, query := range []string{"", "?q=nowhere", "?from=100000"} {
		b.Run("query="+query, func(b *testing.B) {
			for b.Loop() {
				s.page("/runs/" + c.run.ID + "/jobs/build@hostA" + query)
			}
		})
	}
}
