package web_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browserTime for one test in the browser: the machine may be busy.
const browserTime = 3 * time.Minute

// tab is a page in a browser of its own.
type tab struct {
	t   testing.TB
	ctx context.Context
	s   *site

	mu       sync.Mutex
	problems []string // that the browser complains about
}

// open starts a browser.
func (s *site) open() *tab {
	s.t.Helper()
	chromium := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			chromium = path
			break
		}
	}
	if chromium == "" {
		s.t.Fatal("the pages are tested in Chromium, which is not installed; on Debian: apt-get install chromium")
	}
	o := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium), chromedp.UserDataDir(s.t.TempDir()),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.WSURLReadTimeout(browserTime))
	if os.Getuid() == 0 { // for whom Chromium has no sandbox
		o = append(o, chromedp.NoSandbox)
	}
	ctx, cancel := context.WithTimeout(context.Background(), browserTime)
	s.t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, o...)
	s.t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	s.t.Cleanup(cancel)
	b := &tab{t: s.t, ctx: ctx, s: s}
	must(s.t, chromedp.Listen(ctx, b.listen))
	b.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, runtime.Enable, cdp.Empty{})
		_, err2 := cdp.Call(ctx, t, log.Enable, cdp.Empty{})
		return errors.Join(err, err2)
	}))
	s.t.Cleanup(func() {
		for _, p := range b.complaints() {
			s.t.Errorf("the browser complains: %s", p)
		}
	})
	return b
}

func (b *tab) listen(ev any) {
	var text string
	switch ev := ev.(type) {
	case *runtime.EventExceptionThrown:
		text = ev.ExceptionDetails.Text
		if e := ev.ExceptionDetails.Exception; e != nil {
			text += " " + e.Description
		}
	case *runtime.EventConsoleAPICalled:
		text = fmt.Sprint("console: ", ev.Type)
		for _, a := range ev.Args {
			text += " " + string(a.Value)
		}
	case *log.EventEntryAdded:
		if ev.Entry.Level != log.EntryLevelError && ev.Entry.Level != log.EntryLevelWarning {
			return
		}
		text = ev.Entry.Text + " " + ev.Entry.URL
	default:
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problems = append(b.problems, text)
}

// complaints are what the browser has complained about, and forgets them.
func (b *tab) complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.problems
	b.problems = nil
	return p
}

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatalf("browser: %v", err)
	}
}

func (b *tab) visit(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.s.url + path))
}

// height of the window, in pixels.
const height = 900

// look sets the size of the window and the theme.
func (b *tab) look(width int, dark bool) {
	b.t.Helper()
	theme := "light"
	if dark {
		theme = "dark"
	}
	b.do(chromedp.EmulateViewport(int64(width), height), chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}, {Name: "prefers-reduced-motion", Value: "reduce"}},
		})
		return err
	}))
}

// eval returns what an expression is on the page.
func eval[T any](b *tab, js string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](js))
	if err != nil {
		b.t.Fatalf("%s: %v", js, err)
	}
	return v
}

// act evaluates an expression on the page for what it does.
func act(js string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := chromedp.Evaluate[bool]("("+js+", true)")(ctx, t)
		return err
	})
}

// scripts has the browser run scripts, or not.
func (b *tab) scripts(run bool) {
	b.t.Helper()
	b.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !run})
		return err
	}))
}

// html is the page as it is now.
func (b *tab) html() string {
	b.t.Helper()
	page, err := chromedp.Run(b.ctx, chromedp.OuterHTML("html"))
	if err != nil {
		b.t.Fatalf("browser: %v", err)
	}
	return page
}

// until waits for an expression to be true on the page.
func (b *tab) until(what, js string) {
	b.t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		is, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("!!("+js+")")) // it fails while another page is loaded
		if err == nil && is {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			b.t.Fatalf("%s: not within 30 s, %v\n%.1000s", what, err, eval[string](b, "document.body.innerText"))
		}
	}
}

// overflowing are the elements that reach out of the window to the right.
const overflowing = `(() => {
	const out = [];
	const wide = document.documentElement.scrollWidth;
	if (wide > innerWidth) out.push('page ' + wide + ' of ' + innerWidth);
	for (const e of document.querySelectorAll('main *, header *')) {
		const r = e.getBoundingClientRect();
		if (r.width && r.right > innerWidth + 1 && !e.closest('.scroll, svg, .quiet, .skip')) out.push(e.tagName + '.' + e.className + ' ' + Math.round(r.right));
	}
	return out.slice(0, 5).join(', ');
})()`

// TestLook looks at every page in both sizes and themes. With
// CROMT_SCREENSHOTS it leaves pictures in that folder.
func TestLook(t *testing.T) {
	s := newSite(t, false)
	s.health()
	s.history(24)
	failed, running, many := s.failed(), s.running(), s.many(300)
	waiting := s.create(waitingRun)
	wrong := s.create(wrongRun)
	pages := map[string]string{
		"runs": "/", "none": "/?branch=none", "failed": "/runs/" + failed.run.ID, "running": "/runs/" + running.run.ID, "many": "/runs/" + many.run.ID,
		"waiting": "/runs/" + waiting.ID, "wrong": "/runs/" + wrong.ID,
		"log": "/runs/" + failed.run.ID + "/jobs/test@hostB", "retried": "/runs/" + failed.run.ID + "/jobs/lint@hostB", "found": "/runs/" + failed.run.ID + "/jobs/test@hostB?q=fail",
		"hosts": "/hosts", "flaky": "/repos/octo/app/flaky",
	}
	b := s.open()
	for name, path := range pages {
		for _, width := range []int{390, 1440} {
			for _, dark := range []bool{false, true} {
				if dark && name != "failed" && name != "log" && os.Getenv("CROMT_SCREENSHOTS") == "" {
					continue // the theme changes colours alone
				}
				b.look(width, dark)
				b.visit(path)
				theme := map[bool]string{false: "light", true: "dark"}[dark]
				if out := eval[string](b, overflowing); out != "" {
					t.Errorf("%s at %d: %s", name, width, out)
				}
				background := eval[string](b, "getComputedStyle(document.body).backgroundColor")
				if isDark := background == "rgb(13, 17, 23)"; isDark != dark {
					t.Errorf("%s, %s: the background is %s", name, theme, background)
				}
				if dir := os.Getenv("CROMT_SCREENSHOTS"); dir != "" {
					png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
					must(t, err)
					must(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%d-%s.png", name, width, theme)), png, 0o600))
				}
			}
		}
	}
}
