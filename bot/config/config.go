package config

import (
	"time"

	"github.com/cromt/cromt/bot/trust"
	"github.com/cromt/cromt/flow"
)

// Config is what the App is told. Load has checked it.
type Config struct {
	Listen      string // host:port; default DefaultListen
	PublicURL   string // where browsers and GitHub reach the App, without trailing slash
	GitHub      GitHub
	Database    Database
	ConfigPath  string // of jobs.yaml in a repository, with slashes; default jobs.yaml
	DefaultHost string // URL of an entry of Hosts; "" when an entry without url is an error
	Hosts       []Host
	Pools       []Pool // the only pools that a run may use
	SecretsDir  string // "" when repositories have no secrets
	Clone       []trust.CloneRule
	Retention   time.Duration // default DefaultRetention
	// Warnings are to be said at the start, each a sentence without a full stop.
	Warnings []string
}

// GitHub says as which App, and where.
type GitHub struct {
	AppID         int64
	PrivateKey    Secret // RSA, PEM
	WebhookSecret Secret
	APIURL        string // without trailing slash; default DefaultAPIURL
	ClientID      string // with ClientSecret: readers of the pages sign in; "" is without pages to read
	ClientSecret  Secret
}

// Database says where runs are kept.
type Database struct {
	Driver string // sqlite or postgres
	Source Secret // the file of sqlite, the URL of postgres: it may have a password
}

// Host is an entry of hosts with what its files hold.
type Host struct {
	flow.HostEntry
	Token Secret
	CA    []byte // PEM; nil: the system's certificates
}

// Entries returns the entries of Hosts, as package trust takes them.
func (c *Config) Entries() []flow.HostEntry {
	list := make([]flow.HostEntry, len(c.Hosts))
	for i, h := range c.Hosts {
		list[i] = h.HostEntry
	}
	return list
}

// Host returns the host of an entry.
func (c *Config) Host(entry flow.HostEntry) (Host, bool) {
	for _, h := range c.Hosts {
		if h.URL == entry.URL {
			return h, true
		}
	}
	return Host{}, false
}
