package setup

import "time"

const (
	// Time for the whole of it: GitHub's code is good for an hour.
	Time = time.Hour
	// exchangeTime for GitHub to hand out the keys.
	exchangeTime = time.Minute
	// maxForm of the page's form, in bytes: a name and two addresses.
	maxForm = 16 << 10
	// maxName of an App, in characters, which is GitHub's.
	maxName = 34
)
