package githubapp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/cromt/cromt/bot/checks"
)

// HookDelivery is one attempt of GitHub to deliver an event to the App.
type HookDelivery struct {
	ID            int64  // of the attempt
	GUID          string // of the event: the same for all attempts
	Event, Action string
	Status        int // of the App's answer, or of GitHub's own for none
	At            time.Time
}

// OK reports whether the App took it.
func (d HookDelivery) OK() bool { return d.Status >= 200 && d.Status < 400 }

// Deliveries returns the attempts of the last three days, which is as long as
// GitHub keeps them, the latest first, at most maxDeliveries of them. After an
// error there are no more.
func (a *App) Deliveries(ctx context.Context) iter.Seq2[HookDelivery, error] {
	return func(yield func(HookDelivery, error) bool) {
		o := &github.ListCursorOptions{PerPage: pageSize}
		for seen := 0; seen < maxDeliveries; seen += pageSize {
			var page []*github.HookDelivery
			var resp *github.Response
			err := a.app.Do(ctx, checks.Read, func(ctx context.Context) (err error) {
				page, resp, err = a.app.API().Apps.ListHookDeliveries(ctx, o)
				return err
			})
			if err != nil {
				yield(HookDelivery{}, fmt.Errorf("deliveries: %w", explain(a.app, err, needMetadata)))
				return
			}
			for _, d := range page {
				if !yield(HookDelivery{
					ID: d.GetID(), GUID: d.GetGUID(), Event: d.GetEvent(), Action: d.GetAction(), Status: d.GetStatusCode(), At: d.GetDeliveredAt().Time,
				}, nil) {
					return
				}
			}
			if o.Cursor = resp.Cursor; o.Cursor == "" {
				return
			}
		}
	}
}

// Redeliver asks GitHub to deliver an event again, by the id of an attempt.
func (a *App) Redeliver(ctx context.Context, id int64) error {
	err := a.app.Do(ctx, checks.Write, func(ctx context.Context) error {
		_, _, err := a.app.API().Apps.RedeliverHookDelivery(ctx, id)
		if accepted := new(github.AcceptedError); errors.As(err, &accepted) {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("redelivery of %d: %w", id, explain(a.app, err, needMetadata))
	}
	return nil
}

// Hook is where and how GitHub delivers to the App.
type Hook struct {
	URL         string
	ContentType string // json or form
	Insecure    bool   // the certificate is not checked
}

// Hook returns the App's webhook.
func (a *App) Hook(ctx context.Context) (Hook, error) {
	var c *github.HookConfig
	err := a.app.Do(ctx, checks.Read, func(ctx context.Context) (err error) {
		c, _, err = a.app.API().Apps.GetHookConfig(ctx)
		return err
	})
	if err != nil {
		return Hook{}, fmt.Errorf("webhook: %w", explain(a.app, err, needMetadata))
	}
	insecure := c.GetInsecureSSL()
	return Hook{URL: c.GetURL(), ContentType: c.GetContentType(), Insecure: insecure != "" && insecure != "0"}, nil
}

// OpenPull is an open pull request.
type OpenPull struct {
	checks.Pull
	UpdatedAt time.Time
	// Payload is that of a webhook as GitHub would send it for the push of the
	// head, for event.Parse.
	Payload []byte
}

// PullsSince returns the repository's open pull requests that have changed
// since a time, the latest first, at most 3,000 of them. After an error there
// are no more.
func (r *Repo) PullsSince(ctx context.Context, installation int64, since time.Time) iter.Seq2[OpenPull, error] {
	return func(yield func(OpenPull, error) bool) {
		for pr, err := range r.openPulls(ctx) {
			if err != nil {
				yield(OpenPull{}, err)
				return
			}
			// GitHub counts in seconds.
			if pr.GetUpdatedAt().Before(since.Truncate(time.Second)) {
				return
			}
			payload, err := json.Marshal(map[string]any{
				"action": "synchronize", "number": pr.GetNumber(), "pull_request": pr, "repository": pr.GetBase().GetRepo(),
				"sender": pr.GetUser(), "installation": map[string]any{"id": installation},
			})
			if !yield(OpenPull{checks.NewPull(pr), pr.GetUpdatedAt().Time, payload}, err) || err != nil {
				return
			}
		}
	}
}
