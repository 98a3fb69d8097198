package web

import "time"

// The limits of this package, each with its reason.
const (
	// sessionLife is how long somebody stays signed in: GitHub's tokens live
	// for eight hours.
	sessionLife = 8 * time.Hour
	// signInLife is how long a sign-in may take.
	signInLife = 10 * time.Minute
	// accessAge is how old what GitHub says of who may read what may be: who
	// loses access sees no more after it.
	accessAge = 3 * time.Minute
	// maxReaders whose access is remembered, and maxChecked repositories of
	// each; of those beyond, the oldest are forgotten and asked for again.
	maxReaders = 1000
	maxChecked = 500
	// githubTime to ask GitHub: a reader waits.
	githubTime = 20 * time.Second

	// pageRuns are on one page of the list.
	pageRuns = 50
	// maxFilter of a field, in bytes: the length of a ref.
	maxFilter = 255

	// maxStreams of events in this process: each is a connection and a
	// goroutine. maxReaderStreams of one reader: browsers open six.
	maxStreams       = 1000
	maxReaderStreams = 24
	// streamLife after which a stream ends and the browser opens it again: so
	// that whoever has lost access sees no more.
	streamLife = 5 * time.Minute
	// streamPace between two messages: faster is not seen, and is work.
	streamPace = 400 * time.Millisecond
	// streamTick after which what runs is shown again though nothing has
	// happened: its bars grow. It also keeps proxies from closing the
	// connection, which they do after 30 s.
	streamTick = 5 * time.Second
	// writeTime for a message to be taken: a browser that sleeps is let go.
	writeTime = 20 * time.Second
	// endGrace is how long the end of a log is waited for after its job has
	// ended: twice as long as logs are gathered before they are stored.
	endGrace = 2 * time.Second
	// maxSnapshots of runs that are kept to be shown to others who watch them.
	maxSnapshots = 64
	// maxPlans that are kept: to make one is to parse a file of up to 4 MiB.
	maxPlans = 128

	// maxLanes of a host in a timeline; more are told about in words.
	maxLanes = 24
	// maxFailures that are shown above all else; the table has the others.
	maxFailures = 8

	// windowLines and windowBytes of a log are on a page at a time.
	windowLines = 2000
	windowBytes = 256 << 10
	// maxLine is what is shown of one line, in bytes; a download has it all.
	maxLine = 8 << 10
	// maxMatches of a search are listed.
	maxMatches = 500
	// maxScans of whole logs, searches and downloads, at a time.
	maxScans = 8
	// failureBytes at the end of a log are searched for its first error.
	failureBytes = 256 << 10

	// flakyRuns of a repository are counted by default, and maxFlakyRuns.
	flakyRuns    = 100
	maxFlakyRuns = 1000

	// badgeAge is how old a badge's knowledge of a repository may be, and
	// maxBadges how many are remembered.
	badgeAge  = 5 * time.Minute
	maxBadges = 1000
)
