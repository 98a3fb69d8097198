package event

import "time"

// Kind says which field of an Event is filled.
type Kind string

// The kinds, each with the events that have it.
const (
	KindPush         Kind = "push"
	KindPullRequest  Kind = "pull_request" // and pull_request_target
	KindComment      Kind = "comment"      // issue_comment, pull_request_review_comment
	KindMergeGroup   Kind = "merge_group"
	KindCheckRun     Kind = "check_run"
	KindCheckSuite   Kind = "check_suite"
	KindDispatch     Kind = "dispatch" // workflow_dispatch, repository_dispatch
	KindSchedule     Kind = "schedule"
	KindWorkflowRun  Kind = "workflow_run"
	KindInstallation Kind = "installation" // and installation_repositories
)

// Event is what matters of a payload.
type Event struct {
	// Name is the event's, as GitHub calls it: push.
	Name string
	// Kind is "" for an event of which only the common fields are known.
	Kind Kind
	// Action is what happened, "" for events that have none.
	Action string
	// Repo is the repository that the event is sent for: the base, where
	// there is a fork. Zero for changes of an installation.
	Repo Repo
	// Installation is the App's; 0 in a workflow.
	Installation int64
	// Sender did it. Zero for schedules.
	Sender User

	// By Kind, one of these is set.
	Push        *Push
	PullRequest *PullRequest
	Comment     *Comment
	MergeGroup  *MergeGroup
	CheckRun    *CheckRun
	CheckSuite  *CheckSuite
	Dispatch    *Dispatch
	Schedule    string // the cron expression
	WorkflowRun *WorkflowRun
	Change      *InstallationChange
}

// Repo is a repository.
type Repo struct {
	FullName      string // owner/name
	ID            int64  // 0 when not known
	Private       bool
	Fork          bool   // it is a fork of another
	DefaultBranch string // "" when not known, like the two below
	CloneURL      string // http or https
	HTMLURL       string
}

// User is an account. A deleted one is zero: it has no Login.
type User struct {
	Login string
	ID    int64
	Type  string // User, Bot, Organization, Mannequin
	Bot   bool   // of Type Bot, or with a login that ends in [bot]
}

// Push is a branch or a tag that was pushed, or removed.
type Push struct {
	Ref    string // refs/heads/main
	Branch string // main; "" for a tag
	Tag    string // v1.0; "" for a branch
	// Before and After are commits; all zeros when the ref did not exist
	// before, or does not any more.
	Before, After string
	Created       bool
	Deleted       bool
	Forced        bool
	// HeadMessage is the message of the last commit; "" when Deleted.
	HeadMessage string
	// Paths are the files that the listed commits added, changed or removed,
	// sorted, each once.
	Paths []string
	// Truncated says that Paths may lack some: GitHub lists at most 2,048
	// commits and 3,000 files of each, no commits of a tag or of a new branch
	// that adds none, none that a forced push removed, sometimes no files of
	// a very large commit, and in the event files of workflows never any.
	// A filter of paths must let such a push through, or ask the API.
	Truncated bool
}

// PullRequest is a pull request at the moment of the event.
type PullRequest struct {
	Number  int
	Title   string
	Body    string
	State   string // open, closed
	Draft   bool
	HeadSHA string
	HeadRef string // a branch of HeadRepo
	// HeadRepo is owner/name, "" when it is gone.
	HeadRepo string
	BaseRef  string // a branch of the event's Repo
	BaseSHA  string
	MergeSHA string // "" when not known
	// Fork says that the head is not of this repository, or gone: its author
	// may be anyone.
	Fork bool
	// Author opened it; the commits may be of others.
	Author            User
	AuthorAssociation string // OWNER, MEMBER, COLLABORATOR, CONTRIBUTOR, NONE...
	Labels            []string
	HTMLURL           string
}

// Comment is a comment on an issue, a pull request, or a line of one.
type Comment struct {
	ID                int64
	Body              string // up to MaxBody, which is more than GitHub takes
	Author            User
	AuthorAssociation string
	// AppID is the App through which it was written, 0 for none.
	AppID     int64
	CreatedAt time.Time
	// Edited says that the event is an edit; Action tells of deletion.
	Edited      bool
	IssueNumber int // of the issue or pull request
	OnPull      bool
	HTMLURL     string
}

// MergeGroup is a commit made by a merge queue.
type MergeGroup struct {
	HeadSHA string
	HeadRef string // refs/heads/gh-readonly-queue/...
	BaseSHA string
	BaseRef string
}

// CheckRun is a check run, ours or another App's.
type CheckRun struct {
	ID         int64
	Name       string
	ExternalID string
	HeadSHA    string
	AppID      int64  // 0 when not known
	Status     string // queued, in_progress, completed
	Conclusion string // "" until completed
	// RequestedAction is the identifier of the button that was clicked.
	RequestedAction string
	// Pulls are numbers; none for the commits of forks.
	Pulls   []int
	SuiteID int64 // 0 when not known
}

// CheckSuite is an App's check runs of a commit.
type CheckSuite struct {
	ID         int64
	HeadSHA    string
	HeadBranch string // "" when not known, as for forks
	AppID      int64  // 0 when not known
}

// Dispatch is a run that someone asked for.
type Dispatch struct {
	// Type is the event_type of a repository_dispatch, "" for a workflow_dispatch.
	Type string
	// Ref is the full ref, of the default branch for a repository_dispatch.
	Ref string
	// Inputs are a workflow_dispatch's. true and 5 are the texts "true" and
	// "5", null is "".
	Inputs map[string]string
	// Payload are the texts, numbers and truth values at the top of a
	// repository_dispatch's client_payload; lists and objects are left out.
	Payload map[string]string
}

// WorkflowRun is a run of another workflow.
type WorkflowRun struct {
	ID         int64
	HeadSHA    string
	HeadBranch string // "" when not known
	HeadRepo   string // owner/name, "" when it is gone
	Event      string // what triggered it: push
	Conclusion string // "" until completed
	// Fork says that HeadRepo is not this repository, or gone.
	Fork bool
}

// InstallationChange is a change of where the App is installed. The Repos
// have a FullName, an ID and Private.
type InstallationChange struct {
	// Account is who installed it.
	Account User
	// Repos are those of an installation event; none for some actions.
	Repos []Repo
	// Added and Removed are those of an installation_repositories event.
	Added, Removed []Repo
}
