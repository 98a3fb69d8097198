package githubapp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"

	"github.com/google/go-github/v60/github"

	"github.com/cromt/cromt/bot/checks"
)

// Needed are the permissions that the App needs, by GitHub's names, and those
// that it can do without.
func Needed() (required, optional map[string]string) {
	return map[string]string{
			"checks":        "write", // check runs
			"pull_requests": "write", // comments on pull requests, and reading them
			"issues":        "write", // GitHub counts comments and reactions among them, and events of comments
			"contents":      "read",  // the configuration and the code, and events of pushes
			"metadata":      "read",
		}, map[string]string{
			"merge_queues": "read", // events of merge queues
			"statuses":     "write",
		}
}

// Events are those that the App subscribes to, each with the permission that
// GitHub wants for it. Those of installations come without being asked for,
// and GitHub refuses a manifest that asks for them.
func Events() map[string]string {
	return map[string]string{
		"push": "contents", "pull_request": "pull_requests", "issue_comment": "issues", "check_run": "checks", "check_suite": "checks",
		"merge_group": "merge_queues",
	}
}

// Manifest is what a new App is to be; see
// https://docs.github.com/apps/sharing-github-apps/registering-a-github-app-from-a-manifest.
type Manifest struct {
	Name         string            `json:"name"`
	URL          string            `json:"url"`
	Hook         ManifestHook      `json:"hook_attributes"`
	RedirectURL  string            `json:"redirect_url"`            // once it is made
	CallbackURLs []string          `json:"callback_urls,omitempty"` // of people who sign in
	Description  string            `json:"description,omitempty"`
	Public       bool              `json:"public"` // others can install it
	Permissions  map[string]string `json:"default_permissions"`
	Events       []string          `json:"default_events"`
}

// ManifestHook is the webhook of a Manifest.
type ManifestHook struct {
	URL    string `json:"url"`
	Active bool   `json:"active"`
}

// Made is an App that was made from a manifest.
type Made struct {
	ID            int64
	Slug          string
	Name          string
	Page          string // for people
	PrivateKey    string // PEM
	WebhookSecret string
	ClientID      string
	ClientSecret  string
}

var codeForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`) })

// Exchange returns the App that was made from a manifest, for the code that
// GitHub gave to the browser. A code is good for an hour, and once. c needs no
// App; its HTTP, APIURL and UserAgent are used.
func Exchange(ctx context.Context, c Config, code string) (Made, error) {
	if !codeForm().MatchString(code) {
		return Made{}, errors.New("app made: the code is none of GitHub's")
	}
	client, err := checks.NewClient(checks.ClientConfig{APIURL: c.APIURL, App: true, HTTP: &http.Client{Transport: newPlain(c), CheckRedirect: sameHost}, UserAgent: c.UserAgent})
	if err != nil {
		return Made{}, err
	}
	var got *github.AppConfig
	// Not repeated where its outcome is not known: the code is good once.
	err = client.Do(ctx, checks.Create, func(ctx context.Context) (err error) {
		got, _, err = client.API().Apps.CompleteAppManifest(ctx, code)
		return err
	})
	if checks.StatusOf(err) == http.StatusNotFound {
		return Made{}, checks.Explained(err, "app made: GitHub does not know the code: it is good for an hour and once; start again")
	}
	if err != nil {
		return Made{}, fmt.Errorf("app made: %w", client.Explain(err, needMetadata))
	}
	m := Made{
		ID: got.GetID(), Slug: got.GetSlug(), Name: got.GetName(), Page: got.GetHTMLURL(),
		PrivateKey: got.GetPEM(), WebhookSecret: got.GetWebhookSecret(), ClientID: got.GetClientID(), ClientSecret: got.GetClientSecret(),
	}
	if m.ID <= 0 || m.WebhookSecret == "" || m.ClientSecret == "" {
		return m, errors.New("app made: GitHub's answer lacks its id or a secret; delete the App and start again")
	}
	if _, err := parseKey([]byte(m.PrivateKey)); err != nil {
		return m, fmt.Errorf("app made: private key: %w", err)
	}
	return m, nil
}

// NewAppPage is where a manifest is posted to, for the account that is signed
// in or, if named, an organization. c's APIURL and WebURL are used.
func NewAppPage(c Config, organization string) (string, error) {
	_, web, err := addresses(c)
	if err != nil {
		return "", err
	}
	if organization == "" {
		return web.String() + "/settings/apps/new", nil
	}
	if strings.Trim(organization, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
		return "", fmt.Errorf("organization %.40q: it is the name in its address, %s/NAME", organization, web)
	}
	return web.String() + "/organizations/" + url.PathEscape(organization) + "/settings/apps/new", nil
}
