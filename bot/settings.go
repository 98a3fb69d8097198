package bot

import (
	"net/url"
	"strings"

	"github.com/cromt/cromt/bot/trust"
	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
)

// Settings are what of the configuration runs need.
type Settings struct {
	ConfigPath  string // of the jobs.yaml in every repository
	DefaultHost string // URL; "": every entry names its own
	Hosts       []flow.HostEntry
	// Host returns how an entry of Hosts is reached, its token included.
	Host func(flow.HostEntry) (sparky.HostConfig, error)
	// Pools are the only ones that runs may use; nil: there are none.
	Pools *Pools
	// Secret returns the value of a repository's secret, or an error that says
	// where it is missing.
	Secret func(repo, name string) (string, error)
	// Clone lets runs of a repository clone other private ones.
	Clone []trust.CloneRule
	// PublicURL is where the pages are, without a slash at its end; "": nowhere.
	PublicURL string
	// GitURL is where repositories are cloned from: https://github.com.
	GitURL string
}

func (s *Settings) cloneURL(repo string) string {
	return strings.TrimRight(s.GitURL, "/") + "/" + repo
}

func (s *Settings) runURL(run string) string {
	if s.PublicURL == "" {
		return ""
	}
	return s.PublicURL + "/runs/" + url.PathEscape(run)
}

func (s *Settings) jobURL(run, job string) string {
	if s.PublicURL == "" {
		return ""
	}
	return s.runURL(run) + "/jobs/" + url.PathEscape(job)
}
