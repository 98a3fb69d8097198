package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/flow"
)

// runsView is the list of runs.
type runsView struct {
	Repo, Branch, State string // filters
	Repos               []string
	States              []choice
	Rows                []runRow
	Next, First         string // where the next and the first page are; "" there is none
}

// choice is one of a list.
type choice struct {
	Value, Word string
	Selected    bool
}

// runRow is one run of the list.
type runRow struct {
	store.Row
	State    string
	Title    string
	Duration time.Duration // 0: it has not started
	Bar      []segment
}

// segment is how many jobs of a run are in a state, as a part of a bar.
type segment struct {
	State  string
	N      int
	X, Len float64 // in percent
}

// filterStates are the states that can be filtered by.
var filterStates = []string{
	string(flow.Failure), string(flow.TimedOut), string(flow.Cancelled), string(flow.Success), string(flow.Neutral), string(flow.Skipped),
	string(store.InProgress), string(store.Queued), string(store.Waiting),
}

func (p *pages) runs(w http.ResponseWriter, r *http.Request, rd *reader) error {
	q := r.URL.Query()
	v := &runsView{Repo: field(q, "repo"), Branch: field(q, "branch"), State: field(q, "conclusion")}
	f := store.Filter{Repo: v.Repo, Branch: v.Branch, After: q.Get("after"), Limit: pageRuns}
	switch state := store.State(v.State); state {
	case "":
	case store.Queued, store.InProgress, store.Waiting:
		f.State = state
	default:
		if !slices.Contains(filterStates, v.State) {
			return &problem{http.StatusBadRequest, "There is no such conclusion.", "It is one of " + strings.Join(filterStates, ", ") + "."}
		}
		f.Conclusion = flow.Conclusion(v.State)
	}
	if err := p.limitRepos(r, rd, v, &f); err != nil {
		return err
	}
	page, err := p.Store.Runs(r.Context(), f)
	if err != nil && f.After != "" && r.Context().Err() == nil {
		return &problem{http.StatusBadRequest, "This is no page of the list.", "Begin at the first one."}
	}
	if err != nil {
		return err
	}
	now := time.Now()
	for _, row := range page.Runs {
		ok, err := rd.canRead(r.Context(), row.Repo, row.RepoID)
		if err != nil {
			return p.unasked(err)
		}
		if !ok {
			continue // of a repository that had the name before
		}
		v.Rows = append(v.Rows, newRunRow(row, now))
	}
	v.links(page, f.After)
	if wantsJSON(r) {
		return writeJSON(w, http.StatusOK, v.json())
	}
	return p.html(w, r, rd, http.StatusOK, "runs.html", frame{Title: "Runs", Nav: "runs", Refresh: 10, Content: v})
}

// field is what a field of the filter says.
func field(q url.Values, name string) string {
	s := strings.TrimSpace(flow.PlainText(q.Get(name)))
	return s[:min(len(s), maxFilter)]
}

// limitRepos has the list hold what the reader may see, and offers it.
func (p *pages) limitRepos(r *http.Request, rd *reader, v *runsView, f *store.Filter) error {
	have, err := p.Store.Repos(r.Context())
	if err != nil {
		return err
	}
	mine, err := rd.repos(r.Context())
	if err != nil {
		return p.unasked(err)
	}
	if mine != nil {
		have = slices.DeleteFunc(have, func(repo string) bool {
			return !slices.ContainsFunc(mine, func(m string) bool { return strings.EqualFold(m, repo) })
		})
		f.Repos = have
	}
	v.Repos = have
	if v.Repo == "" {
		return nil
	}
	f.Repos = nil // it is asked for by its name, which public ones can be
	if i := slices.IndexFunc(have, func(repo string) bool { return strings.EqualFold(repo, v.Repo) }); i >= 0 {
		v.Repo = have[i]
		f.Repo = v.Repo
		return nil
	}
	v.Repos = append(slices.Clone(have), v.Repo)
	return p.allowedName(r, rd, v.Repo)
}

func (v *runsView) links(page *store.Page, after string) {
	for _, s := range filterStates {
		v.States = append(v.States, choice{s, stateWord(s), s == v.State})
	}
	q := url.Values{}
	for name, value := range map[string]string{"repo": v.Repo, "branch": v.Branch, "conclusion": v.State} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if after != "" {
		v.First = "/?" + q.Encode()
	}
	if page.Next != "" {
		q.Set("after", page.Next)
		v.Next = "/?" + q.Encode()
	}
}

func newRunRow(row store.Row, now time.Time) runRow {
	r := runRow{Row: row, State: stateOf(&row.Run), Title: runTitle(&row.Run), Duration: runTime(&row.Run, now)}
	r.Bar = bar(row.Counts)
	return r
}

// runTitle is what a run is called.
func runTitle(r *store.Run) string {
	title, _, _ := strings.Cut(flow.PlainText(r.Origin.Title), "\n")
	if title = strings.TrimSpace(title); title != "" {
		return title
	}
	if r.Origin.Reason != "" {
		return flow.PlainText(r.Origin.Reason)
	}
	return r.ID
}

// runTime is how long a run has taken so far.
func runTime(r *store.Run, now time.Time) time.Duration {
	switch {
	case r.StartedAt.IsZero():
		return 0
	case r.CompletedAt.IsZero():
		return now.Sub(r.StartedAt)
	}
	return r.CompletedAt.Sub(r.StartedAt)
}

// bar is how a run's jobs are, as parts of a bar.
func bar(c flow.Counts) []segment {
	var parts []segment
	x := 0.0
	for _, s := range []segment{
		{State: string(flow.Failure), N: c.Failed}, {State: string(flow.Cancelled), N: c.Cancelled}, {State: string(flow.Success), N: c.Succeeded},
		{State: string(flow.Neutral), N: c.Neutral}, {State: string(flow.Skipped), N: c.Skipped}, {State: string(flow.StatusQueued), N: c.Unfinished},
	} {
		if s.N > 0 {
			s.X, s.Len = x, 100*float64(s.N)/float64(c.Total)
			x += s.Len
			parts = append(parts, s)
		}
	}
	return parts
}

// Total is how many jobs the run of the row has.
func (r runRow) Total() int { return r.Counts.Total }
