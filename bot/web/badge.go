package web

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"strings"
	"time"

	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/flow"
)

// badgeFacts are what is known of a repository without anybody signed in.
type badgeFacts struct {
	public bool
	branch string // the default one
}

// badge answers with how the last run of a branch ended, ?branch= or the
// default one, as a picture for a README. Of a repository that is not public,
// or not known, it is "unknown".
func (p *pages) badge(w http.ResponseWriter, r *http.Request) {
	word, colour := "unknown", "#6e7781"
	run, err := p.badgeRun(r)
	if err != nil {
		p.Logger.Debug("badge", "path", r.URL.Path, "error", err)
	}
	if run != nil {
		switch run.Conclusion {
		case flow.Success, flow.Neutral:
			word, colour = "passing", "#1a7f37"
		case flow.Failure, flow.TimedOut:
			word, colour = "failing", "#cf222e"
		default:
			word = strings.ToLower(stateWord(stateOf(run)))
		}
	}
	h := w.Header()
	h.Set("Content-Type", "image/svg+xml")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'none'")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Set("Cache-Control", "no-cache, max-age=0, must-revalidate") // GitHub's proxy keeps it otherwise
	_, _ = w.Write(badgeSVG("cromt", word, colour))
}

// badgeRun returns the run whose result is to be shown; nil: none.
func (p *pages) badgeRun(r *http.Request) (*store.Run, error) {
	ctx, cancel := context.WithTimeout(r.Context(), githubTime)
	defer cancel()
	repo := r.PathValue("owner") + "/" + r.PathValue("repo")
	branch := field(r.URL.Query(), "branch")
	some, err := p.Store.Runs(ctx, store.Filter{Repo: repo, Limit: 1})
	if err != nil || len(some.Runs) == 0 {
		return nil, err
	}
	facts, err := p.badgeFacts(ctx, &some.Runs[0].Run)
	if err != nil || !facts.public && !p.open(r) {
		return nil, err
	}
	if branch == "" {
		branch = facts.branch
	}
	page, err := p.Store.Runs(ctx, store.Filter{Repo: repo, Branch: branch, Pushed: true, Class: "code", State: store.Completed, Limit: 1})
	if err != nil || len(page.Runs) == 0 {
		return nil, err
	}
	return &page.Runs[0].Run, nil
}

// open reports whether whoever asks may see everything.
func (p *pages) open(r *http.Request) bool { return !p.GitHub.HasSignIn() && p.isLocal(r) }

// badgeFacts asks GitHub now and then, as the App.
func (p *pages) badgeFacts(ctx context.Context, run *store.Run) (badgeFacts, error) {
	key := strings.ToLower(run.Repo)
	if f, ok := p.badges.get(key, time.Now().Add(-badgeAge)); ok {
		return f, nil
	}
	var f badgeFacts
	var err error
	f.public, f.branch, err = p.GitHub.Repo(run.Installation, run.Repo).Public(ctx)
	if ctx.Err() == nil {
		p.badges.put(key, f, time.Now()) // also what GitHub refuses: badges are asked for often
	}
	return f, err
}

// badgeSVG draws a badge, without style sheets and fonts from elsewhere.
func badgeSVG(label, word, colour string) []byte {
	width := func(s string) int { return 7*len(s) + 12 }
	l, r := width(label), width(word)
	text := html.EscapeString(label + ": " + word)
	return fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" width="%[1]d" height="20" role="img" aria-label="%[2]s"><title>%[2]s</title>`+
		`<clipPath id="r"><rect width="%[1]d" height="20" rx="4"/></clipPath><g clip-path="url(#r)"><rect width="%[3]d" height="20" fill="#30363d"/><rect x="%[3]d" width="%[4]d" height="20" fill="%[5]s"/></g>`+
		`<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11"><text x="%[6]d" y="14">%[7]s</text><text x="%[8]d" y="14">%[9]s</text></g></svg>`+"\n",
		l+r, text, l, r, colour, l/2, html.EscapeString(label), l+r/2, html.EscapeString(word))
}
