package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/cromt/cromt/flow"
)

// Filter selects runs. Its zero value selects all of them.
type Filter struct {
	// Repos that the reader may see; nil: all, empty: none.
	Repos      []string
	Repo       string
	Branch     string
	SHA        string
	PullNumber int64
	// Pushed leaves out the runs of pull requests, whose branch is whatever
	// their author calls it.
	Pushed     bool
	Class      string
	State      State
	Conclusion flow.Conclusion
	After      string // Page.Next of the page before
	Limit      int    // default 50, at most MaxPage
}

// Page is some runs, newest first.
type Page struct {
	Runs []Row
	Next string // for Filter.After; "": there are no more
}

// Row is a run in a list: without Spec, and with how many of its jobs ended
// how.
type Row struct {
	Run
	Counts flow.Counts
}

// where returns the filter's conditions.
func (f *Filter) where() (string, []any, error) {
	conds, args := []string{"1 = 1"}, []any{}
	add := func(cond string, arg ...any) { conds, args = append(conds, cond), append(args, arg...) }
	if f.Repos != nil {
		repos := make([]any, len(f.Repos))
		for i, r := range f.Repos {
			repos[i] = r
		}
		add(`r.repo IN (`+marks(len(repos))+`)`, repos...)
	}
	for _, c := range []struct{ column, want string }{
		{"repo", f.Repo}, {"branch", f.Branch}, {"sha", f.SHA}, {"class", f.Class}, {"state", string(f.State)}, {"conclusion", string(f.Conclusion)},
	} {
		if c.want != "" {
			add("r."+c.column+" = ?", c.want)
		}
	}
	if f.PullNumber != 0 {
		add("r.pull > 0 AND r.pull = ?", f.PullNumber)
	}
	if f.Pushed {
		add("r.pull = 0 AND NOT r.fork")
	}
	if f.After != "" {
		at, id, ok := strings.Cut(f.After, ".")
		n, err := strconv.ParseInt(at, 10, 64)
		if !ok || err != nil {
			return "", nil, errors.New("page: not the end of a page")
		}
		add("(r.created_at, r.id) < (?, ?)", n, id)
	}
	return strings.Join(conds, " AND "), args, nil
}

// Runs returns the runs that the filter selects, newest first.
func (s *Store) Runs(ctx context.Context, f Filter) (*Page, error) {
	limit := min(positive(f.Limit, 50), MaxPage)
	where, args, err := f.where()
	if err != nil {
		return nil, fmt.Errorf("runs: %w", err)
	}
	runs, err := list(ctx, s.reader(), scanRun, `SELECT `+runColumns+` FROM runs r WHERE `+where+
		` ORDER BY r.created_at DESC, r.id DESC LIMIT ?`, append(args, limit+1)...)
	if err != nil {
		return nil, fmt.Errorf("runs: %w", err)
	}
	page := &Page{}
	if len(runs) > limit {
		runs = runs[:limit]
		last := runs[limit-1]
		page.Next = strconv.FormatInt(micros(last.CreatedAt), 10) + "." + last.ID
	}
	ids := make([]any, len(runs))
	for i, r := range runs {
		ids[i] = r.ID
	}
	counts, err := s.counts(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("runs: %w", err)
	}
	for _, r := range runs {
		page.Runs = append(page.Runs, Row{*r, counts[r.ID]})
	}
	return page, nil
}

// counts returns how many jobs of each run ended how.
func (s *Store) counts(ctx context.Context, runs []any) (map[string]flow.Counts, error) {
	all := make(map[string]flow.Counts, len(runs))
	_, err := list(ctx, s.reader(), func(row scanner) (struct{}, error) {
		var run string
		var conclusion flow.Conclusion
		var n int
		err := row.Scan(&run, &conclusion, &n)
		c := all[run]
		c.Total += n
		switch conclusion {
		case flow.Success:
			c.Succeeded += n
		case flow.Failure, flow.TimedOut:
			c.Failed += n
		case flow.Cancelled:
			c.Cancelled += n
		case flow.Skipped:
			c.Skipped += n
		case flow.Neutral:
			c.Neutral += n
		default:
			c.Unfinished += n
		}
		all[run] = c
		return struct{}{}, err
	}, `SELECT run, conclusion, count(*) FROM jobs WHERE run IN (`+marks(len(runs))+`) GROUP BY run, conclusion`, runs...)
	return all, err
}

// Repos returns the repositories that have runs, by name.
func (s *Store) Repos(ctx context.Context) ([]string, error) {
	repos, err := list(ctx, s.reader(), func(row scanner) (repo string, err error) {
		err = row.Scan(&repo)
		return repo, err
	}, `WITH RECURSIVE t(repo) AS (
			SELECT min(repo) FROM runs UNION ALL
			SELECT (SELECT min(repo) FROM runs WHERE repo > t.repo) FROM t WHERE t.repo IS NOT NULL
		) SELECT repo FROM t WHERE repo IS NOT NULL`) // a look at the index for each, however many runs there are
	if err != nil {
		return nil, fmt.Errorf("repositories: %w", err)
	}
	return repos, nil
}
