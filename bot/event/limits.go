package event

// The limits of reading a payload, in bytes unless they say otherwise. Texts
// are cut to them; identifiers that are longer make the payload invalid.
const (
	// MaxPayload is GitHub's own cap of a webhook.
	MaxPayload = 25 << 20
	// MaxName of an event and of its action: GitHub's longest are below 60;
	// the type of a repository_dispatch is at most 100 characters.
	MaxName = 400
	// MaxLogin of a user: 39 characters, or more with an enterprise's suffix
	// or "[bot]".
	MaxLogin = 100
	// MaxRepoName, owner and name: 39 and 100 characters and a slash.
	MaxRepoName = 200
	// MaxRef is what git's own files allow for a ref, rounded down.
	MaxRef = 1024
	// MaxURL is what browsers and proxies take.
	MaxURL = 2048
	// MaxIdentifier of a check run (external_id) or of its button.
	MaxIdentifier = 1024
	// MaxTitle of a pull request, of a label, of a check run: GitHub's are at
	// most 256 characters.
	MaxTitle = 1024
	// MaxBody of a pull request or a comment: 65,536 characters of up to 4 bytes.
	MaxBody = 256 << 10
	// MaxMessage of a commit: longer ones are generated.
	MaxMessage = 64 << 10
	// MaxLabels is how many labels GitHub allows.
	MaxLabels = 100
	// MaxPulls are the pull requests kept of a check run: a commit is rarely
	// in more than a few.
	MaxPulls = 100
	// MaxPath of a changed file: git's own limit on most systems.
	MaxPath = 4096
	// MaxPaths of a push: filters look at each.
	MaxPaths = 100_000
	// MaxCommits is how many commits GitHub lists of a push (documentation of
	// the push event: "a maximum of 2048 commits").
	MaxCommits = 2048
	// MaxFiles is how many changed files GitHub lists of a commit.
	MaxFiles = 3000
	// MaxValues of a dispatch: GitHub allows 25 inputs and 10 properties.
	MaxValues = 100
	// MaxValue of an input: all of a dispatch are at most 65,535 characters.
	MaxValue = 256 << 10
	// MaxRepos of an installation's change: GitHub lists all of an owner's.
	MaxRepos = 100_000
)
