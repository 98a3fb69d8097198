package store

import (
	"context"
	"time"
)

// checkpointLoop carries what was committed over into the SQLite file until
// ctx is done, beside the writing: nobody waits for it, as the writer would for
// a checkpoint of its own. The last one is that of closing the database.
func (s *Store) checkpointLoop(ctx context.Context) {
	tick := time.NewTicker(checkpointInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		// Readers may checkpoint. One that finds others at it leaves it to them.
		if _, err := s.reader().exec(ctx, `PRAGMA wal_checkpoint(PASSIVE)`); err != nil && ctx.Err() == nil {
			s.logger.Warn("database checkpoint", "error", err)
		}
	}
}
