package bot

import (
	"context"
	"log/slog"

	"github.com/cromt/cromt/bot/event"
)

// comment works a comment on a pull request.
func (i *Intake) comment(ctx context.Context, delivery int64, _ *event.Event, _ *slog.Logger) error {
	return i.processed(ctx, delivery)
}

// button works a click on a check run.
func (i *Intake) button(ctx context.Context, delivery int64, _ *event.Event, _ *slog.Logger) error {
	return i.processed(ctx, delivery)
}
