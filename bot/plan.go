package bot

import (
	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/flow"
)

// Plan returns what a run does, from what was pinned when it was created. The
// error says what is wrong with its configuration, and where.
func (s *Settings) Plan(run *store.Run) (*flow.Plan, error) {
	return (&work{Runner: &Runner{Settings: s}, run: run}).makePlan()
}
