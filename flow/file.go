package flow

import "time"

// File is what a jobs.yaml says, before it is planned. Every value keeps its
// place, so that a later step can still point at it.
type File struct {
	Name     string        // as the caller gave it, used in messages
	Storage  Text          // URL of the Sparky host that keeps artifacts; unset: they are relayed
	Timeout  time.Duration // default of projects that set none; DefaultTimeout when absent
	Overlap  Text          // "cancel", "queue", "allow" or unset
	Pools    []*Pool       // in the order of the file; empty when there are none
	Projects []*Project    // in the order of the file
}

// Project returns the project of that name, or nil.
func (f *File) Project(name string) *Project {
	for _, p := range f.Projects {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// Text is a scalar with its place: the source text of a string, number or
// boolean. The zero Text means that the key is absent.
type Text struct {
	Value string
	Pos   Pos
}

// IsSet reports whether the file has the value.
func (t Text) IsSet() bool { return t.Pos.IsSet() }

// Or returns the value, or def when it is unset.
func (t Text) Or(def string) string {
	if t.IsSet() {
		return t.Value
	}
	return def
}

// Var is one environment variable of a job.
type Var struct {
	Name, Value string
	Pos         Pos
}

// Option is one key of a sparrowdo map. Value is a string or a bool.
type Option struct {
	Name  string
	Value any
	Pos   Pos
}

// Settings are the keys that a project, a dependency and a host entry share.
// Vars and Sparrowdo merge key by key, the nearest winning; the others replace.
type Settings struct {
	URL       Text
	Action    Text
	Options   Text
	QueueID   Text
	Title     Text
	Vars      []Var
	Secrets   []Text // nil: not given; empty: none
	Sparrowdo []Option
}

// Project is one entry of projects.
type Project struct {
	Name string
	Pos  Pos // of the name
	Settings
	Path         Text
	Branch       Text
	Hosts        []Host // nil: not given
	Pool         PoolUse
	Matrix       *Matrix // nil: not given
	Timeout      time.Duration
	QueueTimeout time.Duration
	Out          []Output
	In           []Text
	Before       []Dep
	After        []Dep
	Crontab      Text
	Trigger      Trigger
	Retry        Retry
	IgnoreErrors bool
	FailFast     bool
}

// Host is one entry of a hosts list.
type Host struct {
	Pos Pos
	Settings
}

// Dep is one entry of before or after.
type Dep struct {
	Pos  Pos
	Name Text
	When When // for after entries; WhenSuccess when absent
	Settings
	Hosts   []Host        // nil: not given
	Timeout time.Duration // 0: the named project's
}

// When says on which outcome of a project its after entry runs.
type When string

// The values of when.
const (
	WhenSuccess When = "success"
	WhenFailure When = "failure"
	WhenAlways  When = "always"
)

// Output is one entry of artifacts.out: Path, relative to the checkout, is
// kept as File.
type Output struct {
	File, Path string
	Pos        Pos
}

// Trigger says which events of the repository start a project. Nil Events
// means none.
type Trigger struct {
	Pos    Pos
	Events []TriggerEvent
}

// TriggerEvent is one event of a trigger with its filters: globs, a leading
// "!" negates. Empty filters mean the defaults of the event.
type TriggerEvent struct {
	Name     string // push, pull_request or merge_group
	Branches []string
	Paths    []string
}

// Retry says how often and on what a failed job is attempted again.
type Retry struct {
	Limit    int           // attempts after the first
	Delay    time.Duration // before the second attempt, default 10 s
	Backoff  float64       // factor from one delay to the next, default 2
	MaxDelay time.Duration // default 5 min
	On       []string      // failure, timed_out, lost; default failure
}
