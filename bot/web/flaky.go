package web

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/cromt/cromt/bot/store"
)

// flakyView is how the jobs of a repository fare on each host.
type flakyView struct {
	Repo    string
	Self    string
	Runs    int
	Choices []choice
	Hosts   []string
	Rows    []heatRow
}

// heatRow is a job, heatCell how it fares on a host.
type heatRow struct {
	Name  string
	Cells []heatCell
	worst float64
}

type heatCell struct {
	Total  int // 0: it never ended there
	Level  int // 0 always well to 5 never
	Share  string
	Detail string
	Text   string
}

func (p *pages) flaky(w http.ResponseWriter, r *http.Request, rd *reader) error {
	repo := r.PathValue("owner") + "/" + r.PathValue("repo")
	have, err := p.Store.Repos(r.Context())
	if err != nil {
		return err
	}
	i := slices.IndexFunc(have, func(name string) bool { return strings.EqualFold(name, repo) })
	if i < 0 {
		return errNotFound
	}
	repo = have[i]
	if err := p.allowedName(r, rd, repo); err != nil {
		return err
	}
	runs, err := strconv.Atoi(r.FormValue("runs"))
	if err != nil || runs < 1 {
		runs = flakyRuns
	}
	runs = min(runs, maxFlakyRuns)
	heat, err := p.Store.Flaky(r.Context(), repo, runs)
	if err != nil {
		return err
	}
	if wantsJSON(r) {
		out := []heatJSON{}
		for _, h := range heat {
			out = append(out, heatJSON(h))
		}
		return writeJSON(w, http.StatusOK, map[string]any{"repo": repo, "runs": runs, "jobs": out})
	}
	v := p.flakyView(heat)
	v.Repo, v.Runs, v.Self = repo, runs, (&url.URL{Path: "/repos/" + repo + "/flaky"}).String()
	for _, n := range []int{20, 50, 100, 250, 1000} {
		v.Choices = append(v.Choices, choice{strconv.Itoa(n), fmt.Sprint(n), n == runs})
	}
	return p.html(w, r, rd, http.StatusOK, "flaky.html", frame{Title: "Reliability · " + repo, Nav: "runs", Content: v})
}

// flakyView makes a table: jobs of one project are in one row, the worst first.
func (p *pages) flakyView(heat []store.Heat) *flakyView {
	v := &flakyView{}
	type place struct{ name, host string }
	sums := map[place]store.Heat{}
	var names []string
	for _, h := range heat {
		name, _, _ := strings.Cut(h.Job, "@")
		at := place{name, cmp.Or(p.hostName(h.Host), h.Label)}
		sum := sums[at]
		sum.Job, sum.Host = name, at.host
		sum.Successes, sum.Failures, sum.Retried = sum.Successes+h.Successes, sum.Failures+h.Failures, sum.Retried+h.Retried
		sums[at] = sum
		names, v.Hosts = append(names, name), append(v.Hosts, at.host)
	}
	slices.Sort(names)
	slices.Sort(v.Hosts)
	v.Hosts = slices.Compact(v.Hosts)
	for _, name := range slices.Compact(names) {
		row := heatRow{Name: name, Cells: make([]heatCell, len(v.Hosts))}
		for i, host := range v.Hosts {
			c, bad := newHeatCell(sums[place{name, host}])
			row.Cells[i], row.worst = c, max(row.worst, bad)
		}
		v.Rows = append(v.Rows, row)
	}
	slices.SortStableFunc(v.Rows, func(a, b heatRow) int { return cmp.Or(cmp.Compare(b.worst, a.worst), cmp.Compare(a.Name, b.Name)) })
	return v
}

// newHeatCell returns a cell, and how bad it is.
func newHeatCell(h store.Heat) (heatCell, float64) {
	total := h.Successes + h.Failures
	if total == 0 {
		return heatCell{}, 0
	}
	bad := float64(h.Failures+h.Retried) / float64(total)
	c := heatCell{Total: total, Share: fmt.Sprintf("%.0f%%", 100*bad), Detail: fmt.Sprintf("%d/%d", h.Failures+h.Retried, total)}
	if bad > 0 && bad < 0.01 {
		c.Share = "<1%"
	}
	for _, limit := range []float64{0.0001, 0.05, 0.2, 0.5} {
		if bad >= limit {
			c.Level++
		}
	}
	if h.Successes == 0 {
		c.Level, c.Share = 5, "✕"
	}
	c.Text = fmt.Sprintf("%s on %s: %d succeeded, of them %d after another attempt; %d failed", h.Job, h.Host, h.Successes, h.Retried, h.Failures)
	return c, bad
}
