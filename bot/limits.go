package bot

import "time"

// The limits of webhooks, each with its reason.
const (
	// MaxWebhook is the size of a delivery's body, in bytes: GitHub sends none
	// above 25 MB.
	MaxWebhook = 25 << 20
	// smallWebhook is up to what size bodies are read at once, however many
	// there are; of larger ones largeWebhooks at a time, so that they take at
	// most 100 MiB.
	smallWebhook  = 256 << 10
	largeWebhooks = 4
	// webhookTime for a delivery's body to arrive: GitHub gives up after 10 s.
	webhookTime = 10 * time.Second
	// acceptTime for the database to take a delivery.
	acceptTime = 5 * time.Second
	// clickTime is within which clicks on one button are one: nobody means two.
	clickTime = time.Minute
	// goneTime is after how long what GitHub does not have will not come: its
	// own copies agree within seconds.
	goneTime = 30 * time.Second
	// maxGUID is the length of X-GitHub-Delivery, which has 36 characters.
	maxGUID = 64
	// idleTime of a connection: proxies keep theirs for a minute.
	idleTime = 90 * time.Second
	// stopTime for everything to be let go of at the end: orchestrators kill
	// after 30 s.
	stopTime = 20 * time.Second
	// choreInterval between two rounds of what is done now and then: what a dead
	// replica has left to tell GitHub is told soon after its lease.
	choreInterval = 5 * time.Second
	// sliceTime is how long a run is worked before it is let go of and taken up
	// again: below the queue's ten minutes for a piece of work.
	sliceTime = 5 * time.Minute
	// sliceGap between two slices.
	sliceGap = time.Millisecond
	// logInterval between two writes of what jobs print: pages look live, and
	// a chatty job costs two commits a second.
	logInterval = 500 * time.Millisecond
	// logBacklog of a job's log that the database has not taken yet, in bytes;
	// beyond it the log has a hole.
	logBacklog = 8 << 20
	// postTime is how long the end of a run waits for GitHub to take it; what
	// it has not taken by then is posted later.
	postTime = 2 * time.Minute
	// postAge of a run for whose check GitHub is waited: after a day nobody
	// looks at it.
	postAge = 24 * time.Hour
	// postBatch of runs that are posted again at once.
	postBatch = 100
	// sourceAge of an archive that no run has asked for.
	sourceAge = 24 * time.Hour
)
