package store_test

import (
	"slices"
	"testing"

	"github.com/cromt/cromt/bot/store"
)

func TestReposAndPushed(t *testing.T) {
	each(t, func(t *testing.T, address string) {
		s := open(t, address)
		if got := value[[]string](t)(s.Repos(t.Context())); len(got) != 0 {
			t.Errorf("of nothing: %q", got)
		}
		for i, repo := range []string{"octo/b", "octo/a", "octo/b", "octo/c"} {
			r := aRun(i)
			r.Repo = repo
			if i == 2 {
				r.Origin.PullNumber = 4
			}
			create(t, s, r)
		}
		if got := value[[]string](t)(s.Repos(t.Context())); !slices.Equal(got, []string{"octo/a", "octo/b", "octo/c"}) {
			t.Errorf("repositories %q", got)
		}
		page := value[*store.Page](t)(s.Runs(t.Context(), store.Filter{Repo: "octo/b", Branch: "main", Pushed: true}))
		if len(page.Runs) != 1 || page.Runs[0].ID != aRun(0).ID {
			t.Errorf("pushed: %+v", page.Runs)
		}
	})
}
