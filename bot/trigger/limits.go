package trigger

import "time"

const (
	// MaxWork of one Select, in steps of a glob over a name: about 0.3 s.
	// Beyond it paths are taken to match: a file whose globs cost more may run
	// what it could have run without them.
	MaxWork = 20_000_000
	// MaxGlob is the longest glob that matches anything, in bytes: git's
	// longest path is not longer.
	MaxGlob = 4096
	// CatchUp is how late a schedule is still served: a restart, an upgrade, a
	// failover. What was missed for longer is left out, since a job for the
	// night may do harm in the morning.
	CatchUp = time.Hour
)
