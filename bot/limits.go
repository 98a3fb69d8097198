package bot

import "time"

// The limits of webhooks, each with its reason.
const (
	// MaxWebhook is the size of a delivery's body, in bytes: GitHub sends none
	// above 25 MB.
	MaxWebhook = 25 << 20
	// smallWebhook is up to what size bodies are read at once, however many
	// there are; of larger ones largeWebhooks at a time, so that those of
	// strangers take 50 MiB at most.
	smallWebhook  = 256 << 10
	largeWebhooks = 2
	// webhookTime for a delivery's body to arrive: GitHub gives up after 10 s.
	webhookTime = 10 * time.Second
	// acceptTime for the database to take a delivery.
	acceptTime = 5 * time.Second
	// maxPace comments with commands of one user within paceTime are worked, more
	// than anybody writes by hand: each costs some ten requests of the
	// installation's 5,000 an hour. Of so many users at once it is counted:
	// maxPaceUsers.
	maxPace      = 30
	paceTime     = 10 * time.Minute
	maxPaceUsers = 10_000
	// clickTime is within which clicks on one button are one: nobody means two.
	clickTime = time.Minute
	// goneTime is after how long what GitHub does not have will not come: its
	// own copies agree within seconds.
	goneTime = 30 * time.Second
	// maxGUID is the length of X-GitHub-Delivery, which has 36 characters.
	maxGUID = 64
	// answerTime for a request to be answered, and the answer to be taken. What
	// goes on for longer, logs and pages that follow a run, has each of its
	// writes timed by itself.
	answerTime = time.Minute
	// idleTime of a connection: proxies keep theirs for a minute.
	idleTime = 90 * time.Second
	// stopTime for everything to be let go of at the end: orchestrators kill
	// after 30 s.
	stopTime = 20 * time.Second
	// choreInterval between two rounds of what is done now and then.
	choreInterval = time.Minute
	// postInterval between two looks for what GitHub is still to be told.
	postInterval = 5 * time.Second
	// abandonTime for the hosts of a run that cannot go on to be told.
	abandonTime = 15 * time.Second
	// sliceTime is how long a run is worked before it is let go of and taken up
	// again: below the queue's ten minutes for a piece of work.
	sliceTime = 5 * time.Minute
	// sliceGap between two slices.
	sliceGap = time.Millisecond
	// waitInterval is how often a run that waits for another one looks whether
	// it still has to, beside being woken: in case a wake is lost.
	waitInterval = 10 * time.Minute
	// waitTime for GitHub to be told that a run waits, and until it is tried
	// again.
	waitTime = 15 * time.Second
	// createRetries of a run while others of its branch are created: each time
	// GitHub has to be asked for the head.
	createRetries = 5
	// logInterval between two writes of what jobs print: pages look live, and
	// a chatty job costs two commits a second.
	logInterval = 500 * time.Millisecond
	// logBacklog of a job's log that the database has not taken yet, in bytes;
	// beyond it the log has a hole.
	logBacklog = 8 << 20
	// postTime is how long the end of a run waits for GitHub to take it; what
	// it has not taken by then is posted later, as a chore.
	postTime = 2 * time.Minute
	// choreTime is how long a chore waits for GitHub to take the end of one
	// run, and posters how many of them are posted at once.
	choreTime = 20 * time.Second
	posters   = 8
	// claimRetries and claimPause are for an owner of a run that has said its
	// last word and not yet let go of it.
	claimRetries = 5
	claimPause   = 20 * time.Millisecond
	// leaveTime is how long requests to GitHub that are at hand go on when this
	// process is to end: orchestrators kill after 10 s, some of them.
	leaveTime = 3 * time.Second
	// beginTime is how long what a run needs to begin is tried to be had,
	// before the run fails: GitHub's worst outages take hours.
	beginTime = 6 * time.Hour
	// postAge of a run whose check GitHub is still told of: after a week nobody
	// looks at it.
	postAge = 7 * 24 * time.Hour
	// postBatch of runs that are posted again at once.
	postBatch = 100
	// maxReturns of a branch to a commit whose run was cancelled: more are a
	// loop.
	maxReturns = 100
	// reactTime for a reaction to a comment: nothing waits longer for it.
	reactTime = 10 * time.Second
	// replyTime for what a run or a command can do without.
	replyTime = 30 * time.Second
	// replyHead is what a reply needs besides its answers, in bytes: problems
	// are of a few hundred each, for ten commands at most.
	replyHead = 16 << 10
	// cancelWait for the hosts to confirm that a run is cancelled, before it is
	// told what they said.
	cancelWait = 45 * time.Second
	// maxProblems of one command that are told.
	maxProblems = 10
	// maxDifference of two plans that are compared, in pairs of lines: more is
	// not read, and takes megabytes.
	maxDifference = 1_000_000
	// maxLooked runs of a pull request are looked through for a project's log,
	// maxLogs logs are in one answer, logLines lines of each.
	maxLooked = 20
	maxLogs   = 8
	logLines  = 50
	// durationRuns are the past runs that estimates are made of.
	durationRuns = 50
	// endWait for a run to have ended that is to be repeated.
	endWait = 3 * time.Second
	// approveGrace is how long after a click on Approve the run is looked for
	// again that it is about: it is stored right after it is shown.
	approveGrace = time.Minute
	// sourceAge of an archive that no run has asked for.
	sourceAge = 24 * time.Hour

	// sweepInterval between two looks for what has not arrived, and sweepTime
	// that one may take. deliverySweep is that for deliveries, which costs one
	// request for a hundred of them, of 5,000 an hour.
	sweepInterval = 10 * time.Minute
	sweepTime     = 8 * time.Minute
	deliverySweep = 2 * time.Minute
	// restartGap between two of the dearer ones, however often the process is
	// started anew.
	restartGap = time.Minute
	// deliveryAge is how long GitHub keeps deliveries, and sweepOverlap what is
	// looked at twice: what is under way is listed late.
	deliveryAge  = 3 * 24 * time.Hour
	sweepOverlap = time.Minute
	// sweepAsks within a choreInterval, whichever replica asks and however often
	// it is started anew: GitHub wants a second between requests that change
	// something. As the App itself it sends 150 of these a minute, and after an
	// outage it needs tokens for all repositories, too.
	sweepAsks = 60
	// maxAsks for one delivery, askGap after the first, then after twice as
	// long each time: within 21 hours what is in the way is gone, or it is the
	// delivery.
	maxAsks = 8
	askGap  = 10 * time.Minute
	// restartAsks of these may follow at once where what was asked for came while
	// nobody was there to take it, or within startTime after that: proxies take
	// as long to find who is there again. More would be a delivery that kills.
	restartAsks = 3
	startTime   = 15 * time.Second
	// sweepRepos of an installation whose pull requests are compared in one
	// turn, and sweepPulls of each: 600 of the 5,000 requests of its hour.
	sweepRepos = 100
	sweepPulls = 100
	// readAge of what is known of a default branch, readBatch of an
	// installation's repositories that are read in a turn: three requests each
	// make 1,800 of its hour. readRetry after a failure.
	readAge   = 6 * time.Hour
	readBatch = 10
	readRetry = 10 * time.Minute
	// listInterval between two lists of all installations and repositories,
	// which is what events of installations that were lost for good cost.
	listInterval = time.Hour
	// learnTries of a configuration that changes while it is read.
	learnTries = 3
	// scheduleInterval between two looks for what is due: a crontab counts in
	// minutes. scheduleBatch that are made in one turn, scheduleRead for GitHub
	// to say what is at the head.
	scheduleInterval = 10 * time.Second
	scheduleBatch    = 100
	scheduleRead     = 20 * time.Second

	// healthInterval between two looks at a host, give or take healthJitter,
	// and healthTime for its answer: that it is dead is known after 30 s.
	healthInterval = 20 * time.Second
	healthJitter   = 0.1
	healthTime     = 8 * time.Second
	// healthSpread of the first looks at many hosts: not all in one moment.
	healthSpread = 20 * time.Millisecond
)
