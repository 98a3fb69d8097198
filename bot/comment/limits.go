package comment

import "time"

// The limits of a comment, in bytes unless they say otherwise.
const (
	// MaxBody of a comment with commands: GitHub takes 65,536 characters.
	MaxBody = 64 << 10
	// MaxCommands of a comment: each may be a run.
	MaxCommands = 10
	// MaxLine of a command: variables included, more is no command that
	// someone typed.
	MaxLine = 4096
	// MaxName of a project or host, as jobs.yaml has it.
	MaxName = 100
	// MaxTimeout of a run, as jobs.yaml has it.
	MaxTimeout = 30 * 24 * time.Hour
	// maxShown of a word in an error.
	maxShown = 40
	// maxParagraph is how many lines of a paragraph may be above a command:
	// more cost too much to be searched for inline code.
	maxParagraph = 50
)
