package githubapp

import "time"

// The limits of this package, each with its reason.
const (
	// MaxFile of File, in bytes: a configuration of more is none.
	MaxFile = 4 << 20
	// MaxPullFiles of a pull request and MaxCompareFiles of a comparison are
	// GitHub's; the source is its page on each of the two endpoints.
	MaxPullFiles    = 3000
	MaxCompareFiles = 300

	// tokenMargin before its end a token is not used any more: longer than a
	// request may take, and than two clocks may differ.
	tokenMargin = 5 * time.Minute
	// cloneTokenAge is up to when a token for clones is given out again: a run
	// on a thousand hosts needs one, not a thousand, and each has most of the
	// hour left.
	cloneTokenAge = 5 * time.Minute
	// rejectedAge is how old a token must be for a 401 to mean that it was
	// revoked, so that another one is worth minting.
	rejectedAge = 10 * time.Second
	// appWrites a minute of the App itself, for all installations together:
	// minting a token is one for each repository and hour. They create nothing
	// that people see, so that GitHub's limit is its 900 points, 5 for each.
	appWrites = 150
	// maxRepos whose tokens are kept at a time; with more, all are forgotten
	// and minted again.
	maxRepos = 10_000

	// pageSize of lists, the largest there is.
	pageSize = 100
	// maxInstallations, maxRepositories of one installation, maxOpenPulls of a
	// repository: beyond what GitHub's hour of 5,000
	// requests could serve.
	maxInstallations = 20_000
	maxRepositories  = 20_000
	maxOpenPulls     = 3_000
	// maxDeliveries that are looked through at once: 200 requests.
	maxDeliveries = 20_000

	// maxDepth of a file's path, in folders: each is a request.
	maxDepth = 16
	// maxPath and maxRef in bytes: what Linux takes for a path.
	maxPath = 4096
	maxRef  = 255
	// maxAnswer with a token, in bytes.
	maxAnswer = 64 << 10

	// archiveTimeout of the download of a repository: large ones take minutes.
	archiveTimeout = 10 * time.Minute
	// archiveAttempts to begin a download, archivePause apart: nothing has
	// been written before.
	archiveAttempts = 3
	archivePause    = 2 * time.Second
	// MaxReadable repositories of a person are listed: with more, those that
	// are not are asked for one by one.
	MaxReadable = 3_000
	// signInTimeout of the exchange of a code for a token: a person waits.
	signInTimeout = 15 * time.Second

	// maxRedirects of a download.
	maxRedirects = 3
	// maxTrailer is what may follow the end of an archive, in bytes: padding.
	maxTrailer = 1 << 20
	// maxLink is the length of a symbolic link's target: PATH_MAX of Linux.
	maxLink = 4096
	// maxNotes about an archive's entries that are told.
	maxNotes = 20
)

// archiveLimits are what an archive may amount to.
type archiveLimits struct {
	packed   int64 // bytes that are downloaded
	unpacked int64 // bytes of all files: each host is sent all of it
	entries  int   // what an agent unpacks
	// ratio of unpacked to packed that is too good to be source code, once
	// more than ratioFrom bytes are unpacked. gzip's best is 1032.
	ratio     int64
	ratioFrom int64
}

func defaultArchiveLimits() archiveLimits {
	return archiveLimits{packed: 1 << 30, unpacked: 2 << 30, entries: 500_000, ratio: 200, ratioFrom: 64 << 20}
}
