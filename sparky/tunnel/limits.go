package tunnel

import "time"

// The limits of tunnels, each with its reason.
const (
	// DeadAfter is how long a side waits for the other's next word: three
	// heartbeats, of which one may be late and one lost.
	DeadAfter = 15 * time.Second
	// stateWait is how long an agent holds a question for its state back while
	// nothing changes: proxies keep a silent connection for a minute.
	stateWait = 5 * time.Second
	// statePause is at least between two such questions: an agent whose jobs
	// take milliseconds has news all the time.
	statePause = 200 * time.Millisecond

	// dialTimeout of a connection, TLS included, and of the answer to it.
	dialTimeout = 15 * time.Second
	// minBackoff and maxBackoff are between two dials that fail: an orchestrator
	// that restarts is met at once, one that is down is not stormed.
	minBackoff = 500 * time.Millisecond
	maxBackoff = 30 * time.Second
	// meetPause is between two dials for replicas that were not met yet, and
	// meetTries how many there are for each missing one, before recheck: chance
	// spreads them, and of ten replicas all are met in 30 tries on average.
	meetPause = 200 * time.Millisecond
	meetTries = 8
	// recheck is when what is missing is looked for again.
	recheck = 10 * time.Second

	// maxAnswer of the headers that answer a dial, in bytes.
	maxAnswer = 16 << 10
	// maxState of an agent's state, in bytes of JSON.
	maxState = 4 << 10
	// maxHeader of a request or an answer in the tunnel, in bytes, either way.
	maxHeader = 64 << 10
	// maxStreams are the requests in one tunnel at a time: a long poll for each
	// job, and files.
	maxStreams = 1000
	// writeStall is how long a connection may take no byte.
	writeStall = DeadAfter
	// answerTime of a request within the tunnel, on the agent's side: above its
	// longest long poll. Handlers of large files extend it as they go.
	answerTime = 2 * time.Minute
	// leaveQuiet is how long nothing may be asked before an agent leaves: what
	// its last job made is fetched after its end.
	leaveQuiet = 3 * time.Second

	// MaxName of a pool, an agent or a label, in bytes.
	MaxName = 63
	// MaxLabels of an agent.
	MaxLabels = 50
	// MaxSlots of an agent.
	MaxSlots = 1000
	// maxVersion of the agent's program, and maxInstance of its process.
	maxVersion  = 100
	maxInstance = 64
	// maxReplicas of one orchestrator that an agent connects to.
	maxReplicas = 50
)
