package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/cromt/cromt/cmd/cromt/gitrepo"
	"github.com/cromt/cromt/sparky"
)

// ownRepo is the run's own repository: what path: . means.
type ownRepo struct {
	cmd    *runCmd
	repo   *gitrepo.Repo // around the flow file; nil when there is none
	dir    string        // of the flow file
	commit string        // "" when there is none
	source sparky.OwnSource
}

func (o *ownRepo) url() string {
	switch {
	case o.cmd.Repo != "":
		return o.cmd.Repo
	case o.repo != nil:
		return o.repo.Origin
	}
	return ""
}

func (o *ownRepo) folder() string {
	if o.repo != nil {
		return o.repo.Folder
	}
	return ""
}

// settle finds the commit, or packs the working tree to the file archive,
// and checks that hosts can have it, when a job needs it. It returns notes
// for people.
func (o *ownRepo) settle(ctx context.Context, needed bool, archive string) ([]string, error) {
	if o.commit == "" && o.repo != nil {
		o.commit = o.repo.Head
	}
	if !needed {
		return nil, nil
	}
	if o.cmd.Local {
		return o.pack(ctx, archive)
	}
	return o.pin(ctx)
}

func (o *ownRepo) pack(ctx context.Context, archive string) ([]string, error) {
	var a *gitrepo.Archive
	var err error
	note := "this repository runs as its working tree is"
	if o.repo != nil {
		a, err = o.repo.Pack(ctx, archive)
		if o.commit == "" {
			note += ", before its first commit"
		}
	} else {
		a, err = gitrepo.PackFolder(ctx, o.dir, archive)
		note = "no git repository is around the flow file, so its folder runs as it is"
	}
	if err != nil {
		return nil, err
	}
	o.source = sparky.OwnSource{Commit: o.commit, Archive: a.Path, ArchiveSHA256: a.SHA256}
	return append([]string{note}, a.Notes...), nil
}

// pin makes sure that hosts can fetch the commit.
func (o *ownRepo) pin(ctx context.Context) ([]string, error) {
	url := o.url()
	if url == "" {
		if o.repo == nil {
			return nil, errors.New("a job is from this repository (path: .), but no git repository is around the flow file; use --local, or --repo and --sha")
		}
		return nil, errors.New("a job is from this repository (path: .), but it has no remote origin that hosts could clone; use --local, or --repo and --sha")
	}
	if err := o.name(ctx); err != nil {
		return nil, err
	}
	o.source = sparky.OwnSource{URL: url, Commit: o.commit}
	if o.cmd.SHA != "" {
		return nil, nil // whoever names a commit knows where it is
	}
	there, err := o.onRemote(ctx)
	if err != nil {
		return nil, fmt.Errorf("look for commit %.12s at %s: %w", o.commit, url, err)
	}
	if !there {
		return nil, fmt.Errorf("commit %.12s, which is checked out, is not at %s; push it first, or use --local to run the working tree", o.commit, url)
	}
	if o.repo.Dirty(ctx) {
		return []string{fmt.Sprintf("the working tree has changes that are not in commit %.12s; hosts do not see them", o.commit)}, nil
	}
	return nil, nil
}

// name sets the commit to the full hash of --sha, if that is given.
func (o *ownRepo) name(ctx context.Context) (err error) {
	switch {
	case gitrepo.IsHash(o.cmd.SHA):
		o.commit = o.cmd.SHA
	case o.cmd.SHA != "" && o.repo != nil:
		o.commit, err = o.repo.Commit(ctx, o.cmd.SHA)
	case o.cmd.SHA != "":
		err = fmt.Errorf("--sha %s: give all 40 digits of it", o.cmd.SHA)
	case o.repo == nil:
		err = errors.New("--repo needs --sha where no git repository is around the flow file")
	case o.commit == "":
		err = errors.New("this repository has no commit yet; commit and push, or use --local")
	}
	return err
}

func (o *ownRepo) onRemote(ctx context.Context) (bool, error) {
	if o.cmd.Repo == "" {
		return o.repo.OnOrigin(ctx, o.commit)
	}
	return gitrepo.IsTip(ctx, o.cmd.Repo, o.commit)
}
