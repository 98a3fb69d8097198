package checks_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/cromt/cromt/bot/checks"
	"github.com/cromt/cromt/bot/githubtest"
)

func newClient(t *testing.T, gh *githubtest.Server, permissions map[string]string) *checks.Client {
	t.Helper()
	c, err := checks.NewClient(checks.ClientConfig{
		Token: gh.Token(githubtest.Token{App: true, Permissions: permissions}), Login: "cromt[bot]",
		HTTP: &http.Client{Transport: gh.Transport()},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPullRequest(t *testing.T) {
	gh := githubtest.New(t)
	repo := gh.AddRepo(repoName)
	base, head := strings.Repeat("b", 40), strings.Repeat("a", 40)
	repo.AddPull(githubtest.Pull{Number: 1, HeadSHA: head, HeadRef: "topic", BaseSHA: base})
	repo.AddPull(githubtest.Pull{Number: 2, HeadSHA: head, HeadRef: "main", HeadRepo: "stranger/app", BaseSHA: base})
	repo.AddPull(githubtest.Pull{Number: 3, HeadSHA: head, HeadRef: "main", HeadRepo: "stranger/app", HeadRepoGone: true, BaseSHA: base, State: "closed"})
	c := newClient(t, gh, map[string]string{"pull_requests": "read"})
	for _, want := range []checks.Pull{
		{Number: 1, HeadSHA: head, HeadRef: "topic", HeadRepo: repoName, BaseRef: "main", BaseSHA: base, Open: true},
		{Number: 2, HeadSHA: head, HeadRef: "main", HeadRepo: "stranger/app", BaseRef: "main", BaseSHA: base, Open: true, Fork: true},
		{Number: 3, HeadSHA: head, HeadRef: "main", BaseRef: "main", BaseSHA: base, Fork: true},
	} {
		got, err := c.PullRequest(t.Context(), repoName, want.Number)
		if err != nil || got != want {
			t.Errorf("%+v, %v\nwant %+v", got, err, want)
		}
	}
	if _, err := c.PullRequest(t.Context(), repoName, 4); err == nil || !strings.HasPrefix(err.Error(), "pull request octo/app#4: ") {
		t.Errorf("unknown pull request: %v", err)
	}
	for _, repo := range []string{"", "app", "octo/app/x", "octo/..", "../app", "octo/a b"} {
		if _, err := c.PullRequest(t.Context(), repo, 1); err == nil || !strings.Contains(err.Error(), "owner/name") {
			t.Errorf("repository %q: %v", repo, err)
		}
	}
}

func TestPermission(t *testing.T) {
	gh := githubtest.New(t)
	repo := gh.AddRepo(repoName)
	c := newClient(t, gh, nil)
	for role, want := range map[string]string{"admin": "admin", "maintain": "write", "write": "write", "triage": "read", "read": "read", "none": "none"} {
		repo.SetPermission(role+"-user", role)
		if got, err := c.Permission(t.Context(), repoName, role+"-user"); err != nil || got != want {
			t.Errorf("%s: %q, %v", role, got, err)
		}
	}
	gh.Fault(func(*http.Request, int) *githubtest.Fault {
		return &githubtest.Fault{Status: 404, Body: `{"message":"ghost is not a user"}`}
	})
	if got, err := c.Permission(t.Context(), repoName, "ghost"); err != nil || got != "none" {
		t.Errorf("ghost: %q, %v", got, err)
	}
	gh.Fault(func(*http.Request, int) *githubtest.Fault {
		return &githubtest.Fault{Status: 403, Body: `{"message":"no"}`}
	})
	if got, err := c.Permission(t.Context(), repoName, "x"); err == nil || got != "" {
		t.Errorf("refused: %q, %v", got, err)
	}
}

func TestReadsAreRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gh := githubtest.New(t)
		gh.AddRepo(repoName).SetPermission("u", "write")
		c := newClient(t, gh, nil)
		gh.Fault(func(_ *http.Request, n int) *githubtest.Fault {
			if n < 4 {
				return &githubtest.Fault{Status: 502}
			}
			return nil
		})
		if got, err := c.Permission(t.Context(), repoName, "u"); err != nil || got != "write" {
			t.Errorf("%q, %v", got, err)
		}
		gh.Fault(func(*http.Request, int) *githubtest.Fault { return &githubtest.Fault{DropBefore: true} })
		before := len(gh.Requests())
		if _, err := c.Permission(t.Context(), repoName, "u"); err == nil || !strings.Contains(err.Error(), "cannot be reached") {
			t.Error(err)
		}
		if n := len(gh.Requests()) - before; n != 4 {
			t.Errorf("%d requests", n)
		}
	})
}

