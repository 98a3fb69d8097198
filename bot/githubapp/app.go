package githubapp

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/bradleyfalzon/ghinstallation/v2"
	"github.com/google/go-github/v60/github"

	"github.com/cromt/cromt/bot/checks"
)

// Config says which App, and on which GitHub.
type Config struct {
	// AppID is the App's number, PrivateKey its key as GitHub gives it: PEM.
	AppID      int64
	PrivateKey []byte
	// APIURL is where the API is; the default is https://api.github.com. That
	// of an Enterprise server, like https://HOST/api/v3, is taken as given.
	APIURL string
	// WebURL is where people sign in; the default is the host of APIURL,
	// without a leading "api.".
	WebURL string
	// ClientID and ClientSecret are the App's for people who sign in; needed
	// by SignInURL and UserToken alone.
	ClientID, ClientSecret string
	// Statuses says that the App also writes commit statuses: its tokens then
	// need the permission for it.
	Statuses bool
	// HTTP sends the requests; nil is http.DefaultTransport.
	HTTP http.RoundTripper
	// UserAgent is "cromt" by default; GitHub wants one.
	UserAgent string
	Logger    *slog.Logger // nil: no logging
	// Observe is told of each answer: the route with placeholders for all that
	// varies, its status (0: there was none), the time to its header, and how
	// many requests GitHub says remain of the hour (-1: it does not say). It
	// must return at once, and is called from several goroutines.
	Observe func(route string, status int, d time.Duration, remaining int)
}

// App is a GitHub App. It may be used by several goroutines.
type App struct {
	id        int64
	key       *rsa.PrivateKey
	api       *url.URL // without a slash at the end
	web       *url.URL
	clientID  string
	secret    string
	userAgent string
	statuses  bool
	plain     http.RoundTripper // signs nothing in
	app       *checks.Client    // the App itself
	log       *slog.Logger

	mu      sync.Mutex
	slug    string // "": not known yet
	budgets map[int64]*checks.Budget
	repos   map[repoKey]*Repo
}

type repoKey struct {
	installation int64
	fullName     string // in lower case
}

// New returns an App. It sends nothing: a key that is not the App's shows with
// the first request.
func New(c Config) (*App, error) {
	if c.AppID <= 0 {
		return nil, fmt.Errorf("github app: %d is no App's id; its settings page shows it as App ID", c.AppID)
	}
	key, err := parseKey(c.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("github app: private key: %w", err)
	}
	a := &App{
		id: c.AppID, key: key, clientID: c.ClientID, secret: c.ClientSecret, userAgent: orDefault(c.UserAgent, "cromt"),
		statuses: c.Statuses, plain: newPlain(c), log: c.Logger, budgets: map[int64]*checks.Budget{}, repos: map[repoKey]*Repo{},
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if a.api, a.web, err = addresses(c); err != nil {
		return nil, fmt.Errorf("github app: %w", err)
	}
	a.app, err = a.client(&signer{host: a.api.Host, plain: a.plain, signed: a.signing()}, checks.NewBudget(checks.Limits{WritesPerMinute: appWrites}))
	if err != nil {
		return nil, fmt.Errorf("github app: %w", err)
	}
	return a, nil
}

func orDefault(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// parseKey reads a private key, in either of the two forms that there are.
func parseKey(text []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("it is not PEM; it is the file that GitHub offers when a private key is generated in the App's settings, and begins with -----BEGIN RSA PRIVATE KEY-----")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(*rsa.PrivateKey)
	if err != nil || !ok {
		return nil, fmt.Errorf("the PEM block %q holds no RSA private key; generate one in the App's settings", block.Type)
	}
	return key, nil
}

// addresses are those of the API and of the pages for people.
func addresses(c Config) (api, web *url.URL, err error) {
	if api, err = parseAddress(orDefault(c.APIURL, "https://api.github.com")); err != nil {
		return nil, nil, err
	}
	if c.WebURL != "" {
		web, err = parseAddress(c.WebURL)
		return api, web, err
	}
	return api, &url.URL{Scheme: api.Scheme, Host: strings.TrimPrefix(api.Host, "api.")}, nil
}

func parseAddress(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("%q is not the URL of a GitHub; that of an API is like https://api.github.com or https://HOST/api/v3", s)
	}
	u.Path = strings.TrimRight(u.Path, "/")
	return u, nil
}

// client returns a client whose requests t signs in.
func (a *App) client(t http.RoundTripper, b *checks.Budget) (*checks.Client, error) {
	return checks.NewClient(checks.ClientConfig{
		APIURL: a.api.String(), App: true, LoginOf: a.login, HTTP: &http.Client{Transport: t, CheckRedirect: sameHost},
		Budget: b, Logger: a.log, UserAgent: a.userAgent,
	})
}

// sameHost follows a redirect only within the API, as from a repository's old
// name to its new one.
func sameHost(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return errors.New("too many redirects")
	}
	if req.URL.Host != via[0].URL.Host || req.URL.Scheme != via[0].URL.Scheme {
		return http.ErrUseLastResponse
	}
	if req.Response != nil && req.Response.StatusCode == http.StatusFound {
		return http.ErrUseLastResponse // an archive is elsewhere, and not for this client
	}
	return nil
}

// signing returns a transport that signs in as the App. Each installation's
// has its own: ghinstallation changes it.
func (a *App) signing() *ghinstallation.AppsTransport {
	t := ghinstallation.NewAppsTransportFromPrivateKey(a.plain, a.id, a.key)
	t.BaseURL = a.api.String()
	return t
}

// Self is an App as GitHub knows it.
type Self struct {
	ID          int64
	Slug        string // its login is this and "[bot]"
	Name        string
	Owner       string            // login
	Page        string            // for people
	Permissions map[string]string // by GitHub's names: read, write
	Events      []string          // that it is sent
}

// Self returns the App as GitHub knows it.
func (a *App) Self(ctx context.Context) (Self, error) {
	var got *github.App
	err := a.app.Do(ctx, checks.Read, func(ctx context.Context) (err error) {
		got, _, err = a.app.API().Apps.Get(ctx, "")
		return err
	})
	if err != nil {
		return Self{}, fmt.Errorf("github app %d: %w", a.id, explain(a.app, err, needMetadata))
	}
	a.mu.Lock()
	a.slug = got.GetSlug()
	a.mu.Unlock()
	return Self{
		ID: got.GetID(), Slug: got.GetSlug(), Name: got.GetName(), Owner: got.GetOwner().GetLogin(), Page: got.GetHTMLURL(),
		Permissions: permissions(got.GetPermissions()), Events: got.Events,
	}, nil
}

// login is the account that the App writes as.
func (a *App) login(ctx context.Context) (string, error) {
	a.mu.Lock()
	slug := a.slug
	a.mu.Unlock()
	if slug == "" {
		self, err := a.Self(ctx)
		if err != nil {
			return "", err
		}
		slug = self.Slug
	}
	return slug + "[bot]", nil
}

// Budget is the one that all writes of an installation are made from.
func (a *App) Budget(installation int64) *checks.Budget {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.budget(installation)
}

func (a *App) budget(installation int64) *checks.Budget {
	b := a.budgets[installation]
	if b == nil {
		b = checks.NewBudget(checks.Limits{})
		a.budgets[installation] = b
	}
	return b
}

// WebURL is where the repositories are, without a slash at the end.
func (a *App) WebURL() string { return a.web.String() }

// ID is the App's number.
func (a *App) ID() int64 { return a.id }
