package agent

import "time"

// The limits of the agent, each with its reason.
const (
	// DefaultKeepBuilds per project: as many as people look back at.
	DefaultKeepBuilds = 50
	// MinFreeDisk is how many bytes the file system of Root must have free for
	// a job or a file to be accepted: below it databases and users' programs
	// fail in ways that nobody understands.
	MinFreeDisk = 256 << 20
	// freeDiskAge is how long one look at the free disk is good for.
	freeDiskAge = time.Second

	// DefaultMaxDisk is how many bytes one job's folder may take: a large
	// repository and what is built of it, while most disks hold several.
	DefaultMaxDisk = 16 << 30
	// diskPause is between two looks at a running job's folder. A look that
	// takes long is followed by a pause of diskRest times that.
	diskPause = 2 * time.Second
	diskRest  = 20

	// maxSparrows run at once. They are not counted among Config.MaxJobs, since
	// many wait for jobs of their own, as on a Sparky, which has no limit.
	maxSparrows = 64
	// sparrowTimeout of a sparrowfile: when a Sparky ends it, too.
	sparrowTimeout = 12 * time.Hour
	// cronPatience is how late a crontab's minute may be started.
	cronPatience = 5 * time.Minute
	// scmPause is between two questions for a branch's commit, and scmMaxPause
	// the longest after failures: servers count them.
	scmPause    = 20 * time.Second
	scmMaxPause = 10 * time.Minute
	// scmTimeout of one question, scmParallel of them at once.
	scmTimeout  = 20 * time.Second
	scmParallel = 4
	// maxSparrowfile and maxSettings of a project's folder, in bytes.
	maxSparrowfile = 1 << 20
	maxSettings    = 256 << 10

	// maxLogBytes of one job; a longer log loses its middle. Nobody reads
	// more, and a flood must not fill the disk.
	maxLogBytes = 16 << 20
	// maxLogTail is the part of maxLogBytes kept from the log's end: it is
	// held in memory until the job ends.
	maxLogTail = 1 << 20
	// maxInlineLog is up to where a log is kept with its job's row instead of
	// a file: most jobs print less, and a file costs more than the row.
	maxInlineLog = 16 << 10
	// spillAfter is when the log of a running job goes to a file, however
	// short it is, so that a crash does not lose it.
	spillAfter = time.Second

	// userCost of the bcrypt hashes that AddUser makes: about 0.1 s of CPU. Hashes of
	// more than maxCost take minutes, in which nobody else could sign in.
	userCost = 10
	maxCost  = 15
	// minPassword of a user, in bytes.
	minPassword = 8
	// maxTries to sign in from one address at once, and one more every tryPause:
	// enough for people, too few to guess.
	maxTries = 10
	tryPause = 10 * time.Second
	// sessionTime is how long somebody stays signed in: a week's work.
	sessionTime = 7 * 24 * time.Hour
	// maxSessions at once, and addresses whose attempts are counted.
	maxSessions = 1000
	// maxForm of what people send from a page, in bytes.
	maxForm = 256 << 10
	// maxStreams of live logs at once: each holds a connection.
	maxStreams = 64
	// streamPing is how often a live log without news says that it lives:
	// proxies close what is silent for a minute.
	streamPing = 15 * time.Second

	// coalesce is how long news that is not the end of a job is held back, so
	// that a short job is told in one answer and a chatty one in few.
	coalesce = 100 * time.Millisecond
	// maxStash of POST /stash, in bytes: a few variables.
	maxStash = 1 << 20
	// maxDescription of a job, in bytes.
	maxDescription = 1 << 10
	// maxConfig of a job's description, tags and sparrowdo together, in
	// bytes: it stays with the job's row.
	maxConfig = 64 << 10
	// maxQueued jobs of an agent: a client that posts more is in a loop.
	maxQueued = 100_000
	// maxRecent ended jobs stay in memory, for those who ask at once.
	maxRecent = 64
	// maxList rows on a plain page.
	maxList = 100

	// gitTimeout of a checkout: a large repository over a slow line.
	gitTimeout = 15 * time.Minute
	// maxArchiveEntries and maxArchiveBytes of an unpacked source archive:
	// more is a mistake or a bomb.
	maxArchiveEntries = 500_000
	maxArchiveBytes   = 8 << 30
	// maxErrorLine of a result, in bytes.
	maxErrorLine = 500
	// maxInOut files of a job, each way.
	maxInOut = 1_000
	// maxSeconds of a job's timeout and lease: a year, so that sums fit.
	maxSeconds = 366 * 24 * 3600

	// maxBatch transitions in one commit: bounds how long the first one waits.
	maxBatch = 256
	// commitDelay is how long a commit of less than commitCompany transitions
	// waits for more while more jobs run than there are processors: nothing is
	// idle meanwhile, and a flush costs a tenth of what a short job does.
	commitDelay   = 300 * time.Microsecond
	commitCompany = 4
	// journalRetry is between attempts to record the start of a job or its
	// result; journalPatience is when one is given up as lost that has run.
	journalRetry    = 500 * time.Millisecond
	journalPatience = 10 * time.Minute
	// checkpointIdle is how long after the last commit the write-ahead log is
	// emptied, which also removes the data of jobs that have started.
	checkpointIdle = 2 * time.Second
	// checkpointMax is how long a busy agent puts that off.
	checkpointMax = 30 * time.Second
	// pruneDelay gathers the ends of several jobs into one clean-up.
	pruneDelay = 5 * time.Second
	// orphanAge is when files of a job that never came are removed. Source
	// archives are put ahead of the first job that needs them.
	orphanAge = 7 * 24 * time.Hour
	// orphanCheck is between two looks for them.
	orphanCheck = time.Hour

	// headerTimeout of a request, against clients that trickle.
	headerTimeout = 10 * time.Second
	// bodyTimeout of a request's JSON body.
	bodyTimeout = 30 * time.Second
	// stepTimeout is for each transferStep bytes of a file, either way: less
	// than 17 KiB/s is not a transfer.
	stepTimeout  = time.Minute
	transferStep = 1 << 20
	// idleTimeout of a connection: clients keep one per host, a real Sparky
	// closes none.
	idleTimeout = 5 * time.Minute
	// maxHeader of a request, in bytes.
	maxHeader = 32 << 10
	// shutdownGrace is how long answers under way may take when the server stops.
	shutdownGrace = 5 * time.Second
	// lockPatience is how long the lock of a folder is waited for, looking
	// every lockPause: as long as a killed agent's children may take to start.
	lockPatience = 2 * time.Second
	lockPause    = 20 * time.Millisecond
	// leftoverPatience is how long killed processes may take to be gone.
	leftoverPatience = 5 * time.Second
	// maxChase is how often a look for processes goes on to those that were
	// started during it: on a busy machine others always are. maxProbes is how
	// many these may be: more would take longer than a look at all.
	maxChase  = 64
	maxProbes = 1024
	// emptyReads of an environment that is empty, emptyPause apart: enough for
	// an exec to be over, on a busy machine too.
	emptyReads = 40
	emptyPause = time.Millisecond
	// pipeBuffer of an in-memory connection, each way, in bytes.
	pipeBuffer = 64 << 10
)
