package store

import "time"

// The limits of this package, each with its reason.
const (
	// DefaultLease is after how much silence a replica on PostgreSQL is taken
	// for dead and its runs are taken over though its connection stands: its
	// machine was stopped or cut off. A busy one is silent for some seconds, and
	// another replica is to go on within 30 s.
	DefaultLease = 20 * time.Second
	// heartbeats of a lease, at least: one may be late and two lost.
	heartbeats = 4
	// beatInterval between a replica's heartbeats, which are also its looks at
	// the others: three statements, a millisecond of the server's time.
	beatInterval = time.Second
	// silentBeats is for how many of them a replica has to be silent that does
	// not hold its lock any more, and is dead. One that lost it with its
	// connection is back a beat later at most, so that two are to spare; and what
	// a dead one has left is taken up three to four beats after its end, within
	// the five seconds that are the aim.
	silentBeats = 3
	// lockTries for a lock that nobody has, of two billion.
	lockTries = 3

	// MaxLog of an attempt, in bytes: its first and its last half are kept.
	MaxLog = 16 << 20
	// MaxLogRead is the most that one ReadLog returns, in bytes.
	MaxLogRead = 1 << 20
	// MaxPage is the most rows of a page of runs.
	MaxPage = 200

	// maxBatch is how many writes share one commit on SQLite: more would make
	// the first of them wait.
	maxBatch = 256
	// commitTimeout of one transaction: beyond it the disk or the server hangs.
	commitTimeout = 30 * time.Second
	// conflictRetries of a transaction that PostgreSQL chose as the victim of
	// a deadlock.
	conflictRetries = 3
	// insertRows are the rows of one INSERT: both databases bound the
	// parameters, SQLite by 32,766.
	insertRows = 500
	// packMin is the size in bytes from which on it pays to compress.
	packMin = 256
	// maxUnpacked bounds what a row may unpack to, in bytes: GitHub sends 25 MB.
	maxUnpacked = 64 << 20
	// sqliteReaders and postgresConns are connections: two cores need no more
	// readers, and PostgreSQL allows 100 to all replicas together by default.
	sqliteReaders = 4
	postgresConns = 20
	// writeCache and readCache of SQLite's connections, in KiB each: the inner
	// pages of the indexes. What else is read the system has in memory once for all.
	writeCache = 4 << 10
	readCache  = 1 << 10
	// checkpointInterval is how often what was committed is carried over into
	// the database's file, beside the writing; writeCheckpoint is at how many
	// pages of 4 KiB in the log the writer does it itself, and waits for it:
	// 64 MiB, which only a full second of 30 KiB webhooks from many senders
	// comes near.
	checkpointInterval = time.Second
	writeCheckpoint    = 16384
	// keptStatements of a connection to SQLite: the queue and this package have
	// about a hundred, each some kilobytes.
	keptStatements = 200
	// pruneRuns are deleted by one transaction, so that no write waits long.
	pruneRuns = 20

	// fetchCooldown is the least time between two looks for work, of which the
	// queue is told; fetchPoll is how often it looks untold, for what other
	// replicas have queued and for what failed and is due again: a look costs
	// half a millisecond of a core, and there are two queues.
	fetchCooldown = 5 * time.Millisecond
	fetchPoll     = 500 * time.Millisecond
	// reclaimAfter is how long work may be nobody's that this process is said
	// to be at: the queue notes ends within a quarter of a second, and starts at
	// once.
	reclaimAfter = 5 * time.Second
	// deliverTimeout of turning one delivery into runs.
	deliverTimeout = 2 * time.Minute
	// workTimeout of one slice of a run; slices are meant to take seconds.
	workTimeout = 10 * time.Minute
	// rescueAfter is the queue's own rescue of stuck work, above workTimeout
	// as it must be. Work of dead processes is recovered long before.
	rescueAfter = 15 * time.Minute
	// deliverAttempts of a delivery before it counts as failed: 2 s, 4 s, … 2
	// minutes make about ten minutes.
	deliverAttempts = 10
	// workAttempts of a run's work: it is given up by its run alone.
	workAttempts = 30_000
	// maxRetryDelay between two attempts.
	maxRetryDelay = 2 * time.Minute
	// keepQueueRows is how long finished work stays in the queue's table.
	keepQueueRows = time.Hour
	// settle is after how long work that ended while its run changed is
	// looked at again.
	settle = 100 * time.Millisecond
	// watchInterval is how often a replica looks for changes that others made
	// to runs that somebody watches.
	watchInterval = time.Second
	// memberSilence is after how long a member that no replica has seen counts
	// as not connected: replicas look every five seconds.
	memberSilence = 20 * time.Second
	// passingAge is how long a member that can join again by itself is kept
	// after it was seen last: people want to know what has gone.
	passingAge = time.Hour
	// lastingAge likewise of one that cannot: a machine that was off over the
	// holidays comes back.
	lastingAge = 60 * 24 * time.Hour
)
