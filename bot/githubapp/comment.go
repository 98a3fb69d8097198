package githubapp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/google/go-github/v60/github"

	"github.com/cromt/cromt/bot/checks"
)

// Reactions that GitHub knows.
var reactions = []string{"+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes"}

// React shows a reaction on a comment: +1, -1, laugh, confused, heart, hooray,
// rocket or eyes. The same one twice is one. ErrGone: the comment was deleted.
func (r *Repo) React(ctx context.Context, commentID int64, content string) error {
	if !slices.Contains(reactions, content) {
		return fmt.Errorf("reaction %.20q: GitHub has none of this name", content)
	}
	// GitHub answers with the one that is there, so that it may be repeated,
	// and yet it counts as something created.
	var err error
	for range archiveAttempts {
		err = r.do(ctx, checks.Create, fmt.Sprintf("reaction to comment %d", commentID), needComments, func(ctx context.Context) error {
			_, _, err := r.client.API().Reactions.CreateIssueCommentReaction(ctx, r.owner, r.name, commentID, content)
			return err
		})
		if err == nil || checks.Refused(err) || ctx.Err() != nil {
			break
		}
	}
	return err
}

// Reply keeps one comment on a pull request, as checks.Client.StickyComment
// does, and returns its id.
func (r *Repo) Reply(ctx context.Context, number int, marker, body string) (int64, error) {
	if r.err != nil {
		return 0, r.err
	}
	if _, _, err := r.tokens.get(ctx, 0); err != nil {
		return 0, fmt.Errorf("comment on %s#%d: %w", r.full, number, explain(r.client, err, needComments))
	}
	id, err := r.client.Stick(ctx, r.full, number, marker, body)
	if err != nil {
		return 0, classified(err)
	}
	return id, nil
}

// EditReply changes a comment that Reply returned the id of, without looking
// for it. ErrNotFound: it was deleted.
func (r *Repo) EditReply(ctx context.Context, id int64, marker, body string) error {
	body = checks.CommentBody(marker, body)
	err := r.do(ctx, checks.Write, fmt.Sprintf("comment %d", id), needComments, func(ctx context.Context) error {
		_, _, err := r.client.API().Issues.EditComment(ctx, r.owner, r.name, id, &github.IssueComment{Body: &body})
		return err
	})
	if checks.StatusOf(err) == http.StatusNotFound && !errors.Is(err, ErrNotFound) {
		return told{err, ErrNotFound}
	}
	return err
}
