package githubtest

import "time"

// What GitHub documents, from "Using the REST API to interact with checks" and
// "Rate limits for the REST API" of its documentation.
const (
	// maxOutputBytes is what a check run's summary and text hold each. The
	// description counts characters, GitHub stores bytes.
	maxOutputBytes = 65_535
	// maxMessageBytes is what an annotation's message and raw details hold each.
	maxMessageBytes = 64 << 10
	// maxAnnotationTitle is in characters.
	maxAnnotationTitle = 255
	// maxCommentRunes is what a comment holds.
	maxCommentRunes = 65_536
	// maxSameName is how many check runs of one name a suite keeps; GitHub
	// deletes older ones, which a program like ours never wants.
	maxSameName = 1000
	// maxPerPage is the largest page; GitHub takes a larger number for it in silence.
	maxPerPage = 100

	// DefaultHourLimit is how many requests an installation may send an hour,
	// GitHubTokenHourLimit how many the token of a workflow may, for one
	// repository.
	DefaultHourLimit     = 5000
	GitHubTokenHourLimit = 1000

	// The secondary limits.
	maxConcurrent      = 100
	maxPointsMinute    = 900
	pointsRead         = 1
	pointsWrite        = 5
	maxContentMinute   = 80
	maxContentHour     = 500
	secondaryRetry     = time.Minute // what Retry-After says then
	defaultRetry       = time.Minute // to wait where no header says how long
	primaryWindow      = time.Hour
	maxRequestBodySize = 4 << 20 // no request of the played operations is that large
)
