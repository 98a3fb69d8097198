package sparky

import "time"

// The limits of the protocol as cromt speaks it, each with its reason.
const (
	// MaxQueueBody of POST /queue, in bytes: vars and options, with room.
	MaxQueueBody = 8 << 20
	// MaxFileBody of PUT /file, in bytes: an artifact or a source archive.
	MaxFileBody = 4 << 30
	// MaxLogChunk of a JobStatus, in bytes: keeps one answer small.
	MaxLogChunk = 256 << 10
	// MaxWait of a long poll: below the idle time-outs of common proxies (60 s).
	MaxWait = 50 * time.Second
	// DefaultLease of a job: an orchestrator that restarts is back sooner, and
	// a host is not blocked longer by one that is gone.
	DefaultLease = 2 * time.Minute
	// DefaultSlots is how many jobs are sent at once to a host that announces
	// no number: eight starting together took a real Sparky of 2 cores 50 s.
	DefaultSlots = 16
	// KillGrace is the time between TERM and KILL.
	KillGrace = 10 * time.Second

	// DefaultSparrowRepo needs no network: an absent folder is created with an
	// empty index, and a cromt job uses no plugins.
	DefaultSparrowRepo = "file:///tmp/sparrow-repo"
)
