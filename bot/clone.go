package bot

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"

	"github.com/cromt/cromt/bot/githubapp"
	"github.com/cromt/cromt/bot/trust"
	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
)

// visibility remembers which repositories are private, for a slice.
type visibility struct {
	mu    sync.Mutex
	known map[string]bool
}

func (v *visibility) private(ctx context.Context, repo *githubapp.Repo) (bool, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if private, ok := v.known[repo.Name()]; ok {
		return private, nil
	}
	private, err := repo.Private(ctx)
	if err != nil {
		return false, err
	}
	if v.known == nil {
		v.known = map[string]bool{}
	}
	v.known[repo.Name()] = private
	return private, nil
}

// repoOf is the repository, owner/name, that a URL of the App's GitHub names;
// "": none.
func (s *Settings) repoOf(rawURL string) string {
	home, err := url.Parse(s.GitURL)
	if err != nil {
		return ""
	}
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme != home.Scheme || !strings.EqualFold(u.Host, home.Host) {
		return ""
	}
	path, ok := strings.CutPrefix(u.Path, strings.TrimRight(home.Path, "/")+"/")
	owner, name, both := strings.Cut(strings.TrimSuffix(strings.TrimRight(path, "/"), ".git"), "/")
	if !ok || !both || owner == "" || name == "" || strings.Contains(name, "/") {
		return ""
	}
	return owner + "/" + name
}

// credential is what a host shows GitHub to clone a repository: a token for
// that one alone, which can only read it. Zero: none is needed, or the run may
// have none and the host's own keys have to do.
func (w *work) credential(ctx context.Context, rawURL string) (sparky.CloneCredential, error) {
	var none sparky.CloneCredential
	repo, err := w.cloned(ctx, rawURL)
	if repo == nil || err != nil {
		return none, err
	}
	private, err := w.seen.private(ctx, repo)
	if err != nil || !private {
		return none, err
	}
	token, _, err := repo.CloneToken(ctx)
	if err != nil {
		return none, err
	}
	return sparky.CloneCredential{Prefix: rawURL, Token: token}, nil
}

// cloned is the repository of a URL if the run may have a token for it, else
// nil.
func (w *work) cloned(ctx context.Context, rawURL string) (*githubapp.Repo, error) {
	target := w.Settings.repoOf(rawURL)
	if target == "" || !trust.Clone(w.Settings.Clone, w.run.Repo, target, w.run.Origin.Fork).Allowed {
		return nil, nil
	}
	if strings.EqualFold(target, w.run.Repo) {
		return w.repo, nil
	}
	installation, err := w.GitHub.InstallationOf(ctx, target)
	if err != nil {
		return nil, err
	}
	return w.GitHub.Repo(installation, target), nil
}

// admit decides whether a job's data may go to its host: secrets and private
// code do not go to a real Sparky, unless the operator has said so.
func (w *work) admit(ctx context.Context, a flow.Attempt, agent bool) error {
	j := a.Job
	entry, err := w.entryOf(a.Host, j.Pos)
	if err != nil {
		return fmt.Errorf("%w: %w", flow.ErrRefused, err)
	}
	if agent || entry.PublicPort {
		return nil
	}
	code, err := w.privateCode(ctx, j)
	if err != nil {
		return err
	}
	if d := trust.Private(entry, agent, len(j.Secrets) > 0, code); !d.Allowed {
		return fmt.Errorf("%w: %s; %s", flow.ErrRefused, d.Why, d.Hint)
	}
	return nil
}

// entryOf is what the configuration says of a host; of a member of a pool, that
// is none of its hosts, nothing.
func (w *work) entryOf(url string, pos flow.Pos) (flow.HostEntry, error) {
	if _, ok := w.poolHost(url); ok {
		entry, _ := w.Settings.entryAt(url)
		return entry, nil
	}
	return w.hosts.Resolve(url, pos)
}

// privateCode reports whether a job's code is the run's own repository, or
// another that the host gets a token for, and that is private.
func (w *work) privateCode(ctx context.Context, j *flow.Job) (bool, error) {
	switch j.Source.Kind {
	case flow.SourceOwn:
		return w.seen.private(ctx, w.repo)
	case flow.SourceGit:
		repo, err := w.cloned(ctx, j.Source.URL)
		if repo == nil || err != nil {
			return false, err
		}
		return w.seen.private(ctx, repo)
	}
	return false, nil
}
