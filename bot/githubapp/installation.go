package githubapp

import (
	"context"
	"fmt"

	"github.com/google/go-github/v60/github"

	"github.com/cromt/cromt/bot/checks"
)

// Installation is the App in an account.
type Installation struct {
	ID          int64
	Account     string // login
	Page        string // where its owner changes it
	Suspended   bool
	Permissions map[string]string // that the account has given
	Events      []string          // that the App is sent
}

func newInstallation(in *github.Installation) Installation {
	return Installation{
		ID: in.GetID(), Account: in.GetAccount().GetLogin(), Page: in.GetHTMLURL(), Suspended: in.SuspendedAt != nil,
		Permissions: permissions(in.Permissions), Events: in.Events,
	}
}

// Installations returns all of the App's.
func (a *App) Installations(ctx context.Context) ([]Installation, error) {
	var all []Installation
	o := &github.ListOptions{PerPage: pageSize, Page: 1}
	for o.Page > 0 {
		if len(all) >= maxInstallations {
			return all, fmt.Errorf("installations: %w", errTooMany("installations", maxInstallations))
		}
		var page []*github.Installation
		var resp *github.Response
		err := a.app.Do(ctx, checks.Read, func(ctx context.Context) (err error) {
			page, resp, err = a.app.API().Apps.ListInstallations(ctx, o)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("installations: %w", explain(a.app, err, needMetadata))
		}
		for _, in := range page {
			all = append(all, newInstallation(in))
		}
		o.Page = resp.NextPage
	}
	return all, nil
}

// InstallationOf returns the App's installation in the account of a repository,
// "owner/name". The error wraps ErrGone when it has no access to it.
func (a *App) InstallationOf(ctx context.Context, fullName string) (int64, error) {
	owner, name, err := checks.SplitRepo(fullName)
	if err != nil {
		return 0, err
	}
	var in *github.Installation
	err = a.app.Do(ctx, checks.Read, func(ctx context.Context) (err error) {
		in, _, err = a.app.API().Apps.FindRepositoryInstallation(ctx, owner, name)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("installation for %s: %w", fullName, explain(a.app, err, needMetadata))
	}
	return in.GetID(), nil
}

func (a *App) installation(ctx context.Context, id int64) (Installation, error) {
	var in *github.Installation
	err := a.app.Do(ctx, checks.Read, func(ctx context.Context) (err error) {
		in, _, err = a.app.API().Apps.GetInstallation(ctx, id)
		return err
	})
	if err != nil {
		return Installation{}, fmt.Errorf("installation %d: %w", id, explain(a.app, err, needMetadata))
	}
	return newInstallation(in), nil
}

// Repositories returns the full names of an installation's repositories.
func (a *App) Repositories(ctx context.Context, installation int64) ([]string, error) {
	repos, err := a.Installed(ctx, installation)
	names := make([]string, len(repos))
	for i, r := range repos {
		names[i] = r.FullName
	}
	return names, err
}

// Installed is a repository that the App is installed for.
type Installed struct {
	FullName      string
	ID            int64
	DefaultBranch string
	Archived      bool // nothing can be written to it
}

// Installed returns an installation's repositories. The token for it can read
// nothing else.
func (a *App) Installed(ctx context.Context, installation int64) ([]Installed, error) {
	t := a.newTokens(installation, "", &github.InstallationPermissions{Metadata: github.String("read")})
	c, err := a.client(t, a.Budget(installation))
	if err != nil {
		return nil, err
	}
	var all []Installed
	o := &github.ListOptions{PerPage: pageSize, Page: 1}
	for o.Page > 0 {
		if len(all) >= maxRepositories {
			return all, fmt.Errorf("repositories of installation %d: %w", installation, errTooMany("repositories", maxRepositories))
		}
		var page *github.ListRepositories
		var resp *github.Response
		err := c.Do(ctx, checks.Read, func(ctx context.Context) (err error) {
			page, resp, err = c.API().Apps.ListRepos(ctx, o)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("repositories of installation %d: %w", installation, explain(c, err, needMetadata))
		}
		for _, r := range page.Repositories {
			all = append(all, Installed{r.GetFullName(), r.GetID(), r.GetDefaultBranch(), r.GetArchived()})
		}
		o.Page = resp.NextPage
	}
	return all, nil
}
