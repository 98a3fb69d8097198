package checks

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"
)

// ClientConfig says which GitHub to talk to, and as whom.
type ClientConfig struct {
	// APIURL is where the API is, as in GITHUB_API_URL; the default is
	// https://api.github.com. That of an Enterprise server is taken as given.
	APIURL string
	// Token is sent to APIURL's host and nowhere else. "": HTTP signs in.
	Token string
	// Login is the account that the token writes as; the default is that of a
	// workflow's token, "github-actions[bot]".
	Login string
	// LoginOf is asked for Login where that is "", when it is first needed.
	LoginOf func(context.Context) (string, error)
	// App says that an App signs in, not a workflow's job: what errors advise
	// is for who runs it.
	App bool
	// HTTP sends the requests; nil is a client of its own. No request takes
	// longer than 15 s.
	HTTP *http.Client
	// Budget that comments are written from; nil is one of its own.
	Budget *Budget
	Logger *slog.Logger // nil: no logging
	// UserAgent is "cromt" by default; GitHub wants one.
	UserAgent string
}

// Client talks to GitHub. It may be used by several goroutines.
type Client struct {
	api     *github.Client
	budget  *Budget
	login   string
	loginOf func(context.Context) (string, error) // nil: login is known
	app     bool
	log     *slog.Logger
}

// NewClient returns a client. An APIURL that is none is an error.
func NewClient(c ClientConfig) (*Client, error) {
	if c.APIURL == "" {
		c.APIURL = "https://api.github.com"
	}
	base, err := url.Parse(c.APIURL)
	if err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http" {
		return nil, fmt.Errorf("github client: %q is not the URL of an API; it is like https://api.github.com", c.APIURL)
	}
	base.Path = strings.TrimSuffix(base.Path, "/") + "/"
	h := http.Client{}
	if c.HTTP != nil {
		h = *c.HTTP
	}
	if h.Transport == nil {
		h.Transport = http.DefaultTransport
	}
	h.Transport = &transport{base: h.Transport, host: base.Host, token: c.Token}
	api := github.NewClient(&h)
	api.BaseURL = base
	api.UserAgent = c.UserAgent
	if api.UserAgent == "" {
		api.UserAgent = "cromt"
	}
	cl := &Client{api: api, budget: c.Budget, login: c.Login, loginOf: c.LoginOf, app: c.App, log: c.Logger}
	if cl.budget == nil {
		cl.budget = NewBudget(Limits{})
	}
	if cl.login != "" {
		cl.loginOf = nil
	} else if cl.loginOf == nil {
		cl.login = "github-actions[bot]"
	}
	if cl.log == nil {
		cl.log = slog.New(slog.DiscardHandler)
	}
	return cl, nil
}

// transport signs requests in, but not those that a redirect leads elsewhere.
type transport struct {
	base  http.RoundTripper
	host  string
	token string
}

func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if t.token != "" && req.URL.Host == t.host {
		req = req.Clone(req.Context())
		req.Header.Set("Authorization", "Bearer "+t.token)
	}
	resp, err := t.base.RoundTrip(req)
	// A secondary limit comes with the reset time of the primary one, which
	// it has nothing to do with while requests remain; go-github would wait
	// for it, up to an hour.
	if err == nil && resp.StatusCode >= 400 && resp.Header.Get("X-Ratelimit-Remaining") != "0" {
		resp.Header.Del("X-Ratelimit-Reset")
	}
	return resp, err
}

// Pull is a pull request.
type Pull struct {
	Number   int
	Title    string
	HeadSHA  string
	HeadRef  string // branch
	HeadRepo string // owner/name; "" when the repository is gone
	BaseRef  string
	BaseSHA  string
	Open     bool
	Fork     bool // the head is not in the base's repository
}

// PullRequest returns a pull request of a repository, "owner/name".
func (c *Client) PullRequest(ctx context.Context, repo string, number int) (Pull, error) {
	owner, name, err := SplitRepo(repo)
	if err != nil {
		return Pull{}, err
	}
	var pr *github.PullRequest
	err = c.read(ctx, func(ctx context.Context) error {
		pr, _, err = c.api.PullRequests.Get(ctx, owner, name, number)
		return err
	})
	if err != nil {
		return Pull{}, fmt.Errorf("pull request %s#%d: %w", repo, number, c.Explain(err, needPulls))
	}
	return NewPull(pr), nil
}

