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
	owner, name, err := splitRepo(repo)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(body, marker) {
		body = marker + "\n" + body
	}
	body = clipBytes(body, MaxComment)
	// A create whose outcome is not known is looked for before it is repeated.
	for failed := 0; ; failed++ {
		err = c.stick(ctx, owner, name, number, marker, body)
		if !errors.Is(err, errUnknown) || failed == readRetries || ctx.Err() != nil {
			break
		}
	}
	switch {
	case errors.Is(err, errTooMany):
		return fmt.Errorf("comment on %s#%d: %w", repo, number, err)
	case err != nil:
		return fmt.Errorf("comment on %s#%d: %w", repo, number, explain(err, needComments))
	}
	return nil
}

// errUnknown is wrapped by the error of a create that may have happened.
var errUnknown = errors.New("outcome unknown")

func (c *Client) stick(ctx context.Context, owner, name string, number int, marker, body string) error {
	old, err := c.findComment(ctx, owner, name, number, marker)
	if err != nil {
		return err
	}
	if old != nil {
		if strings.TrimSpace(old.GetBody()) == strings.TrimSpace(body) {
			return nil
		}
		err = c.send(ctx, costWrite, func(ctx context.Context) error {
			_, _, err := c.api.Issues.EditComment(ctx, owner, name, old.GetID(), &github.IssueComment{Body: &body})
			return err
		})
		return err
	}
	err = c.send(ctx, costCreate, func(ctx context.Context) error {
		_, _, err := c.api.Issues.CreateComment(ctx, owner, name, number, &github.IssueComment{Body: &body})
		return err
	})
	if err != nil && !refusal(err) {
		return fmt.Errorf("%w: %w", errUnknown, err)
	}
	return err
}

// findComment returns our comment, or nil.
func (c *Client) findComment(ctx context.Context, owner, name string, number int, marker string) (*github.IssueComment, error) {
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
			if strings.EqualFold(m.GetUser().GetLogin(), c.login) && strings.HasPrefix(m.GetBody(), marker) {
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
