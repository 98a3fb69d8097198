package checks

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/cromt/cromt/flow"
)

// checkRun is a check run as it is to be posted.
type checkRun struct {
	name, sha, external string
	url                 string
	status              flow.Status
	conclusion          flow.Conclusion
	started, completed  time.Time
	title               string
	summary, text       string
	annotations         []Annotation             // at most requestAnnotations
	actions             []*github.CheckRunAction // empty, but not nil: none, also where there were some
	held                bool                     // left open, since others have not ended
}

// createCheck creates a check run and returns its id.
func (c *Client) createCheck(ctx context.Context, owner, repo string, k checkRun) (int64, error) {
	o := github.CreateCheckRunOptions{
		Name: k.name, HeadSHA: k.sha, ExternalID: &k.external, DetailsURL: textOrNil(k.url),
		Status: github.String(string(k.status)), Output: k.output(), Actions: k.actions,
	}
	if !k.started.IsZero() {
		o.StartedAt = &github.Timestamp{Time: k.started.UTC()}
	}
	o.Conclusion, o.CompletedAt = k.ending()
	run, _, err := c.api.Checks.CreateCheckRun(ctx, owner, repo, o)
	return run.GetID(), c.explainCheck(err)
}

// explainCheck has the reporter's words about an error be for who can act.
func (c *Client) explainCheck(err error) error {
	if err == nil || !c.app {
		return err
	}
	return c.Explain(err, needChecks)
}

// updateCheck changes a check run; its annotations are added to those it has.
func (c *Client) updateCheck(ctx context.Context, owner, repo string, id int64, k checkRun) error {
	o := github.UpdateCheckRunOptions{
		Name: k.name, ExternalID: &k.external, DetailsURL: textOrNil(k.url),
		Status: github.String(string(k.status)), Output: k.output(), Actions: k.actions,
	}
	o.Conclusion, o.CompletedAt = k.ending()
	if k.actions == nil || len(k.actions) > 0 {
		_, _, err := c.api.Checks.UpdateCheckRun(ctx, owner, repo, id, o)
		return c.explainCheck(err)
	}
	// go-github leaves an empty list out, and GitHub then leaves the buttons.
	req, err := c.api.NewRequest(http.MethodPatch, fmt.Sprintf("repos/%s/%s/check-runs/%d", owner, repo, id), struct {
		github.UpdateCheckRunOptions
		Actions []*github.CheckRunAction `json:"actions"`
	}{o, k.actions})
	if err != nil {
		return err
	}
	_, err = c.api.Do(ctx, req, nil)
	return c.explainCheck(err)
}

// checkPage returns a page, from 1, of the check runs of a commit that have a
// name, and whether there is another one.
func (c *Client) checkPage(ctx context.Context, owner, repo string, k checkRun, page int) ([]*github.CheckRun, bool, error) {
	list, resp, err := c.api.Checks.ListCheckRunsForRef(ctx, owner, repo, k.sha, &github.ListCheckRunsOptions{
		CheckName: &k.name, Filter: github.String("all"), ListOptions: github.ListOptions{Page: page, PerPage: pageSize},
	})
	if err != nil {
		return nil, false, c.explainCheck(err)
	}
	return list.CheckRuns, resp.NextPage != 0 && page*pageSize < maxSameName, nil
}

// ending is what a check run has only when it is completed; GitHub wants both
// or neither. It may not end before it began, as hosts' clocks could have it.
func (k checkRun) ending() (*string, *github.Timestamp) {
	if k.status != flow.StatusCompleted {
		return nil, nil
	}
	at := k.completed
	if at.IsZero() {
		at = time.Now()
	}
	if at.Before(k.started) {
		at = k.started
	}
	return github.String(string(k.conclusion)), &github.Timestamp{Time: at.UTC()}
}

// output is within GitHub's limits whatever the check run is to hold: what is
// refused would leave it pending for ever.
func (k checkRun) output() *github.CheckRunOutput {
	o := &github.CheckRunOutput{
		Title:   github.String(within(k.title, maxOutputTitle)),
		Summary: github.String(within(k.summary, MaxOutput)),
		Text:    textOrNil(within(k.text, MaxOutput)),
	}
	for _, a := range k.annotations {
		o.Annotations = append(o.Annotations, a.wire())
	}
	return o
}

// within is s in at most limit bytes of JSON's UTF-8: encoded, a byte that is
// none becomes a character of three.
func within(s string, limit int) string {
	return clipBytes(strings.ToValidUTF8(s, "\ufffd"), limit)
}

func (a Annotation) wire() *github.CheckRunAnnotation {
	a.Message, a.Title = within(a.Message, maxAnnotationMessage), within(a.Title, maxAnnotationTitle)
	w := &github.CheckRunAnnotation{
		Path: &a.Path, StartLine: &a.StartLine, EndLine: &a.EndLine,
		AnnotationLevel: github.String(string(a.Level)), Message: &a.Message, Title: textOrNil(a.Title),
	}
	if a.StartLine == a.EndLine && a.StartColumn > 0 {
		w.StartColumn = &a.StartColumn
		w.EndColumn = github.Int(max(a.StartColumn, a.EndColumn))
	}
	return w
}

func textOrNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
