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
	// maxStatuses is how many statuses of one context a commit holds, and
	// maxStatusDescription how many characters one of them says.
	maxStatuses          = 1000
	maxStatusDescription = 140
	// maxJSONFile is up to where a file's content is part of its JSON, in bytes.
	maxJSONFile = 1 << 20
	// maxPullFiles of a pull request, and maxCompareFiles of a comparison, are
	// listed.
	maxPullFiles    = 3000
	maxCompareFiles = 300
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
	maxTokenLife       = time.Hour        // of an installation token
	maxJWTLife         = 10 * time.Minute // exp of an App's JWT, from now
	anonymousHourLimit = 60               // of requests without a token
	archiveLife        = 5 * time.Minute  // of a link to an archive
	codeLife           = 10 * time.Minute // of a code of a sign-in
	manifestLife       = time.Hour        // of a manifest's code
	deliveriesKept     = 72 * time.Hour   // how long deliveries can be listed
	maxRequestBodySize = 4 << 20          // no request of the played operations is that large
)
