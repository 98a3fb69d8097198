package main

import "time"

// The limits of the command line, each with its reason.
const (
	// maxSecretFile is the size of a secret, in bytes: it travels as an
	// environment variable.
	maxSecretFile = 1 << 20
	// probeTimeout of a connection to this machine: it is there or not.
	probeTimeout = 500 * time.Millisecond
	// closeTimeout of the agents inside this process, whose jobs have ended
	// or are killed; quitTimeout when a second signal said at once.
	closeTimeout = 15 * time.Second
	quitTimeout  = 2 * time.Second
	// maxNoted names in one note.
	maxNoted = 5
)