// NewPull is what matters of a pull request.
func NewPull(pr *github.PullRequest) Pull {
	p := Pull{
		Number: pr.GetNumber(), Title: pr.GetTitle(), HeadSHA: pr.GetHead().GetSHA(), HeadRef: pr.GetHead().GetRef(),
		HeadRepo: pr.GetHead().GetRepo().GetFullName(), BaseRef: pr.GetBase().GetRef(), BaseSHA: pr.GetBase().GetSHA(),
		Open: pr.GetState() == "open",
	}
	p.Fork = !strings.EqualFold(p.HeadRepo, pr.GetBase().GetRepo().GetFullName())
	return p
}

// Permission returns what a user may do in a repository: admin, write, read
// or none; none too for an account that GitHub does not know.
func (c *Client) Permission(ctx context.Context, repo, user string) (string, error) {
	owner, name, err := SplitRepo(repo)
	if err != nil {
		return "", err
	}
	var level *github.RepositoryPermissionLevel
	err = c.read(ctx, func(ctx context.Context) error {
		level, _, err = c.api.Repositories.GetPermissionLevel(ctx, owner, name, url.PathEscape(user))
		return err
	})
	if status(err) == http.StatusNotFound {
		return "none", nil
	}
	if err != nil {
		return "", fmt.Errorf("permission of %s in %s: %w", user, repo, c.Explain(err, needMetadata))
	}
	switch p := level.GetPermission(); p {
	case "admin", "write", "read":
		return p, nil
	}
	return "none", nil
}

var repoPart = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)

// SplitRepo returns the parts of "owner/name". It refuses what would be
// another path of the API, with an error that is Permanent.
func SplitRepo(repo string) (owner, name string, err error) {
	owner, name, ok := strings.Cut(repo, "/")
	if !ok || !repoPart.MatchString(owner) || !repoPart.MatchString(name) || strings.Trim(owner, ".") == "" || strings.Trim(name, ".") == "" {
		return "", "", Permanent(fmt.Errorf("repository %q: it is written owner/name", repo))
	}
	return owner, name, nil
}

// Kind of a request is what it costs, and whether it may be repeated.
type Kind int

// The kinds.
const (
	Read   = Kind(costRead)   // changes nothing
	Write  = Kind(costWrite)  // twice is as good as once
	Create = Kind(costCreate) // not repeated where its outcome is not known
)

// API is the client that requests are built and sent with, from inside Do.
func (c *Client) API() *github.Client { return c.api }

// Do has send send one request: in its turn and within the budget, for no
// longer than 15 s, and again after failures that may pass. A refusal by
// GitHub's limits is waited out, for as long as ctx lasts.
func (c *Client) Do(ctx context.Context, k Kind, send func(context.Context) error) error {
	return c.send(ctx, cost(k), send)
}

// read sends a request that changes nothing, again after failures that may
// pass. It takes its turn with those that write, as GitHub asks for requests
// one at a time.
func (c *Client) read(ctx context.Context, send func(context.Context) error) error {
	return c.send(ctx, costRead, send)
}

// send sends a request until it has an answer, at most readRetries times
// more; waits that GitHub asks for do not count.
func (c *Client) send(ctx context.Context, k cost, send func(context.Context) error) error {
	for failed := 0; ; {
		if !c.budget.acquire(ctx, urgencyJob, k, nil) {
			return ctx.Err()
		}
		err := timed(ctx, send)
		c.budget.release(k, err)
		limited, _ := limitOf(err, time.Now())
		switch {
		case err == nil, refusal(err), ctx.Err() != nil:
			return err
		case limited:
			continue
		case failed == readRetries || k == costCreate: // it may have been created
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(backoff(failed, maxRetryDelay)):
		}
		failed++
	}
}

// timed gives a request its time.
func timed(ctx context.Context, send func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return send(ctx)
}

// backoff is how long to wait after the nth failure in a row, from 0.
func backoff(n int, most time.Duration) time.Duration {
	d := min(retryDelay<<min(n, 10), most)
	return d - d/5 + rand.N(2*d/5)
}
