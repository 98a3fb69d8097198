package checks

// What GitHub takes.
const (
	// MaxOutput of a check run's summary and of its text, in bytes each: the
	// Checks API answers 422 to more, and the check stays pending.
	MaxOutput = 65_535
	// MaxComment of a comment: GitHub takes 65,536 characters. Bytes are never
	// fewer than characters, so that this is the safe side.
	MaxComment = 65_536
	// MaxStepSummary of one step of a workflow, in bytes: what is larger is
	// dropped as a whole.
	MaxStepSummary = 1 << 20
	// MaxAnnotations found in one job's log: as many as one request of the
	// Checks API takes, and more than anybody reads.
	MaxAnnotations = 50
	// MaxGraphEdges and MaxGraphBytes of a Mermaid graph: GitHub shows an
	// error in the place of a larger one.
	MaxGraphEdges = 500
	MaxGraphBytes = 50_000
)

// What people can read.
const (
	// MaxTitle of a run and of a job, in characters: what the list of checks
	// shows in a line.
	MaxTitle = 100
	// MaxRows of a table of jobs in which each has its own row. With more
	// jobs, those that did not fail are one row per project and result.
	MaxRows = 50
	// MaxFailedRows are the failed jobs, and as many groups of others, that
	// have a row: more are one cause, and GitHub is slow with large tables.
	MaxFailedRows = 100
	// MaxTails are the failed jobs whose logs' ends are in a summary.
	MaxTails = 20
	// TailLines of a log in a summary; the job's own page has more.
	TailLines = 20
	// MaxArtifactRows of a table of artifacts.
	MaxArtifactRows = 50
	// MaxAttemptRows of a job's table of attempts, the last ones.
	MaxAttemptRows = 20
	// MaxNotes that are shown.
	MaxNotes = 10
)

// How long texts from elsewhere may be, so that none takes the place of the
// others. In characters.
const (
	maxName    = 100  // of a project, host, file
	maxReason  = 160  // of why a job failed, in a cell or heading
	maxNote    = 500  // of a note
	maxLogLine = 1000 // of a log's line in a summary
	maxLink    = 1000 // of a link's address, in bytes; a longer one is no link
)

// The budget of a summary, in bytes.
const (
	// minSummary is what a result line, a table's head and every sentence
	// about what is left out need; below it there is only the title.
	minSummary = 6 << 10
	// noteRoom is for the sentence in which a part says what it leaves out.
	noteRoom = 300
	// minTail is the room of a failed job, heading and log: with less for
	// each, it is better to show fewer.
	minTail = 1500
)

// The limits of looking for annotations.
const (
	// maxScanLine is how much of a line is looked at, in bytes: a longer one
	// is no compiler's.
	maxScanLine = 4096
	// maxAnnotationTitle is GitHub's, in bytes.
	maxAnnotationTitle = 255
	// maxLineNumber is beyond any source file.
	maxLineNumber = 9_999_999
)
