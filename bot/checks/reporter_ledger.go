package checks

import "time"

// ledger is what a run has spent of its allowance of writes, and what it
// still needs for its last words.
type ledger struct {
	own        bool // every job has a check run
	perHost    bool
	allowance  int
	spent      int
	jobsTotal  int
	unfinished int // jobs that have not ended
	failed     int // of a large run: jobs that did not succeed and have a check run
	concluded  int // check runs of jobs that need no more writes
	reserved   int // what the budget was told of needed
}

func newLedger(m Mode, jobs int) ledger {
	l := ledger{
		perHost: m == ModePerHost, own: m == ModePerHost && jobs <= MaxOwnChecks,
		allowance: smallAllowance, jobsTotal: jobs, unfinished: jobs,
	}
	if jobs > MaxOwnChecks {
		l.allowance = largeAllowance
	}
	return l
}

// needed is how many writes the run's last words take if its worst happens:
// the aggregate's, and those of its jobs.
func (l *ledger) needed() int {
	switch {
	case l.own:
		return 1 + l.jobsTotal - l.concluded
	case l.perHost:
		return 1 + l.failed - l.concluded + max(min(MaxFailedChecks-l.failed, l.unfinished), 0)
	}
	return 1
}

// spare is how many writes are left for all but last words.
func (l *ledger) spare() int { return l.allowance - l.spent - l.needed() }

// interval between two updates of the aggregate of a run that has gone on for
// so long.
func (l *ledger) interval(elapsed time.Duration) time.Duration {
	return max(progressInterval, elapsed*progressGrowth/time.Duration(max(l.spare(), 1)))
}
