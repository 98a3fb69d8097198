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
	// DirectGrace is the same for the command of a [Direct], usually cromt run:
	// it cancels jobs on other hosts first, which takes DefaultCancelWait, and
	// tells of it.
	DirectGrace = 30 * time.Second

	// DefaultSparrowRepo needs no network: an absent folder is created with an
	// empty index, and a cromt job uses no plugins.
	DefaultSparrowRepo = "file:///tmp/sparrow-repo"

	// LostAfter is how long a job's host may fail to answer, counted from its
	// first failure: a restart of the agent takes seconds, and people should
	// not wait longer for the news that a host is dead.
	LostAfter = 30 * time.Second
	// DefaultCancelWait is how long a cancelled job is waited for: KillGrace
	// and the way there and back.
	DefaultCancelWait = 12 * time.Second

	// MaxReport is how much of the report of a real Sparky is read, in bytes:
	// it is sent whole each time.
	MaxReport = 64 << 20

	// How long single requests may take. A real Sparky answered in 0.6 s at
	// worst while eight jobs started on it; a slow link is slower.
	dialTimeout   = 10 * time.Second
	shortTimeout  = 15 * time.Second
	queueTimeout  = 30 * time.Second // its body is larger, and our agent writes it to disk
	reportTimeout = 60 * time.Second
	waitSlack     = 10 * time.Second // beyond the time that a long poll asked for
	stallTimeout  = 60 * time.Second // of a file transfer: no byte moved

	maxHeader = 64 << 10 // bytes of an answer's header
	maxAnswer = 1 << 20  // bytes of a JSON answer without log
	maxCode   = 8        // bytes of a status: the longest is "-11"
	maxQuoted = 200      // characters of a host's words in an error
	maxIdle   = 16       // idle connections kept to one host: as many jobs as DefaultSlots
	idleKept  = 90 * time.Second
	filesKept = 5 * time.Second // idle connections for files: those that follow come at once
	// shortBody is the most that one goroutine sends before it reads, in bytes:
	// the buffers of two machines hold more, so that a host that answers before
	// it has read it all is heard.
	shortBody    = 64 << 10
	serialBuffer = 4 << 10 // bytes, to read and to write; most requests fit
	// A host that is switched off in a long poll is noticed after keepIdle +
	// keepCount × keepProbe and, since a request that has no answer yet is sent
	// once more by itself, dialTimeout: 29 s.
	keepIdle   = 10 * time.Second
	keepProbe  = 3 * time.Second
	keepCount  = 3
	maxStashed = 8 << 20 // bytes of a stash

	// How a job is sent. A post in doubt is repeated only after the host said
	// that it does not know the job; a real Sparky has to say so twice,
	// recheckAfter apart, because it may be slow to write the job down.
	maxPosts     = 4
	postDelay    = 500 * time.Millisecond // before the second post; doubles
	recheckAfter = time.Second
	// leftPost is how long a post may go on when the run is let go of: the
	// executor has a second for that.
	leftPost = 500 * time.Millisecond
	// postWait is how long our agent may hold back its answer to a post for the
	// end of the job: long enough for short jobs, and a cancel does not wait
	// longer than that for a job that it cannot name yet.
	postWait = time.Second
	// cancelledPost is how long a post may go on when the run is cancelled meanwhile.
	cancelledPost = 2 * time.Second
	// maxSlots bounds what a host announces.
	maxSlots = 10_000

	// How a real Sparky is polled: a tenth of the time that the job has taken
	// so far, between these, give or take pollJitter.
	minPoll    = 250 * time.Millisecond
	maxPoll    = 5 * time.Second
	pollJitter = 0.2
	// retryPoll is the pause after a failed poll at first; it doubles up to maxPoll.
	retryPoll = 250 * time.Millisecond
	// reportShare keeps the time spent on fetching a growing report below one
	// in so many.
	reportShare = 10
	// reportWait is how long the report of an ended job may answer 500.
	reportWait = 10 * time.Second
	// drainWait is how long the rest of the log of an ended job is fetched.
	drainWait = 30 * time.Second

	// A chatty job answers each long poll at once: after pollBurst of those
	// the polls are pollPause apart.
	pollBurst = 50
	pollPause = 100 * time.Millisecond

	// runGrace is how much longer than its timeout a host may run a job
	// before this side ends it.
	runGrace = KillGrace + time.Minute
	// archiveFresh: a second attempt puts the source archive again when it is
	// older, since its host may have cleaned up.
	archiveFresh = time.Minute
)
