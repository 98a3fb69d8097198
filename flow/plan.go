package flow

import "time"

// Plan is what will run: the invocations that the roots lead to, and their jobs.
type Plan struct {
	File        *File
	Roots       []*Invocation
	Invocations []*Invocation // each once, dependencies before those that need them
	Jobs        []*Job        // of the Invocations, in their order
	Pools       []*Pool       // that the Jobs are placed on, each once
}

// Invocation is a project with the settings that it runs with. Its jobs start
// when all of Before are complete; After start when all its jobs have ended;
// it is complete when those of After that run are complete.
type Invocation struct {
	Key          string // "project", or "project#2" for its second invocation
	Title        string // the user's; "" when there is none
	Project      *Project
	Parent       *Invocation // the invocation whose After this is; nil for others
	Before       []*Invocation
	After        []AfterEdge
	Jobs         []*Job
	Timeout      time.Duration // for its jobs together, from the first one's start
	QueueTimeout time.Duration // for one attempt, from its dispatch to its start
	Retry        Retry
	IgnoreErrors bool
	FailFast     bool

	order int // place in Plan.Invocations
}

// AfterEdge is an invocation to start after another one's jobs have ended.
type AfterEdge struct {
	Invocation *Invocation
	When       When
}

// Job is one series of attempts of one invocation: on one host entry, or as
// one worker on a pool, for one combination of a matrix. Its slices and maps
// are shared with other jobs: they are read-only.
type Job struct {
	Key        string // "project@label", unique in a plan
	Invocation *Invocation
	Host       string // URL of the Sparky host, without trailing slash; "" with a Pool
	Pool       string // the pool on which each of its attempts is placed; "" with a Host
	Label      string // its name within the invocation: of the host entry, the combination, the worker
	Title      string // shown to people
	QueueID    string // the user's queue-id; "" when there is none
	Queue      string // Sparky project on the host: [A-Za-z0-9][A-Za-z0-9_-]{0,99}
	Vars       []Var  // merged, sorted by name
	*Work             // not nil
	Pos        Pos    // of the host entry, or of the project
}

// Work is what a job does and waits for. The jobs of an invocation whose host
// entries say nothing else share one: a plan may have thousands of them.
type Work struct {
	PoolLabels []string // that a host of the Pool must have
	Actions    []string
	Options    []string
	Secrets    []string
	Sparrowdo  map[string]any // merged; values are strings or bools
	Source     Source
	In         []Input
	Out        []Output
	Needs      []*Job // jobs that must have ended before this one starts; shared by all that need the same
}

// Trim lets go of what only another plan of the File would need: the entries
// of its hosts, which may be thousands.
func (p *Plan) Trim() {
	for _, project := range p.File.Projects {
		project.Hosts = nil
		for _, deps := range [][]Dep{project.Before, project.After} {
			for i := range deps {
				deps[i].Hosts = nil
			}
		}
	}
}

// Worker reports whether the variable says which worker the job is: nobody
// else gives it a value.
func (j *Job) Worker(name string) bool {
	return j.Pool != "" && (name == workerVar || name == workersVar)
}

// Where says for people where the job runs: the URL of its host, or its pool.
func (j *Job) Where() string { return where(j.Host, j.Pool) }

func where(host, pool string) string {
	if host == "" && pool != "" {
		return "pool " + pool
	}
	return host
}

// SourceKind says where a job's scenarios come from.
type SourceKind string

// The kinds of sources.
const (
	SourceOwn SourceKind = "own" // the run's own repository at the run's commit
	SourceGit SourceKind = "git" // another git repository
	SourceDir SourceKind = "dir" // a directory on the host, not pinned
)

// Source is where a job's scenarios come from.
type Source struct {
	Kind SourceKind
	URL  string // of SourceGit, as the file gives it
	Ref  string // branch, tag or commit of SourceGit; "" is the default branch
	Dir  string // of SourceDir: the directory (may begin with ~); of SourceOwn: slash-separated folder below the repository's root, "" is the root
}

// Input is a file that a job needs before it runs. From are the jobs that
// make it, in host order: the first one's copy is .artifacts/File, each one's
// is .artifacts/<label>/File.
type Input struct {
	File string
	From []*Job
	Pos  Pos
}
