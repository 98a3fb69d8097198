package githubtest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-github/v60/github"

	"github.com/cromt/cromt/bot/githubtest"
)

func TestStickyComment(t *testing.T) {
	s, r, token := world(t)
	c := client(s, token)
	got, _, err := c.Issues.CreateComment(t.Context(), "octo", "app", 7, &github.IssueComment{Body: github.String("first")})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Issues.EditComment(t.Context(), "octo", "app", got.GetID(), &github.IssueComment{Body: github.String("second")}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second changes nothing
		if _, _, err := c.Reactions.CreateIssueCommentReaction(t.Context(), "octo", "app", got.GetID(), "eyes"); err != nil {
			t.Fatal(err)
		}
	}
	list := r.Comments(7)
	if len(list) != 1 || list[0].Body != "second" || list[0].User != "cromt[bot]" || len(list[0].Reactions) != 1 || list[0].Reactions[0].Content != "eyes" {
		t.Fatalf("comments %+v", list)
	}
	reactions, _, err := c.Reactions.ListIssueCommentReactions(t.Context(), "octo", "app", got.GetID(), nil)
	if err != nil || len(reactions) != 1 {
		t.Errorf("reactions %v, %v", reactions, err)
	}
	if _, err := c.Reactions.DeleteIssueCommentReaction(t.Context(), "octo", "app", got.GetID(), reactions[0].GetID()); err != nil {
		t.Error(err)
	}
	if again, _, err := c.Issues.GetComment(t.Context(), "octo", "app", got.GetID()); err != nil || again.GetBody() != "second" || again.GetUser().GetType() != "Bot" {
		t.Errorf("comment %v, %v", again, err)
	}
	if _, err := c.Issues.DeleteComment(t.Context(), "octo", "app", got.GetID()); err != nil || len(r.Comments(7)) != 0 {
		t.Errorf("deleted: %v, left %v", err, r.Comments(7))
	}
}

func TestCommentPages(t *testing.T) {
	s, r, token := world(t)
	for i := range 7 {
		r.AddComment(7, "someone", fmt.Sprint(i))
	}
	var bodies []string
	opts := &github.IssueListCommentsOptions{ListOptions: github.ListOptions{PerPage: 3}}
	for {
		list, res, err := client(s, token).Issues.ListComments(t.Context(), "octo", "app", 7, opts)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range list {
			bodies = append(bodies, m.GetBody())
		}
		if res.NextPage == 0 {
			break
		}
		opts.Page = res.NextPage
	}
	if got := strings.Join(bodies, ""); got != "0123456" {
		t.Errorf("comments %s", got)
	}
	if n := len(s.Requests()); n != 3 {
		t.Errorf("%d pages, want 3", n)
	}
}

func TestCommentRules(t *testing.T) {
	const path = "/repos/octo/app/issues/7/comments"
	for name, tc := range map[string]struct {
		method, path, body string
		status             int
		want               string
	}{
		"full":             {"POST", path, `{"body":"` + strings.Repeat("é", 65_536) + `"}`, 201, ""},
		"too long":         {"POST", path, `{"body":"` + strings.Repeat("é", 65_537) + `"}`, 422, "too long"},
		"blank":            {"POST", path, `{"body":" "}`, 422, "blank"},
		"no body":          {"POST", path, "", 422, "value is required but missing"},
		"null":             {"POST", path, "null", 422, "value is required but missing"},
		"not JSON":         {"POST", path, `{"body":`, 400, "failed to decode"},
		"a number":         {"POST", path, `{"body":1}`, 422, "/body"},
		"unknown reaction": {"POST", "/repos/octo/app/issues/comments/1/reactions", `{"content":"tada"}`, 422, "/content"},
		"no such pull":     {"POST", "/repos/octo/app/issues/8/comments", `{"body":"x"}`, 404, ""},
		"no such comment":  {"PATCH", "/repos/octo/app/issues/comments/999", `{"body":"x"}`, 404, ""},
		"large page":       {"GET", path + "?per_page=101", "", 422, "per_page 101"},
		"unknown query":    {"GET", path + "?sort=created", "", 422, `"sort" is not described`},
		"bad since":        {"GET", path + "?since=today", "", 422, "since"},
		"not a number":     {"GET", "/repos/octo/app/issues/x/comments", "", 422, "issue_number"},
		"not played":       {"GET", "/repos/octo/app/labels", "", 501, "not played: issues/list-labels-for-repo"},
		"not described":    {"GET", "/repos/octo/app/nothing", "", 404, "not described"},
		"not that way":     {"PUT", path, "", 404, "not described"},
	} {
		t.Run(name, func(t *testing.T) {
			s, _, token := world(t)
			if status, _, body := send(t, s, token, tc.method, tc.path, tc.body); status != tc.status {
				t.Errorf("status %d, want %d: %s", status, tc.status, body)
			}
			takeOne(t, s, tc.want)
		})
	}
}

// A comment of somebody else is not ours to change, however much it looks like ours.
func TestCommentOfSomebodyElse(t *testing.T) {
	s, r, token := world(t)
	id := r.AddComment(7, "mallory", "<!-- cromt -->")
	for _, method := range []string{"PATCH", "DELETE"} {
		body := ""
		if method == "PATCH" {
			body = `{"body":"ours"}`
		}
		if status, _, _ := send(t, s, token, method, "/repos/octo/app/issues/comments/"+itoa(id), body); status != http.StatusForbidden {
			t.Errorf("%s: status %d", method, status)
		}
	}
	if list := r.Comments(7); len(list) != 1 || list[0].Body != "<!-- cromt -->" || !list[0].Updated.Equal(list[0].Created) {
		t.Errorf("comments %+v", list)
	}
}

func TestCommentsOfUsersAndApps(t *testing.T) {
	s, r, _ := world(t)
	person := s.Token(githubtest.Token{Permissions: all()})
	if _, _, err := client(s, person).Issues.CreateComment(t.Context(), "octo", "app", 7, &github.IssueComment{Body: github.String("x")}); err != nil {
		t.Fatal(err)
	}
	if got := r.Comments(7)[0].User; got != "octocat" {
		t.Errorf("user %s", got)
	}
}
