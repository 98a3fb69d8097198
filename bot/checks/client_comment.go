package checks

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/go-github/v60/github"
)

// StickyComment keeps one comment on a pull request: the one by the client's
// own account that begins with marker, an HTML comment. It is written only if
// body, which need not have the marker, says something else than it does.
func (c *Client) StickyComment(ctx context.Context, repo string, number int, marker, body string) error {
	_, err := c.Stick(ctx, repo, number, marker, body)
	return err
}

// Stick is StickyComment, and returns the comment's id.
func (c *Client) Stick(ctx context.Context, repo string, number int, marker, body string) (id int64, err error) {
	owner, name, err := SplitRepo(repo)
	if err != nil {
		return 0, err
	}
	body = CommentBody(marker, body)
	// A create whose outcome is not known is looked for before it is repeated.
	for failed := 0; ; failed++ {
		id, err = c.stick(ctx, owner, name, number, marker, body)
		if !errors.Is(err, errUnknown) || failed == readRetries || ctx.Err() != nil {
			break
		}
	}
	switch {
	case errors.Is(err, errTooMany):
		return 0, fmt.Errorf("comment on %s#%d: %w", repo, number, err)
	case err != nil:
		return 0, fmt.Errorf("comment on %s#%d: %w", repo, number, c.Explain(err, needComments))
	}
	return id, nil
}

// CommentBody is body with its marker, in what a comment holds.
func CommentBody(marker, body string) string {
	if !strings.HasPrefix(body, marker) {
		body = marker + "\n" + body
	}
	return clipBytes(body, MaxComment)
}

// errUnknown is wrapped by the error of a create that may have happened.
var errUnknown = errors.New("outcome unknown")

func (c *Client) stick(ctx context.Context, owner, name string, number int, marker, body string) (int64, error) {
	login := c.login
	if c.loginOf != nil {
		var err error
		if login, err = c.loginOf(ctx); err != nil {
			return 0, err
		}
	}
	old, err := c.findComment(ctx, owner, name, number, login, marker)
	if err != nil {
		return 0, err
	}
	if old != nil {
		if strings.TrimSpace(old.GetBody()) == strings.TrimSpace(body) {
			return old.GetID(), nil
		}
		return old.GetID(), c.send(ctx, costWrite, func(ctx context.Context) error {
			_, _, err := c.api.Issues.EditComment(ctx, owner, name, old.GetID(), &github.IssueComment{Body: &body})
			return err
		})
	}
	var made *github.IssueComment
	err = c.send(ctx, costCreate, func(ctx context.Context) (err error) {
		made, _, err = c.api.Issues.CreateComment(ctx, owner, name, number, &github.IssueComment{Body: &body})
		return err
	})
	if err != nil && !refusal(err) {
		return 0, fmt.Errorf("%w: %w", errUnknown, err)
	}
	if err != nil {
		return 0, err
	}
	return c.joinFirst(ctx, owner, name, number, login, marker, made)
}

// joinFirst makes one of two comments where another process had none before it
// either, and made one at the same moment: the first of them stays, and says
// what the last one does.
func (c *Client) joinFirst(ctx context.Context, owner, name string, number int, login, marker string, made *github.IssueComment) (int64, error) {
	first, err := c.findComment(ctx, owner, name, number, login, marker)
	if err != nil || first == nil || first.GetID() >= made.GetID() {
		return made.GetID(), nil //nolint:nilerr // it is said; that it may be there twice is no reason to say it again
	}
	err = c.send(ctx, costWrite, func(ctx context.Context) error {
		_, _, err := c.api.Issues.EditComment(ctx, owner, name, first.GetID(), &github.IssueComment{Body: made.Body})
		return err
	})
	if err != nil {
		return made.GetID(), nil //nolint:nilerr // as above
	}
	err = c.send(ctx, costWrite, func(ctx context.Context) error {
		_, err := c.api.Issues.DeleteComment(ctx, owner, name, made.GetID())
		return err
	})
	return first.GetID(), err
}

// findComment returns the comment by login that begins with marker, or nil.
func (c *Client) findComment(ctx context.Context, owner, name string, number int, login, marker string) (*github.IssueComment, error) {
	o := &github.IssueListCommentsOptions{ListOptions: github.ListOptions{PerPage: pageSize, Page: 1}}
	for seen := 0; seen < maxComments; seen += pageSize {
		var page []*github.IssueComment
		var resp *github.Response
		err := c.read(ctx, func(ctx context.Context) (err error) {
			page, resp, err = c.api.Issues.ListComments(ctx, owner, name, number, o)
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, m := range page {
			if strings.EqualFold(m.GetUser().GetLogin(), login) && strings.HasPrefix(m.GetBody(), marker) {
				return m, nil
			}
		}
		if resp.NextPage == 0 {
			return nil, nil
		}
		o.Page = resp.NextPage
	}
	return nil, errTooMany
}

var errTooMany = fmt.Errorf("our own is not among the first %d comments", maxComments)