func TestStickyComment(t *testing.T) {
	const marker = "<!-- cromt:status -->"
	synctest.Test(t, func(t *testing.T) {
		gh := githubtest.New(t)
		repo := gh.AddRepo(repoName)
		repo.AddPull(githubtest.Pull{Number: 7, HeadSHA: strings.Repeat("a", 40), HeadRef: "topic", BaseSHA: strings.Repeat("b", 40)})
		repo.AddComment(7, "stranger", marker+"\nnot ours")
		for i := range 150 {
			repo.AddComment(7, "octocat", fmt.Sprint("comment ", i))
		}
		c := newClient(t, gh, map[string]string{"pull_requests": "write"})
		set := func(body string) int {
			t.Helper()
			before := gh.WriteCount()
			if err := c.StickyComment(t.Context(), repoName, 7, marker, body); err != nil {
				t.Fatal(err)
			}
			all := repo.Comments(7)
			if len(all) != 152 || all[0].Body != marker+"\nnot ours" || all[151].Body != marker+"\n"+body {
				t.Errorf("%d comments, the last: %q", len(all), all[len(all)-1].Body)
			}
			return gh.WriteCount() - before
		}
		gh.Fault(func(r *http.Request, _ int) *githubtest.Fault {
			return &githubtest.Fault{DropAfter: r.Method == http.MethodPost}
		})
		if n := set("first"); n != 1 {
			t.Errorf("%d writes for a comment whose outcome was not known", n)
		}
		if n := set("second"); n != 1 {
			t.Errorf("%d writes for an edit", n)
		}
		if n := set("second"); n != 0 {
			t.Errorf("%d writes for nothing new", n)
		}
	})
}

// TestTokenStaysWithItsHost: a redirect does not take it elsewhere.
func TestTokenStaysWithItsHost(t *testing.T) {
	var asked []string
	c, err := checks.NewClient(checks.ClientConfig{
		APIURL: "https://ghe.example/api/v3", Token: "secret",
		HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			asked = append(asked, r.URL.String()+" "+r.Header.Get("Authorization"))
			if r.URL.Host == "ghe.example" {
				return &http.Response{StatusCode: http.StatusFound, Header: http.Header{"Location": {"https://evil.example/x"}}, Body: http.NoBody, Request: r}, nil
			}
			return nil, errors.New("no such host")
		})},
	})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		if _, err := c.PullRequest(t.Context(), repoName, 1); err == nil {
			t.Error("no error")
		}
	})
	if asked[0] != "https://ghe.example/api/v3/repos/octo/app/pulls/1 Bearer secret" || asked[1] != "https://evil.example/x " {
		t.Errorf("%q", asked[:2])
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestClientConfig(t *testing.T) {
	for _, u := range []string{"://", "api.github.com", "ftp://x"} {
		if _, err := checks.NewClient(checks.ClientConfig{APIURL: u}); err == nil {
			t.Errorf("APIURL %q is taken", u)
		}
	}
}

// Two processes that find no comment and make one at the same moment leave one.
func TestStickyCommentOfTwo(t *testing.T) {
	const marker = "<!-- cromt:status -->"
	gh := githubtest.New(t)
	repo := gh.AddRepo(repoName)
	repo.AddPull(githubtest.Pull{Number: 7, HeadSHA: strings.Repeat("a", 40), BaseSHA: strings.Repeat("b", 40)})
	arrived, held := make(chan struct{}), make(chan struct{})
	posts := 0
	gh.Fault(func(r *http.Request, _ int) *githubtest.Fault {
		if r.Method != http.MethodPost {
			return nil
		}
		if posts++; posts > 1 {
			return nil
		}
		close(arrived)
		return &githubtest.Fault{Hold: held}
	})
	late := make(chan error, 1)
	go func() {
		late <- newClient(t, gh, map[string]string{"pull_requests": "write"}).StickyComment(t.Context(), repoName, 7, marker, "late")
	}()
	<-arrived
	if err := newClient(t, gh, map[string]string{"pull_requests": "write"}).StickyComment(t.Context(), repoName, 7, marker, "early"); err != nil {
		t.Error(err)
	}
	close(held)
	if err := <-late; err != nil {
		t.Error(err)
	}
	if all := repo.Comments(7); len(all) != 1 || !strings.HasSuffix(all[0].Body, "late") {
		t.Errorf("%+v", all)
	}
}
