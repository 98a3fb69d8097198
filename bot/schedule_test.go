package bot_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cromt/cromt/bot"
	"github.com/cromt/cromt/bot/githubtest"
)

const scheduled = `projects:
  nightly: {path: /x, crontab: "0 * * * *"}
  other: {path: /x}
`

func TestSchedule(t *testing.T) {
	p := newPlace(t)
	p.commit(scheduled)
	p.know()
	now := time.Now().UTC().Truncate(time.Hour)
	fire := func(at time.Time, want int) {
		t.Helper()
		p.ok(p.scheduler.Fire(t.Context(), at))
		if got := p.runs(bot.ClassSchedule); len(got) != want {
			t.Fatalf("at %v: %d runs, want %d", at, len(got), want)
		}
	}
	fire(time.Now(), 0) // what was due before it was known
	head := p.commit(scheduled + "  more: {path: /x}\n")
	var all sync.WaitGroup
	for range 8 { // as replicas do
		all.Go(func() {
			if err := p.scheduler.Fire(t.Context(), now.Add(time.Hour+time.Second)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	fire(now.Add(time.Hour+time.Second), 1)
	fire(now.Add(time.Hour+time.Minute), 1)
	run, err := p.store.Run(t.Context(), p.runs(bot.ClassSchedule)[0].ID)
	p.ok(err)
	if run.SHA != head || run.Branch != "main" || run.Ref != "refs/heads/main" || !slices.Equal(run.Spec.Roots, []string{"nightly"}) ||
		!strings.Contains(string(run.Spec.Config), "more") || run.Origin.Event != "schedule" || run.Installation != p.install {
		t.Errorf("%+v", run)
	}
	fire(now.Add(4*time.Hour+20*time.Minute), 2) // late: the latest of three
	if k := p.runs(bot.ClassSchedule)[1].Key; !strings.Contains(k, now.Add(4*time.Hour).Format("15")+"%3A00%3A00Z") {
		t.Errorf("key %s", k)
	}
	p.commit("projects:\n  other: {path: /x}\n")
	fire(now.Add(6*time.Hour), 2)
	if left, err := p.store.Schedules(t.Context(), repoName); err != nil || len(left) != 0 {
		t.Errorf("schedules of what was removed: %v, %v", left, err)
	}
}

// What GitHub does not say keeps nobody from being on time.
func TestScheduleWithoutGitHub(t *testing.T) {
	p := newPlace(t)
	head := p.commit(scheduled)
	p.know()
	p.repo.SetBranch("main", strings.Repeat("e", 40))
	p.gh.Fault(func(*http.Request, int) *githubtest.Fault {
		return &githubtest.Fault{Status: 400, Body: `{"message":"no"}`}
	})
	p.ok(p.scheduler.Fire(t.Context(), time.Now().Add(time.Hour)))
	if got := p.runs(bot.ClassSchedule); len(got) != 1 || got[0].SHA != head {
		t.Errorf("%+v", got)
	}
}

// A schedule that was missed for longer than it makes sense is left out, and
// goes on.
func TestScheduleMissed(t *testing.T) {
	p := newPlace(t)
	now := time.Now().UTC()
	long := now.Add(26 * time.Hour)
	p.commit(fmt.Sprintf("projects:\n  daily: {path: /x, crontab: \"%d %d * * *\"}\n", long.Add(-3*time.Hour).Minute(), long.Add(-3*time.Hour).Hour()))
	p.know()
	p.ok(p.scheduler.Fire(t.Context(), long))
	if got := p.runs(bot.ClassSchedule); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	p.ok(p.scheduler.Fire(t.Context(), long.Add(21*time.Hour+time.Minute)))
	if got := p.runs(bot.ClassSchedule); len(got) != 1 {
		t.Errorf("%d runs the next day", len(got))
	}
}
