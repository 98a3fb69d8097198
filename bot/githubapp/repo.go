package githubapp

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/cromt/cromt/bot/checks"
)

// Repo is one repository, as an installation sees it. It may be used by
// several goroutines.
type Repo struct {
	app         *App
	full        string // owner/name
	owner, name string
	err         error // the name is none
	client      *checks.Client
	tokens      *tokens
	clone       *tokens
}

// Repo returns a repository, "owner/name", of an installation. It sends
// nothing; a name that is none is the error of each method.
func (a *App) Repo(installation int64, fullName string) *Repo {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := repoKey{installation, strings.ToLower(fullName)}
	if r := a.repos[key]; r != nil {
		return r
	}
	if len(a.repos) >= maxRepos {
		clear(a.repos)
	}
	r := a.newRepo(installation, fullName)
	a.repos[key] = r
	return r
}

func (a *App) newRepo(installation int64, fullName string) *Repo {
	r := &Repo{app: a, full: fullName}
	var err error
	if r.owner, r.name, err = checks.SplitRepo(fullName); err != nil {
		r.err = checks.Explained(checks.Permanent(err), err.Error())
	}
	read, write := github.String("read"), github.String("write")
	all := &github.InstallationPermissions{Checks: write, PullRequests: write, Issues: write, Contents: read, Metadata: read}
	if a.statuses {
		all.Statuses = write
	}
	r.tokens = a.newTokens(installation, fullName, all)
	r.clone = a.newTokens(installation, fullName, &github.InstallationPermissions{Contents: read, Metadata: read})
	var t http.RoundTripper = r.tokens
	if r.err != nil {
		t = refusing{r.err}
	}
	c, err := a.client(t, a.budget(installation))
	if r.client = c; err != nil {
		r.err = err
	}
	return r
}

// refusing sends nothing.
type refusing struct{ err error }

func (r refusing) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		req.Body.Close()
	}
	return nil, r.err
}

// Checks returns the client for check runs, comments, pull requests and
// people's permissions.
func (r *Repo) Checks() *checks.Client { return r.client }

// Name returns owner/name.
func (r *Repo) Name() string { return r.full }

// do sends a request as checks.Client does, with a token that is there before
// the installation's turn is taken. what is for an error.
func (r *Repo) do(ctx context.Context, k checks.Kind, what, need string, send func(context.Context) error) error {
	err := r.err
	if err == nil {
		_, _, err = r.tokens.get(ctx, 0)
	}
	if err == nil {
		err = r.client.Do(ctx, k, send)
	}
	if err != nil {
		return fmt.Errorf("%s of %s: %w", what, r.full, explain(r.client, err, need))
	}
	return nil
}

// CloneToken returns a token that can read the contents of this repository and
// nothing else, and when it expires: in 50 minutes or more.
func (r *Repo) CloneToken(ctx context.Context) (token string, expires time.Time, err error) {
	if r.err != nil {
		return "", time.Time{}, r.err
	}
	token, expires, err = r.clone.get(ctx, cloneTokenAge)
	if err != nil {
		return "", time.Time{}, explain(r.client, err, needContents)
	}
	return token, expires, nil
}

// DefaultBranch returns the name of the repository's default branch.
func (r *Repo) DefaultBranch(ctx context.Context) (string, error) {
	var repo *github.Repository
	err := r.do(ctx, checks.Read, "default branch", needMetadata, func(ctx context.Context) (err error) {
		repo, _, err = r.client.API().Repositories.Get(ctx, r.owner, r.name)
		return err
	})
	return repo.GetDefaultBranch(), err
}

// Private reports whether not everybody can read the repository; one that is
// internal to an enterprise is private.
func (r *Repo) Private(ctx context.Context) (bool, error) {
	var repo *github.Repository
	err := r.do(ctx, checks.Read, "visibility", needMetadata, func(ctx context.Context) (err error) {
		repo, _, err = r.client.API().Repositories.Get(ctx, r.owner, r.name)
		return err
	})
	if err == nil && repo.Private == nil {
		err = fmt.Errorf("visibility of %s: GitHub does not say", r.full)
	}
	return repo.GetPrivate(), err
}

// Commit is what matters of a commit.
type Commit struct {
	SHA     string
	Message string
	Author  string // login; "" when GitHub knows no account for the name
	Name    string // of the author, as the commit has it
	Date    time.Time
}

