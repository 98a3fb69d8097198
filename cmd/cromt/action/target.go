package action

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cromt/cromt/bot/checks"
	"github.com/cromt/cromt/bot/comment"
	"github.com/cromt/cromt/bot/event"
)

// Target is what a workflow's event makes the step run.
type Target struct {
	// Skip says why nothing is to run; "" when something is.
	Skip string
	SHA  string // the commit that runs
	// CheckSHA is the commit that check runs are shown at.
	CheckSHA string
	// Fork is the repository whose code it is when that is not the
	// workflow's own; "a deleted fork" when it is gone.
	Fork string
	// OwnOnly says that the event came from a fork to a workflow with secrets,
	// so that no other repository that it may have checked out must run.
	OwnOnly bool
	// Pull is the number of the pull request; 0 when there is none.
	Pull int
	// Projects of the event go before those of the inputs.
	Projects []string
	// Vars of the event go before those of the inputs.
	Vars map[string]string
	// FailFast and Timeout, when not zero, go before those of the inputs.
	FailFast bool
	Timeout  time.Duration
	// LooseVars says that those of Vars that the flow does not have are left
	// out, rather than a mistake.
	LooseVars bool
}

// GitHub answers what an event does not tell.
type GitHub interface {
	PullRequest(ctx context.Context, repo string, number int) (checks.Pull, error)
	Permission(ctx context.Context, repo, user string) (string, error)
}

// Decide says what the event of a step makes it run. Code that the workflow's
// privileges are not meant for is an error that says why.
func Decide(ctx context.Context, step Step, in Inputs, gh GitHub) (Target, error) {
	payload, ev, err := step.event()
	if err != nil {
		return Target{}, err
	}
	t := Target{SHA: step.SHA, CheckSHA: step.SHA}
	switch {
	case ev.PullRequest != nil:
		return decidePull(step, in, ev.PullRequest)
	case ev.Name == "issue_comment" && ev.Comment != nil:
		return decideComment(ctx, step, ev.Comment, ev.Action, gh)
	case strings.HasPrefix(step.Ref, "refs/pull/"): // reviews: the commit is the pull request's
		ev, err := event.Parse("pull_request", payload)
		if err != nil {
			return Target{}, fmt.Errorf("event %s is for a pull request that its file does not tell of: %w", step.EventName, err)
		}
		return decidePull(step, in, ev.PullRequest)
	case ev.Push != nil && ev.Push.Deleted:
		t.Skip = ev.Push.Ref + " was deleted"
	case ev.MergeGroup != nil:
		t.SHA, t.CheckSHA = ev.MergeGroup.HeadSHA, ev.MergeGroup.HeadSHA
	case ev.WorkflowRun != nil:
		t.OwnOnly = ev.WorkflowRun.Fork
	case ev.Dispatch != nil && ev.Name == "workflow_dispatch":
		t.Vars, t.LooseVars = ev.Dispatch.Inputs, true
	}
	return t, nil
}

// decidePull takes the head of a pull request, whose merge commit GitHub makes
// anew whenever the base moves. A fork's code gets no more than its own
// workflow, with neither secrets nor write access, gives it.
func decidePull(step Step, in Inputs, pr *event.PullRequest) (Target, error) {
	t := Target{SHA: pr.HeadSHA, CheckSHA: pr.HeadSHA, Pull: pr.Number}
	if pr.Fork {
		t.Fork = forkName(pr.HeadRepo)
		if !slices.Contains([]string{"pull_request", "pull_request_review", "pull_request_review_comment"}, step.EventName) {
			return Target{}, refusal(step.EventName, t.Fork)
		}
	}
	if in.Merge {
		if step.Ref != fmt.Sprintf("refs/pull/%d/merge", pr.Number) {
			return Target{}, fmt.Errorf("input ref: a workflow on %s has no merge commit; leave ref out", step.EventName)
		}
		t.SHA = step.SHA
	}
	return t, nil
}

func forkName(repo string) string {
	if repo == "" {
		return "a deleted fork"
	}
	return repo
}

// refusal is the error for a fork's code where it must not run: what starts
// there has the workflow's secrets.
func refusal(eventName, fork string) error {
	return fmt.Errorf("event %s gives this workflow secrets and write access, and the code is that of the fork %s, so nothing of it runs; "+
		"use on: pull_request, or the App, which asks for an approval", eventName, fork)
}

// decideComment runs what a comment on a pull request asks for, if who wrote
// it may push.
func decideComment(ctx context.Context, step Step, c *event.Comment, what string, gh GitHub) (Target, error) {
	cmd, skip, err := command(c, what)
	if err != nil || skip != "" {
		return Target{Skip: skip}, err
	}
	if gh == nil {
		return Target{}, errors.New("a comment does not tell its pull request's commit; give the input github-token")
	}
	permission, err := gh.Permission(ctx, step.Repository, c.Author.Login)
	if err != nil {
		return Target{}, fmt.Errorf("look up permission of %s: %w", c.Author.Login, err)
	}
	if permission != "admin" && permission != "write" {
		return Target{}, fmt.Errorf("%s has no write access to %s, and so may not run it", c.Author.Login, step.Repository)
	}
	pr, err := gh.PullRequest(ctx, step.Repository, c.IssueNumber)
	switch {
	case err != nil:
		return Target{}, fmt.Errorf("look up pull request %d: %w", c.IssueNumber, err)
	case pr.Fork:
		return Target{}, refusal(step.EventName, forkName(pr.HeadRepo))
	case !pr.Open:
		return Target{Skip: fmt.Sprintf("pull request %d is closed", c.IssueNumber)}, nil
	}
	t := Target{SHA: pr.HeadSHA, CheckSHA: pr.HeadSHA, Pull: c.IssueNumber, Projects: cmd.Args, Vars: map[string]string{}}
	for _, v := range cmd.Vars {
		t.Vars[v.Name] = v.Value
	}
	t.FailFast = cmd.Flags["--fail-fast"] != ""
	if d := cmd.Flags["--timeout"]; d != "" {
		t.Timeout, err = time.ParseDuration(d) // Parse has seen to its form
	}
	return t, err
}

// command returns the command of a comment, or why it has none.
func command(c *event.Comment, what string) (cmd comment.Command, skip string, err error) {
	switch {
	case !c.OnPull:
		return cmd, "the comment is not on a pull request", nil
	case what != "created":
		return cmd, "only a new comment is a command", nil
	case c.Author.Bot:
		return cmd, "bots give no commands", nil
	}
	cmds, problems := comment.Parse(c.Body)
	switch {
	case len(problems) > 0:
		return cmd, "", problems[0]
	case len(cmds) == 0:
		return cmd, "the comment has no line that begins with /cromt", nil
	case len(cmds) > 1:
		return cmd, "", fmt.Errorf("the comment has %d commands; a workflow's step runs one", len(cmds))
	case cmds[0].Verb != "run":
		return cmd, fmt.Sprintf("/cromt %s needs the App; a workflow's step knows only run", cmds[0].Verb), nil
	}
	return cmds[0], "", nil
}
