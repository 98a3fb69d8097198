package web_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/cromt/cromt/flow"
)

// What a run's page shows changes as it happens, without being loaded again.
func TestBrowserRun(t *testing.T) {
	s := newSite(t, false)
	c := s.running()
	b := s.open()
	b.look(1440, false)
	b.visit("/runs/" + c.run.ID)
	b.until("it is live", `!document.getElementById('live').hidden`)
	b.do(act(`window.mark = 'the same page'`))
	colour := `getComputedStyle([...document.querySelectorAll('.cromt-graph .node')].find((n) => n.textContent.includes('lint')).querySelector('rect')).stroke`
	job := `[...document.querySelectorAll('.cromt-graph a')].find((a) => a.getAttribute('href').endsWith('/jobs/test@hostA')).querySelector('.sign')`
	green, running := eval[string](b, colour), eval[string](b, "getComputedStyle("+job+").stroke")
	bars := eval[int](b, `document.querySelectorAll('.lane rect.failure').length`)
	if green != "rgb(26, 127, 55)" || running != "rgb(154, 103, 0)" || bars != 0 {
		t.Errorf("at first %s, %s and %d failures", green, running, bars)
	}
	// The focus stays where it is when what is around it changes.
	b.do(act(`document.querySelector('#job-1 a').focus()`))
	c.end("test@hostA", 1, 69, taskFailure(1), "error: bad\n", false)
	b.until("the graph's colour changes", "getComputedStyle("+job+").stroke === 'rgb(207, 34, 46)'")
	b.until("the bar changes", `document.querySelectorAll('.lane rect.failure').length === 1`)
	b.until("the row changes", `document.getElementById('job-1').textContent.includes('Failed')`)
	b.until("the failure is shown", `document.getElementById('run-failures').textContent.includes('error: bad')`)
	if at := eval[string](b, `document.activeElement.getAttribute('href') || ''`); at != "/runs/"+c.run.ID+"/jobs/test@hostA" {
		t.Errorf("the focus is at %q", at)
	}
	// Jobs of one state; those that come into it come into sight.
	visible := `[...document.querySelectorAll('#jobs tbody tr')].filter((r) => r.getClientRects().length).map((r) => r.dataset.state).join()`
	b.do(act(`document.querySelector('#run-chips a[data-show=failure]').click()`))
	if got := eval[string](b, visible); got != "failure" {
		t.Errorf("failures alone: %s", got)
	}
	c.end("test@hostB", 1, 70, taskFailure(1), "", false)
	b.until("another one comes into sight", visible+` === 'failure,failure'`)
	c.finish(71, flow.Failure)
	b.until("the title changes", `document.title.startsWith('Failed: ')`)
	b.until("it is said", `document.getElementById('say').textContent === 'Run: Failed'`)
	b.until("it is not live any more", `document.getElementById('live').hidden`)
	if mark := eval[string](b, `window.mark`); mark != "the same page" {
		t.Error("the page was loaded again")
	}
}

// A log grows while its job runs, and stays at its end until one scrolls up.
func TestBrowserLog(t *testing.T) {
	s := newSite(t, false)
	c := s.running()
	const key = "test@hostA"
	c.print(key, 1, strings.Repeat("filling\n", 200))
	b := s.open()
	b.look(1440, true)
	b.visit("/runs/" + c.run.ID + "/jobs/" + key)
	b.until("it is live", `!document.getElementById('live').hidden`)
	atEnd := `(() => { const l = document.getElementById('log'); return l.scrollHeight - l.scrollTop - l.clientHeight < 40; })()`
	b.until("it begins at the end", atEnd)
	c.print(key, 1, strings.Repeat("more\n", 50)+"\x1b[31mmove it\x1b[0m\n")
	b.until("the log moves", `document.getElementById('lines').lastElementChild.textContent.includes('move it')`)
	b.until("it follows", atEnd)
	if got := eval[string](b, `getComputedStyle(document.querySelector('#lines > :last-child .term-fg31')).color`); got != "rgb(255, 123, 114)" {
		t.Errorf("red is %s", got)
	}
	b.do(act(`document.getElementById('log').scrollTop = 0`))
	b.until("one can go back to the end", `!document.getElementById('follow').hidden`)
	c.print(key, 1, "and on\n")
	b.until("more comes", `document.getElementById('lines').lastElementChild.textContent.includes('and on')`)
	if eval[int](b, `document.getElementById('log').scrollTop`) != 0 {
		t.Error("it does not stay where one has scrolled to")
	}
	b.do(act(`document.getElementById('follow').click()`))
	b.until("it follows again", atEnd)
	c.end(key, 1, 69, flow.Result{}, "", false)
	b.until("it has ended", `document.title.startsWith('Succeeded: ') && document.getElementById('job-head').textContent.includes('Succeeded')`)
	b.until("the stream has ended", `document.getElementById('live').hidden`)
}

// A page that is open before its job begins shows the log once it does.
func TestBrowserLogBegins(t *testing.T) {
	s := newSite(t, false)
	c := s.running()
	b := s.open()
	b.visit("/runs/" + c.run.ID + "/jobs/package@hostB")
	b.until("it is live", `!document.getElementById('live').hidden`)
	c.start("package@hostB", 1, 69, 69.5)
	c.print("package@hostB", 1, "hello\n")
	b.until("the log is there", `document.getElementById('L1') && document.getElementById('L1').textContent === 'hello'`)
}

