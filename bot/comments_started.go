package bot

import (
	"context"

	"github.com/cromt/cromt/bot/githubapp"
	"github.com/cromt/cromt/bot/trigger"
)

// The reactions to a comment.
const (
	reactAccepted = "eyes"
	reactStarted  = "rocket"
	reactRefused  = "confused"
)

// react shows a reaction. Nothing depends on it: what GitHub does not take in
// time is logged.
func react(ctx context.Context, repo *githubapp.Repo, comment int64, content string, warn func(msg string, args ...any)) {
	ctx, cancel := context.WithTimeout(ctx, reactTime)
	defer cancel()
	if err := repo.React(ctx, comment, content); err != nil {
		warn("no reaction", "comment", comment, "reaction", content, "error", err)
	}
}

// started shows on the comment that asked for the run that it has begun. The
// run does not wait for it, but has to call wait at its end.
func (w *work) started(ctx context.Context) (wait func()) {
	comment, ok := trigger.CommentOf(w.run.Key)
	if !ok || !w.run.StartedAt.IsZero() {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		react(context.WithoutCancel(ctx), w.repo, comment, reactStarted, w.log.Warn)
	}()
	return func() { <-done }
}
