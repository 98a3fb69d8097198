package githubtest

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Comment is a comment on a pull request.
type Comment struct {
	ID        int64
	User      string
	Body      string
	Created   time.Time
	Updated   time.Time // Created, until it is changed
	Reactions []Reaction
}

// Reaction is what a user showed on a comment.
type Reaction struct {
	ID      int64
	User    string
	Content string // eyes, rocket, confused, +1, …
	created time.Time
}

type comment struct {
	Comment
	number int
}

// AddComment adds a comment of a user and returns its id.
func (r *Repo) AddComment(number int, user, body string) int64 {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.addComment(number, user, body).ID
}

func (r *Repo) addComment(number int, user, body string) *comment {
	now := time.Now()
	m := &comment{Comment{ID: r.s.nextID(), User: user, Body: body, Created: now, Updated: now}, number}
	r.comments = append(r.comments, m)
	return m
}

// Comments are the comments of a pull request in the order of their creation.
func (r *Repo) Comments(number int) []Comment {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	var out []Comment
	for _, m := range r.comments {
		if m.number == number {
			c := m.Comment
			c.Reactions = slices.Clone(m.Reactions)
			out = append(out, c)
		}
	}
	return out
}

func (c *call) listComments() *answer {
	number := c.number("issue_number")
	if c.repo.pulls[number] == nil {
		return notFound()
	}
	since, _ := time.Parse(time.RFC3339, c.query("since")) // checked by the description
	var list []*comment
	for _, m := range c.repo.comments {
		if m.number == number && !m.Updated.Before(since) {
			list = append(list, m)
		}
	}
	list, header := page(c, list)
	a := ok(mapped(list, c.comment))
	a.header = header
	return a
}

func (c *call) createComment() *answer {
	number := c.number("issue_number")
	if c.repo.pulls[number] == nil {
		return notFound()
	}
	body, wrong := c.commentBody()
	if wrong != nil {
		return wrong
	}
	return created(c.comment(c.repo.addComment(number, c.tok.User, body)))
}

// commentBody is the text of a request that writes a comment.
func (c *call) commentBody() (string, *answer) {
	var b struct {
		Body string `json:"body"`
	}
	if wrong := c.decode(&b); wrong != nil {
		return "", wrong
	}
	if strings.TrimSpace(b.Body) == "" {
		return "", unprocessable("body can't be blank")
	}
	if n := utf8.RuneCountInString(b.Body); n > maxCommentRunes {
		return "", unprocessable("body is too long: %d characters, at most %d", n, maxCommentRunes)
	}
	return b.Body, nil
}

func (c *call) findComment() *comment {
	i := slices.IndexFunc(c.repo.comments, func(m *comment) bool { return m.ID == c.id("comment_id") })
	if i < 0 {
		return nil
	}
	return c.repo.comments[i]
}

func (c *call) getComment() *answer {
	m := c.findComment()
	if m == nil {
		return notFound()
	}
	return ok(c.comment(m))
}

func (c *call) updateComment() *answer {
	m := c.findComment()
	if m == nil {
		return notFound()
	}
	if m.User != c.tok.User {
		return refusal(http.StatusForbidden, "Resource not accessible by integration")
	}
	body, wrong := c.commentBody()
	if wrong != nil {
		return wrong
	}
	m.Body, m.Updated = body, c.now
	return ok(c.comment(m))
}

func (c *call) deleteComment() *answer {
	m := c.findComment()
	if m == nil {
		return notFound()
	}
	if m.User != c.tok.User {
		return refusal(http.StatusForbidden, "Resource not accessible by integration")
	}
	c.repo.comments = slices.DeleteFunc(c.repo.comments, func(o *comment) bool { return o == m })
	return &answer{status: http.StatusNoContent}
}

// comment is a comment as JSON.
func (c *call) comment(m *comment) object {
	id, issue := strconv.FormatInt(m.ID, 10), "/issues/"+itoa(m.number)
	o := object{
		"id": m.ID, "user": c.s.user(m.User), "body": m.Body, "author_association": "NONE",
		"url":        c.url(c.repo, "/issues/comments/"+id),
		"html_url":   c.repo.web("/pull/" + itoa(m.number) + "#issuecomment-" + id),
		"issue_url":  c.url(c.repo, issue),
		"created_at": stamp(m.Created), "updated_at": stamp(m.Updated),
	}
	if strings.HasSuffix(m.User, "[bot]") {
		o["performed_via_github_app"] = c.app(m.User)
	}
	return c.s.api.fill("issue-comment", o)
}

func (c *call) createReaction() *answer {
	m := c.findComment()
	if m == nil {
		return notFound()
	}
	var b struct {
		Content string `json:"content"`
	}
	if wrong := c.decode(&b); wrong != nil {
		return wrong
	}
	for _, r := range m.Reactions {
		if r.User == c.tok.User && r.Content == b.Content {
			return ok(c.reaction(r))
		}
	}
	r := Reaction{ID: c.s.nextID(), User: c.tok.User, Content: b.Content, created: c.now}
	m.Reactions = append(m.Reactions, r)
	return created(c.reaction(r))
}

func (c *call) reaction(r Reaction) object {
	return c.s.api.fill("reaction", object{"id": r.ID, "user": c.s.user(r.User), "content": r.Content, "created_at": stamp(r.created)})
}

func (c *call) listReactions() *answer {
	m := c.findComment()
	if m == nil {
		return notFound()
	}
	content := c.query("content")
	list := slices.DeleteFunc(slices.Clone(m.Reactions), func(r Reaction) bool { return content != "" && r.Content != content })
	list, header := page(c, list)
	a := ok(mapped(list, c.reaction))
	a.header = header
	return a
}

func (c *call) deleteReaction() *answer {
	m := c.findComment()
	if m == nil {
		return notFound()
	}
	i := slices.IndexFunc(m.Reactions, func(r Reaction) bool { return r.ID == c.id("reaction_id") })
	if i < 0 {
		return notFound()
	}
	if m.Reactions[i].User != c.tok.User {
		return refusal(http.StatusForbidden, "Resource not accessible by integration")
	}
	m.Reactions = slices.Delete(m.Reactions, i, i+1)
	return &answer{status: http.StatusNoContent}
}
