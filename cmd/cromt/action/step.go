package action

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/cromt/cromt/bot/event"
)

// Step is the workflow's step as the runner describes it in the environment:
// https://docs.github.com/actions/reference/workflows-and-actions/variables.
type Step struct {
	EventName  string
	EventPath  string
	SHA        string // the commit that the workflow runs for
	Ref        string // refs/heads/main, refs/pull/1/merge
	Repository string // owner/name
	ServerURL  string // https://github.com, or that of an Enterprise server
	APIURL     string
	RunID      string
	RunAttempt string
	Workspace  string // folder of the checkout
	Temp       string // folder that the runner empties after the job
}

// ReadStep reads the step's description.
func ReadStep(getenv func(string) string) (Step, error) {
	s := Step{
		EventName:  getenv("GITHUB_EVENT_NAME"),
		EventPath:  getenv("GITHUB_EVENT_PATH"),
		SHA:        getenv("GITHUB_SHA"),
		Ref:        getenv("GITHUB_REF"),
		Repository: getenv("GITHUB_REPOSITORY"),
		ServerURL:  strings.TrimRight(getenv("GITHUB_SERVER_URL"), "/"),
		APIURL:     getenv("GITHUB_API_URL"),
		RunID:      getenv("GITHUB_RUN_ID"),
		RunAttempt: getenv("GITHUB_RUN_ATTEMPT"),
		Workspace:  getenv("GITHUB_WORKSPACE"),
		Temp:       getenv("RUNNER_TEMP"),
	}
	for _, v := range []struct{ name, value string }{
		{"GITHUB_EVENT_NAME", s.EventName}, {"GITHUB_SHA", s.SHA}, {"GITHUB_REPOSITORY", s.Repository}, {"GITHUB_SERVER_URL", s.ServerURL},
	} {
		if v.value == "" {
			return s, fmt.Errorf("%s is not set: cromt action runs in a step of a GitHub workflow; elsewhere, use cromt run", v.name)
		}
	}
	return s, nil
}

// RepositoryURL is where the repository can be cloned.
func (s *Step) RepositoryURL() string { return s.ServerURL + "/" + s.Repository }

// RunURL is the page of the workflow's run, on which the step's summary is;
// "" when it is not known.
func (s *Step) RunURL() string {
	if s.RunID == "" {
		return ""
	}
	url := s.RepositoryURL() + "/actions/runs/" + s.RunID
	if s.RunAttempt != "" {
		url += "/attempts/" + s.RunAttempt
	}
	return url
}

// event reads the event file, and what of it matters.
func (s *Step) event() (payload []byte, ev event.Event, err error) {
	if s.EventPath == "" {
		return nil, event.Event{Name: s.EventName}, nil
	}
	f, err := os.Open(s.EventPath)
	if err != nil {
		return nil, ev, fmt.Errorf("event file: %w", err)
	}
	defer f.Close()
	payload, err = io.ReadAll(io.LimitReader(f, maxEvent+1))
	if err == nil && len(payload) > maxEvent {
		err = errors.New("it is too large")
	}
	if err != nil {
		return nil, ev, fmt.Errorf("event file %s: %w", s.EventPath, err)
	}
	if strings.TrimSpace(string(payload)) == "{}" && slices.Contains([]string{"push", "schedule", "workflow_dispatch"}, s.EventName) {
		return payload, event.Event{Name: s.EventName}, nil // of act, which has no event to tell of
	}
	ev, err = event.Parse(s.EventName, payload)
	return payload, ev, err
}
