package members

import "time"

// The limits of this package, each with its reason.
const (
	// Grace is how long a host whose connection has ended may take to come
	// back before what was queued there is placed elsewhere: a replica or a
	// proxy that restarts closes connections, too.
	Grace = 10 * time.Second
	// syncInterval is how often the database is told who is connected, and
	// asked which replicas there are.
	syncInterval = 5 * time.Second
	// pruneInterval between two looks for members that are gone for good.
	pruneInterval = 10 * time.Minute
	// storeTime of one access of the database.
	storeTime = 10 * time.Second
	// maxDials are the connections that may be checked at a time: each asks the
	// database, and all agents come at once when a replica is new.
	maxDials = 32
	// maxJoin is the body of a request to join, in bytes.
	maxJoin = 4 << 10
	// maxToken is the length of a token or credential, in bytes.
	maxToken = 1 << 10
	// MaxTTL of a one-time token: longer ones are found by somebody.
	MaxTTL = 30 * 24 * time.Hour
	// DefaultTTL of a one-time token: until the machine has started.
	DefaultTTL = time.Hour
)
