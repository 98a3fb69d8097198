package main

import "time"

// The limits of the command line, each with its reason.
const (
	// maxSecretFile is the size of a secret, in bytes: it travels as an
	// environment variable.
	maxSecretFile = 1 << 20
	// largeFlowGC is GOGC for a flow file of largeFlow bytes or more, some 2,000
	// hosts: a run of 10,000 jobs has a peak of 40 MiB instead of 56, for 3 % more
	// CPU, its hosts' included. smallFlowGC is that for others, as agentGC is for
	// agents.
	largeFlowGC = 20
	smallFlowGC = agentGC
	largeFlow   = 128 << 10
	// probeTimeout of a connection to this machine: it is there or not.
	probeTimeout = 500 * time.Millisecond
	// listenPatience is how long an agent waits for its address, looking every
	// listenPause: as long as a killed agent's children may take to start.
	listenPatience = 2 * time.Second
	listenPause    = 20 * time.Millisecond
	// closeTimeout of the agents inside this process, whose jobs have ended
	// or are killed; quitTimeout when a second signal said at once.
	closeTimeout = 15 * time.Second
	quitTimeout  = 2 * time.Second
	// setupHeaderTime for a browser's request, and for its last page.
	setupHeaderTime = 10 * time.Second
	// checkTime of all that --check asks, hosts that say nothing included.
	checkTime = time.Minute
	// joinPause and maxJoinPause are between two tries to join a pool.
	joinPause    = 500 * time.Millisecond
	maxJoinPause = 30 * time.Second
	// loadInterval is how often an agent looks at what it has to do, for the
	// App that it is registered at.
	loadInterval = 100 * time.Millisecond
	// leaveTimeout is how long an agent waits, after its last job, for the App
	// to take what that has made.
	leaveTimeout = 30 * time.Second
	// maxNoted names in one note.
	maxNoted = 5
	// githubTimeout of one request to GitHub, its retries not counted.
	githubTimeout = 20 * time.Second
	// actionCancelWait is how long a workflow's step that is cancelled waits for
	// hosts to confirm: GitHub sends INT, after 7.5 s TERM, after 10 s KILL,
	// https://docs.github.com/actions/how-tos/manage-workflow-runs/cancel-a-workflow-run,
	// and by TERM the summary is to be there.
	actionCancelWait = 4 * time.Second
	// actionReportWait is how long a step waits at its end for GitHub to take
	// its check runs and comment: a minute's pause that GitHub asks for, and
	// some. Of a step that is cancelled only what is quick.
	actionReportWait          = 90 * time.Second
	actionCancelledReportWait = 2 * time.Second
	// actionQuitReportWait is that after TERM, 2.5 s before KILL.
	actionQuitReportWait = time.Second
	// agentGC is GOGC of an agent: with little alive, a collection is due after
	// every few jobs at 100, and 8 MiB of memory save three of four.
	agentGC = 300
)
