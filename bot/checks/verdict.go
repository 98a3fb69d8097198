package checks

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/go-github/v60/github"

	"github.com/cromt/cromt/flow"
)

// Verdict is a check run that is about no jobs: of a configuration that is
// wrong, of a commit for which nothing is to run, of a run that waits.
type Verdict struct {
	Repo, SHA string // owner/name; the commit
	Name      string
	// ExternalID tells it from others of the name: posting it again changes
	// the one that there is.
	ExternalID string
	// Conclusion may be flow's, or ActionRequired; "": it is queued.
	Conclusion flow.Conclusion
	Title      string
	// Summary is Markdown: escape in it what strangers have written.
	Summary     string
	Annotations []Annotation
	URL         string
	// Approve and Cancel add a button of that identifier: for the code of a
	// fork, and for a run that waits.
	Approve, Cancel bool
}

// ActionRequired is the conclusion of a check run that asks for a click. No
// run ends so.
const ActionRequired flow.Conclusion = "action_required"

// ActionApprove is the identifier of the button of a Verdict with Approve.
const ActionApprove = "approve"

// Post shows a Verdict. One with more annotations than a request may have
// takes several; at most maxJobAnnotations are shown.
func (c *Client) Post(ctx context.Context, v Verdict) error {
	owner, repo, err := SplitRepo(v.Repo)
	if err != nil {
		return err
	}
	k := v.checkRun()
	left := v.Annotations[:min(len(v.Annotations), maxJobAnnotations)]
	for first := true; first || len(left) > 0; first = false {
		n := min(len(left), requestAnnotations)
		k.annotations, left = left[:n], left[n:]
		if err := c.post(ctx, owner, repo, k, first); err != nil {
			return fmt.Errorf("check run %s of %s at %.12s: %w", v.Name, v.Repo, v.SHA, c.explainCheck(err))
		}
	}
	return nil
}

func (v Verdict) checkRun() checkRun {
	k := checkRun{
		name: within(v.Name, maxCheckName), sha: v.SHA, external: v.ExternalID, url: v.URL,
		status: flow.StatusCompleted, conclusion: v.Conclusion, title: v.Title, summary: v.Summary,
	}
	if v.Conclusion == "" {
		k.status = flow.StatusQueued
	}
	k.actions = []*github.CheckRunAction{} // one that is changed loses its button
	if v.Approve {
		k.actions = []*github.CheckRunAction{{Label: "Approve", Description: "Let this very commit of a fork run", Identifier: ActionApprove}}
	}
	if v.Cancel {
		k.actions = buttons(false, nil)
	}
	return k
}

// post changes the check run with that external_id, or creates it. A create
// whose outcome is not known is looked for before it is repeated. first is
// false for further annotations of what has been posted.
func (c *Client) post(ctx context.Context, owner, repo string, k checkRun, first bool) error {
	for failed := 0; ; failed++ {
		old, err := c.find(ctx, owner, repo, k)
		switch {
		case err != nil:
			return err
		case old != nil && first && sameVerdict(old, k):
			return nil
		case old != nil:
			return c.send(ctx, costWrite, func(ctx context.Context) error { return c.updateCheck(ctx, owner, repo, old.GetID(), k) })
		}
		err = c.send(ctx, costCreate, func(ctx context.Context) error {
			_, err := c.createCheck(ctx, owner, repo, k)
			return err
		})
		if err == nil || refusal(err) || failed == readRetries || ctx.Err() != nil {
			return err
		}
	}
}

// sameVerdict reports whether a check run already says what k does, with all
// of its first annotations.
func sameVerdict(old *github.CheckRun, k checkRun) bool {
	o := old.GetOutput()
	return old.GetStatus() == string(k.status) && old.GetConclusion() == string(k.conclusion) &&
		o.GetTitle() == within(k.title, maxOutputTitle) && o.GetAnnotationsCount() >= len(k.annotations)
}

// find returns the check run of that name and external_id, or nil.
func (c *Client) find(ctx context.Context, owner, repo string, k checkRun) (*github.CheckRun, error) {
	for page, more := 1, true; more; page++ {
		var runs []*github.CheckRun
		err := c.read(ctx, func(ctx context.Context) (err error) {
			runs, more, err = c.checkPage(ctx, owner, repo, k, page)
			return err
		})
		var e *github.ErrorResponse
		if errors.As(err, &e) && e.Response.StatusCode == http.StatusUnprocessableEntity {
			return nil, nil // a commit that GitHub has no checks of
		}
		if err != nil {
			return nil, err
		}
		for _, run := range runs {
			if run.GetExternalID() == k.external {
				return run, nil
			}
		}
	}
	return nil, nil
}
