package bot

import (
	"context"

	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/sparky"
)

// Credential is what hosts of a run get to clone a repository.
func (r *Runner) Credential(ctx context.Context, run *store.Run, url string) (sparky.CloneCredential, error) {
	return r.newWork(run).credential(ctx, url)
}