// Lines can be pointed at, and searched.
func TestBrowserLines(t *testing.T) {
	s := newSite(t, false)
	c := s.begin(nil)
	const key = "build@hostA"
	c.start(key, 1, 1, 2)
	var log strings.Builder
	for i := range 9000 {
		fmt.Fprintf(&log, "line %d\n", i+1)
	}
	c.print(key, 1, log.String())
	c.end(key, 1, 9, flow.Result{}, "", false)
	c.finish(10, flow.Failure)
	b := s.open()
	path := "/runs/" + c.run.ID + "/jobs/" + key
	selected := `[...document.querySelectorAll('.sel')].map((l) => l.id).join()`
	b.visit(path + "#L8500-L8502")
	b.until("a range is marked", selected+` === 'L8500,L8501,L8502'`)
	b.visit(path + "?x#L12") // which is not among the last ones
	b.until("the line is fetched", selected+` === 'L12'`)
	b.do(act(`document.querySelector('#L20 .n').dispatchEvent(new MouseEvent('click', {bubbles: true, cancelable: true}))`))
	b.do(act(`document.querySelector('#L23 .n').dispatchEvent(new MouseEvent('click', {bubbles: true, cancelable: true, shiftKey: true}))`))
	if got := eval[string](b, `location.hash + ' ' + `+selected); got != "#L20-L23 L20,L21,L22,L23" {
		t.Errorf("by clicking %s", got)
	}
	// A slash goes to the search; enter to the next match.
	b.do(act(`document.getElementById('log').focus()`), chromedp.KeyEvent("/"))
	b.until("the slash goes to the search", `document.activeElement.id === 'q'`)
	b.do(act(`document.getElementById('q').value = ''`), chromedp.KeyEvent("line 77")) // the driver types the slash in any case
	b.until("matches are counted", `document.getElementById('hits').textContent === '1 of 11 in view'`)
	b.do(act(`document.getElementById('q').dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', bubbles: true, cancelable: true}))`))
	b.until("the next one", `document.querySelector('.hit.at').id === 'L770'`)
	if n := eval[int](b, `document.querySelectorAll('.hit').length`); n != 11 {
		t.Errorf("%d matches are marked", n)
	}
}

// The filter works with the keyboard alone, whose focus can be seen.
func TestBrowserKeyboard(t *testing.T) {
	s := newSite(t, false)
	s.history(3)
	c := s.failed()
	s.running()
	b := s.open()
	b.look(1440, false)
	b.visit("/")
	outline := `(() => { const c = getComputedStyle(document.activeElement); return c.outlineStyle !== 'none' && parseFloat(c.outlineWidth) >= 2; })()`
	b.do(chromedp.KeyEvent(kb.Tab))
	if got := eval[string](b, `document.activeElement.textContent`); got != "Skip to content" {
		t.Errorf("the first is %q", got)
	}
	if !eval[bool](b, `document.activeElement.getBoundingClientRect().top >= 0`) {
		t.Error("the skip link is not seen when it has the focus")
	}
	var reached []string
	for range 40 {
		b.do(chromedp.KeyEvent(kb.Tab))
		reached = append(reached, eval[string](b, `document.activeElement.name || document.activeElement.textContent.trim()`))
		if !eval[bool](b, outline) {
			t.Errorf("the focus on %q is not seen", reached[len(reached)-1])
		}
		if reached[len(reached)-1] == "Reload" {
			break
		}
	}
	all := strings.Join(reached, "|")
	for _, want := range []string{"cromt|Runs|Hosts|repo|branch|conclusion|Filter", "Upload artifacts in parallel", "Fix the parser of empty files", "Reload"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not reached: %s", want, all)
		}
	}
	b.do(act(`document.querySelector('[name=branch]').focus()`), chromedp.KeyEvent("faster-uploads"+kb.Enter))
	b.until("the filter works", `location.search.includes('branch=faster-uploads') && document.querySelectorAll('.runs tbody tr').length === 1`)
	// A choice takes effect at once.
	b.visit("/")
	b.do(act(`(() => { const s = document.querySelector('[name=conclusion]'); s.value = 'failure'; s.dispatchEvent(new Event('change')); })()`))
	b.until("the choice works", `location.search.includes('conclusion=failure') && [...document.querySelectorAll('.runs .state')].every((s) => s.textContent.trim() === 'Failed')`)
	// On a run's page, the jobs in the graph and in the table.
	b.visit("/runs/" + c.run.ID)
	reached = nil
	for range 60 {
		b.do(chromedp.KeyEvent(kb.Tab))
		reached = append(reached, eval[string](b, `document.activeElement.getAttribute('href') || document.activeElement.tagName`))
		if !eval[bool](b, outline) {
			t.Errorf("the focus on %q is not seen", reached[len(reached)-1])
		}
		if eval[bool](b, `document.activeElement.className === 'reload'`) {
			break
		}
	}
	if n := strings.Count(strings.Join(reached, "|"), "/jobs/test@hostB"); n != 3 {
		t.Errorf("the job that failed is reached %d times: among the failures, in the graph, in the table", n)
	}
}

// Without scripts there is all but what is live.
func TestWithoutScripts(t *testing.T) {
	s := newSite(t, false)
	c := s.running()
	b := s.open()
	b.scripts(false)
	b.visit("/runs/" + c.run.ID)
	c.end("test@hostA", 1, 69, taskFailure(1), "error: bad\n", false)
	if page := b.html(); strings.Contains(page, "error: bad") || !strings.Contains(page, `class="reload"`) {
		t.Error("it is live, or has no link to load it again")
	}
	b.do(chromedp.Click(".reload"))
	if page := b.html(); !strings.Contains(page, "error: bad") {
		t.Error("it cannot be loaded again")
	}
}
