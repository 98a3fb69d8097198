package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/cromt/cromt/cmd/cromt/gitrepo"
	"github.com/cromt/cromt/sparky"
)

// ownCode is the run's own repository: what path: . means.
type ownCode interface {
	// url is where hosts could clone it, "" when there is no such place;
	// folder is that of the flow file in it.
	url() string
	folder() string
	// settle finds the commit, and how hosts come by its files if a job needs
	// them; archive is a file that may be made for that.
	settle(ctx context.Context, needed bool, archive string) (settled, error)
	// resume is told the commit of the run that is gone on with.
	resume(commit string)
}

// settled is what settle found.
type settled struct {
	source      sparky.OwnSource
	commit      string // "" when there is none
	workingTree bool   // what runs is not the commit, but what lies on disk
	notes       []string
}

// ownRepo is the repository around a flow file on the user's machine.
type ownRepo struct {
	local    bool   // run the working tree rather than the commit
	named    string // URL by flag; "" is that of origin
	namedSHA string // commit or ref by flag; "" is HEAD
	// namedFolder is that of the flow file in the repository, by flag.
	namedFolder string
	repo        *gitrepo.Repo // nil when there is none
	dir         string        // of the flow file
	commit      string        // "" when there is none
}

func (o *ownRepo) url() string {
	switch {
	case o.named != "":
		return o.named
	case o.repo != nil:
		return o.repo.Origin
	}
	return ""
}

func (o *ownRepo) folder() string {
	if o.namedFolder != "" {
		return o.namedFolder
	}
	if o.repo != nil {
		return o.repo.Folder
	}
	return ""
}

func (o *ownRepo) resume(commit string) {
	if o.namedSHA == "" {
		o.commit = commit // HEAD may have moved on
	}
}

func (o *ownRepo) settle(ctx context.Context, needed bool, archive string) (settled, error) {
	if o.commit == "" && o.repo != nil {
		o.commit = o.repo.Head
	}
	switch {
	case !needed:
		return settled{commit: o.commit}, nil
	case o.local:
		return o.pack(ctx, archive)
	}
	return o.pin(ctx)
}

func (o *ownRepo) pack(ctx context.Context, archive string) (settled, error) {
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
		return settled{}, err
	}
	return settled{
		source: sparky.OwnSource{Commit: o.commit, Archive: a.Path, ArchiveSHA256: a.SHA256},
		commit: o.commit, workingTree: true, notes: append([]string{note}, a.Notes...),
	}, nil
}

// pin makes sure that hosts can fetch the commit.
func (o *ownRepo) pin(ctx context.Context) (settled, error) {
	url := o.url()
	if url == "" {
		if o.repo == nil {
			return settled{}, errors.New("a job is from this repository (path: .), but no git repository is around the flow file; use --local, or --repo and --sha")
		}
		return settled{}, errors.New("a job is from this repository (path: .), but it has no remote origin that hosts could clone; use --local, or --repo and --sha")
	}
	if err := o.name(ctx); err != nil {
		return settled{}, err
	}
	s := settled{source: sparky.OwnSource{URL: url, Commit: o.commit}, commit: o.commit}
	if o.namedSHA != "" {
		return s, nil // whoever names a commit knows where it is
	}
	there, err := o.onRemote(ctx)
	if err != nil {
		return s, fmt.Errorf("look for commit %.12s at %s: %w", o.commit, url, err)
	}
	if !there {
		return s, fmt.Errorf("commit %.12s, which is checked out, is not at %s; push it first, or use --local to run the working tree", o.commit, url)
	}
	if o.repo.Dirty(ctx) {
		s.notes = []string{fmt.Sprintf("the working tree has changes that are not in commit %.12s; hosts do not see them", o.commit)}
	}
	return s, nil
}

// name sets the commit to the full hash of --sha, if that is given.
func (o *ownRepo) name(ctx context.Context) (err error) {
	switch {
	case gitrepo.IsHash(o.namedSHA):
		o.commit = o.namedSHA
	case o.named != "" && strings.HasPrefix(o.namedSHA, "refs/"):
		o.commit, err = gitrepo.Resolve(ctx, o.named, o.namedSHA)
	case o.namedSHA != "" && o.repo != nil:
		o.commit, err = o.repo.Commit(ctx, o.namedSHA)
	case o.namedSHA != "":
		err = fmt.Errorf("--sha %s: give all 40 digits of it", o.namedSHA)
	case o.repo == nil:
		err = errors.New("--repo needs --sha where no git repository is around the flow file")
	case o.commit == "":
		err = errors.New("this repository has no commit yet; commit and push, or use --local")
	}
	return err
}

func (o *ownRepo) onRemote(ctx context.Context) (bool, error) {
	if o.named == "" {
		return o.repo.OnOrigin(ctx, o.commit)
	}
	return gitrepo.IsTip(ctx, o.named, o.commit)
}
