package event

import (
	"encoding/json"
	"fmt"
	"strings"
)

// common are the fields that most payloads have.
type common struct {
	Action       string            `json:"action"`
	Repository   *wireRepo         `json:"repository"`
	Sender       *wireUser         `json:"sender"`
	Installation *wireInstallation `json:"installation"`
}

type wireRepo struct {
	FullName      string `json:"full_name"`
	ID            int64  `json:"id"`
	Private       bool   `json:"private"`
	Fork          bool   `json:"fork"`
	DefaultBranch string `json:"default_branch"`
	CloneURL      string `json:"clone_url"`
	HTMLURL       string `json:"html_url"`
}

type wireUser struct {
	Login string `json:"login"`
	ID    int64  `json:"id"`
	Type  string `json:"type"`
}

type wireInstallation struct {
	ID      int64     `json:"id"`
	Account *wireUser `json:"account"` // in events about installations only
}

// Parse reads the payload of the event called name: the header X-GitHub-Event
// of a webhook, GITHUB_EVENT_NAME in a workflow. An event that it does not
// know is no error; of it the common fields are filled if they have the known
// form. It is an error if the payload is larger than MaxPayload, is not JSON,
// or is not of that event: the name is not signed, so a replay may change it.
func Parse(name string, payload []byte) (Event, error) {
	if name == "" || len(name) > MaxName || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return Event{}, fmt.Errorf("read payload: %.40q is not the name of an event", name)
	}
	if len(payload) > MaxPayload {
		return Event{}, fmt.Errorf("read %s payload: larger than %d MiB", name, MaxPayload>>20)
	}
	e := Event{Name: name}
	c := &checker{name: name}
	e.read(c, payload)
	if c.err != nil {
		return Event{}, c.err
	}
	return e, nil
}

func (e *Event) read(c *checker, payload []byte) {
	switch e.Name {
	case "push":
		e.readPush(c, payload)
	case "pull_request", "pull_request_target":
		e.readPullRequest(c, payload)
	case "issue_comment":
		e.readIssueComment(c, payload)
	case "pull_request_review_comment":
		e.readReviewComment(c, payload)
	case "merge_group":
		e.readMergeGroup(c, payload)
	case "check_run":
		e.readCheckRun(c, payload)
	case "check_suite":
		e.readCheckSuite(c, payload)
	case "workflow_dispatch":
		e.readWorkflowDispatch(c, payload)
	case "repository_dispatch":
		e.readRepositoryDispatch(c, payload)
	case "schedule":
		e.readSchedule(c, payload)
	case "workflow_run":
		e.readWorkflowRun(c, payload)
	case "installation":
		e.readInstallation(c, payload)
	case "installation_repositories":
		e.readInstallationRepositories(c, payload)
	default:
		e.readUnknown(c, payload)
	}
}

// readUnknown fills the common fields that are as they are elsewhere.
func (e *Event) readUnknown(c *checker, payload []byte) {
	var object map[string]json.RawMessage
	if !c.decode(payload, &object) {
		return
	}
	var w common
	try := &checker{name: c.name}
	if seen := (Event{Name: e.Name}); try.decode(payload, &w) {
		if seen.readCommon(try, w); try.err == nil {
			*e = seen
		}
	}
}

// readCommon takes what may be missing; the events say what they need.
func (e *Event) readCommon(c *checker, w common) {
	e.Action = c.line("action", w.Action, MaxName)
	e.Sender = c.user("sender", w.Sender)
	if w.Repository != nil {
		e.Repo = c.repo("repository", w.Repository)
	}
	if w.Installation != nil {
		e.Installation = number(c, "installation.id", w.Installation.ID)
	}
}

// start takes the common fields of an event of a repository; kind says what
// it is, and the action must be there if the event has actions.
func (e *Event) start(c *checker, kind Kind, w common) {
	e.Kind = kind
	e.readCommon(c, w)
	c.need("repository", w.Repository != nil)
	switch e.Name {
	case "push", "schedule", "workflow_dispatch":
	default:
		c.need("action", w.Action != "")
	}
}

// need reports a field that is not there.
func (c *checker) need(field string, there bool) {
	if !there {
		c.fail(field, "is missing")
	}
}

// foreign reports a field that another event has, which otherwise has all
// that this one needs.
func (c *checker) foreign(field string, there bool) {
	if there {
		c.fail(field, "is of another event")
	}
}

// isFork says whether the head is not certainly the repository base itself.
func isFork(base Repo, head *wireRepo) bool {
	return head == nil || head.ID != base.ID || !strings.EqualFold(head.FullName, base.FullName)
}
