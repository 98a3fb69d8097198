package sparky

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

// The account that every Sparky is installed with. Its cancel route takes a
// login where the rest of the API takes the token.
const defaultLogin, defaultPassword = "admin", "admin"

// cancelFlag is what cromt's sparrowfile looks for in its own stash.
type cancelFlag struct {
	Cancel bool `json:"cancel"`
}

// Cancel asks our agent to end a job. It does not wait for the end: the
// status tells. KindNotFound when the host does not know the job.
func (c *Client) Cancel(ctx context.Context, project, jobID string) error {
	return c.cancel(ctx, project, jobID, "")
}

// CancelPlain asks a real Sparky to end a job. It sets the flag that the
// job's own program looks for every few seconds, which works for cromt's jobs
// only and is readable by anybody, and then tries the route of the web pages
// with the login of a fresh installation. It succeeds when either was accepted.
func (c *Client) CancelPlain(ctx context.Context, project, jobID string) error {
	flagErr := c.PutStash(ctx, project, jobID, cancelFlag{Cancel: true})
	cookies, err := c.login(ctx)
	if err == nil {
		err = c.cancel(ctx, project, jobID, cookies)
	}
	if flagErr == nil || err == nil {
		return nil
	}
	return flagErr
}

func (c *Client) cancel(ctx context.Context, project, jobID, cookies string) error {
	const op = "cancel job"
	path, err := c.jobPath(op, "/cancel/project/", project, jobID)
	if err != nil {
		return err
	}
	r := request{op: op, method: http.MethodPost, path: path, timeout: shortTimeout}
	if cookies != "" {
		r.header = [2]string{"Cookie", cookies}
	}
	_, err = c.fetch(ctx, r, maxAnswer)
	return err
}

// login returns a Cookie header for the routes of the web pages.
func (c *Client) login(ctx context.Context) (string, error) {
	const op = "log in"
	form := url.Values{"login": {defaultLogin}, "password": {defaultPassword}}.Encode()
	resp, done, err := c.do(ctx, request{
		op: op, method: http.MethodPost, path: "/default_login", timeout: shortTimeout,
		body: strings.NewReader(form), size: int64(len(form)),
		header: [2]string{"Content-Type", "application/x-www-form-urlencoded"},
	})
	if err != nil {
		return "", err
	}
	defer done()
	defer resp.Body.Close()
	var cookies []string
	for _, k := range resp.Cookies() {
		cookies = append(cookies, k.Name+"="+k.Value)
	}
	if len(cookies) == 0 {
		return "", statusError(op, c.base, http.StatusForbidden, nil)
	}
	return strings.Join(cookies, "; "), nil
}
