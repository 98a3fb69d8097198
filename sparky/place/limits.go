package place

import "time"

// The limits of this package, each with its reason.
const (
	// EngineTimeout of a question to Docker, or of what is quick there.
	EngineTimeout = 30 * time.Second
	// StartTimeout of a container from its image, which may have to be pulled.
	StartTimeout = 10 * time.Minute
	// CopyTimeout of a program or a checkout: a large one over a slow line.
	CopyTimeout = 15 * time.Minute
	// endGrace is how long the copy there may take to end a scenario beyond its
	// own grace, before the connection is cut.
	endGrace = 10 * time.Second
	// maxHeader of the line of JSON, in bytes: an environment with all vars of
	// a job.
	maxHeader = 16 << 20
	// maxSaid is what is kept of standard error, in bytes: its end matters.
	maxSaid = 8 << 10
	// maxEntries of a checkout: as an agent unpacks.
	maxEntries = 500_000
)