// Commit returns the commit that ref, a SHA, branch or tag, names.
func (r *Repo) Commit(ctx context.Context, ref string) (Commit, error) {
	if err := checkRef(ref); err != nil {
		return Commit{}, err
	}
	var c *github.RepositoryCommit
	err := r.do(ctx, checks.Read, "commit "+ref, needContents, func(ctx context.Context) (err error) {
		// Its files, of which there is one with this, are not wanted.
		c, _, err = r.client.API().Repositories.GetCommit(ctx, r.owner, r.name, escapePath(ref), &github.ListOptions{PerPage: 1})
		return err
	})
	if checks.StatusOf(err) == http.StatusUnprocessableEntity {
		text := fmt.Sprintf("commit %s of %s: there is none of this name", ref, r.full)
		err = told{checks.Explained(err, text), ErrNotFound}
	}
	if err != nil {
		return Commit{}, err
	}
	author := c.GetCommit().GetAuthor()
	return Commit{SHA: c.GetSHA(), Message: c.GetCommit().GetMessage(), Author: c.GetAuthor().GetLogin(), Name: author.GetName(), Date: author.GetDate().Time}, nil
}

// PullFiles returns the paths that a pull request changes, a renamed file's
// old and new one. Not complete: GitHub lists 3,000 files and there are as many
// or more.
func (r *Repo) PullFiles(ctx context.Context, number int) (paths []string, complete bool, err error) {
	o := &github.ListOptions{PerPage: pageSize, Page: 1}
	for seen := 0; seen < MaxPullFiles; {
		var page []*github.CommitFile
		var resp *github.Response
		err := r.do(ctx, checks.Read, fmt.Sprintf("files of pull request #%d", number), needPulls, func(ctx context.Context) (err error) {
			page, resp, err = r.client.API().PullRequests.ListFiles(ctx, r.owner, r.name, number, o)
			return err
		})
		if err != nil {
			return nil, false, err
		}
		seen += len(page)
		paths = append(paths, changed(page)...)
		if o.Page = resp.NextPage; o.Page == 0 {
			return paths, seen < MaxPullFiles, nil
		}
	}
	return paths, false, nil
}

// Compare returns the paths that differ between head and what it has in common
// with base, both a SHA, branch or tag. Not complete: GitHub lists 300 files
// and there are as many or more.
func (r *Repo) Compare(ctx context.Context, base, head string) (paths []string, complete bool, err error) {
	for _, ref := range []string{base, head} {
		if err := checkRef(ref); err != nil {
			return nil, false, err
		}
	}
	var c *github.CommitsComparison
	err = r.do(ctx, checks.Read, "comparison "+base+"..."+head, needContents, func(ctx context.Context) (err error) {
		// The page is of commits; the files are with the first one.
		c, _, err = r.client.API().Repositories.CompareCommits(ctx, r.owner, r.name, base, head, &github.ListOptions{PerPage: 1, Page: 1})
		return err
	})
	if err != nil {
		return nil, false, err
	}
	return changed(c.Files), len(c.Files) < MaxCompareFiles, nil
}

// changed are the paths of files, each once.
func changed(files []*github.CommitFile) []string {
	paths := make([]string, 0, len(files))
	for _, f := range files {
		paths = append(paths, f.GetFilename())
		if old := f.GetPreviousFilename(); old != "" && old != f.GetFilename() {
			paths = append(paths, old)
		}
	}
	return paths
}

// OpenPulls returns the repository's open pull requests, the longest unchanged
// last, at most 3,000 of them. After an error there are no more.
func (r *Repo) OpenPulls(ctx context.Context) iter.Seq2[checks.Pull, error] {
	return func(yield func(checks.Pull, error) bool) {
		for pr, err := range r.openPulls(ctx) {
			if err != nil {
				yield(checks.Pull{}, err)
				return
			}
			if !yield(checks.NewPull(pr), nil) {
				return
			}
		}
	}
}

func (r *Repo) openPulls(ctx context.Context) iter.Seq2[*github.PullRequest, error] {
	return func(yield func(*github.PullRequest, error) bool) {
		o := &github.PullRequestListOptions{
			State: "open", Sort: "updated", Direction: "desc", ListOptions: github.ListOptions{PerPage: pageSize, Page: 1},
		}
		for seen := 0; o.Page > 0 && seen < maxOpenPulls; seen += pageSize {
			var page []*github.PullRequest
			var resp *github.Response
			err := r.do(ctx, checks.Read, "open pull requests", needPulls, func(ctx context.Context) (err error) {
				page, resp, err = r.client.API().PullRequests.List(ctx, r.owner, r.name, o)
				return err
			})
			if err != nil {
				yield(nil, err)
				return
			}
			for _, pr := range page {
				if !yield(pr, nil) {
					return
				}
			}
			o.Page = resp.NextPage
		}
	}
}
