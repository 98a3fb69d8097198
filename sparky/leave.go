package sparky

import (
	"context"
	"errors"
	"fmt"

	"github.com/cromt/cromt/flow"
)

// isLeft reports whether the run of an attempt has been let go of: its job
// stays as it is, for the process that goes on.
func isLeft(ctx context.Context) bool {
	return errors.Is(context.Cause(ctx), flow.ErrDetached) || errors.Is(context.Cause(flow.Teardown(ctx)), flow.ErrDetached)
}

// leave is what an attempt ends with that was let go of. What of its log may
// be the beginning of a secret is not written: the next process reads it again.
func (t *attempt) leave() error {
	t.log.drop()
	return fmt.Errorf("job %s left to %s: %w", t.a.Job.Key, t.h.name(), flow.ErrDetached)
}

// marked says that reading the host's log from the offset on gives what is
// written next; the Masker holds nothing back then.
func (t *attempt) marked(offset int64) {
	if t.a.Marked != nil && !t.log.holds() {
		t.a.Marked(offset)
	}
}
