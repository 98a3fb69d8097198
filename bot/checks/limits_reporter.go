package checks

import "time"

// GitHub's limits of what may be written in a while. The source is its page
// "Rate limits for the REST API", section about secondary limits.
const (
	// WritesPerMinute of one token. GitHub allows 80 requests that create
	// content, and asks for one a second: 60 leave the rest to others.
	WritesPerMinute = 60
	// CreatesPerHour of one token, GitHub's limit for content.
	CreatesPerHour = 500
	// writeWindow is the minute of WritesPerMinute, longer by what GitHub's
	// clock and ours may differ in length between two requests.
	writeWindow = time.Minute + time.Second
	// createWindow is the hour of CreatesPerHour, longer for the same reason.
	createWindow = time.Hour + time.Minute
	// createShare of CreatesPerHour is kept for aggregates: with less left,
	// jobs get no check runs of their own.
	createShare = 5 // a fifth
	// progressShare of WritesPerMinute is what progress may always use,
	// however much the runs of a budget want kept for their ends.
	progressShare = 4 // a quarter
)

// How to wait for a GitHub that does not answer, or wants to be left alone.
const (
	// limitPause after an answer that names a limit and no time, twice as
	// long after each further one in a row: GitHub asks for a minute.
	limitPause = time.Minute
	// maxPause is the longest that any answer has us wait: primary limits are
	// renewed every hour.
	maxPause = time.Hour
	// pauseJitter at most is added to what GitHub asks for, so that those
	// that were told the same do not come back together.
	pauseJitter = time.Second
	// requestTimeout of one request: GitHub itself gives up after 10 s.
	requestTimeout = 15 * time.Second
	// retryDelay after the first failure in a row, twice as long after each
	// further one, maxRetryDelay at most; maxRunDelay while the run goes on,
	// so that an hour's outage costs some twenty requests.
	retryDelay    = time.Second
	maxRetryDelay = 15 * time.Second
	maxRunDelay   = 5 * time.Minute
	// readRetries of a request that changes nothing.
	readRetries = 3
)

// What a run may write.
const (
	// MaxOwnChecks is up to how many jobs each get a check run: more make the
	// list of checks unreadable and cost more writes than a minute has.
	MaxOwnChecks = 25
	// MaxFailedChecks is how many jobs of a larger run, of those that did not
	// succeed, get a check run. All of them, the aggregate and a minute's
	// progress are within WritesPerMinute, so that they never wait at the end.
	MaxFailedChecks = 40
	// smallAllowance of writes has a run of up to MaxOwnChecks jobs: two for
	// each check run, and some progress.
	smallAllowance = WritesPerMinute
	// largeAllowance of writes has any other run: 40 such runs are an
	// installation's hour (5,000 requests).
	largeAllowance = 120
	// startFloor of its allowance is kept for the aggregate's progress when
	// check runs are created for jobs that have just started.
	startFloor = 10
	// progressInterval is the least time between two updates of the aggregate.
	progressInterval = 5 * time.Second
	// progressGrowth makes the interval grow with the run's length: it is the
	// elapsed time times progressGrowth over what is left of the allowance.
	// With 10 writes left the last is due after a thousand times the first
	// interval, so that an allowance does not end before the run does.
	progressGrowth = 4
)

// What a check run may hold; the source is GitHub's page "REST API endpoints
// for check runs".
const (
	// maxOutputTitle in bytes; GitHub names no limit, more is not shown.
	maxOutputTitle = 255
	// maxAnnotationMessage in bytes, 64 KB.
	maxAnnotationMessage = 64_000
	// requestAnnotations are those that one request may have.
	requestAnnotations = 50
	// maxJobAnnotations that are posted of one job: further ones cost a write
	// for each requestAnnotations, and nobody reads them.
	maxJobAnnotations = 200
	// maxExternalID and maxCheckName in bytes; GitHub names no limits, its
	// other short texts have this one.
	maxExternalID = 255
	maxCheckName  = 255
	// maxSameName is how many check runs of one name and commit are kept.
	maxSameName = 1000
)

const (
	// pageSize of lists, the largest there is.
	pageSize = 100
	// maxComments are looked through for our own on a pull request.
	maxComments = 3000
)
