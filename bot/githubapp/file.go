package githubapp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/google/go-github/v60/github"

	"github.com/cromt/cromt/bot/checks"
)

// The modes of git's trees.
const (
	modeFile       = "100644"
	modeExecutable = "100755"
	modeLink       = "120000"
)

// File returns a file as ref, a SHA, branch or tag, has it. ErrNotFound: there
// is none; ErrNotFile: it is something else; more than MaxFile bytes are an
// error.
//
// It goes by the trees, a request for each folder, since the contents API
// follows symbolic links in silence.
func (r *Repo) File(ctx context.Context, path, ref string) ([]byte, error) {
	if err := checkRef(ref); err != nil {
		return nil, err
	}
	parts, err := splitPath(path)
	if err != nil {
		return nil, err
	}
	what := "file " + path + " at " + ref
	at := escapePath(ref)
	for i, part := range parts {
		e, err := r.entry(ctx, what, at, part)
		if err != nil {
			return nil, err
		}
		last := i == len(parts)-1
		if err := checkEntry(e, last); err != nil {
			return nil, fmt.Errorf("%s of %s: %w", what, r.full, err)
		}
		if at = e.GetSHA(); checkSHA(at) != nil {
			return nil, fmt.Errorf("%s of %s: GitHub's answer names no object", what, r.full)
		}
	}
	return r.blob(ctx, what, at)
}

// entry returns what a tree has under a name.
func (r *Repo) entry(ctx context.Context, what, tree, name string) (*github.TreeEntry, error) {
	var t *github.Tree
	err := r.do(ctx, checks.Read, what, needContents, func(ctx context.Context) (err error) {
		t, _, err = r.client.API().Git.GetTree(ctx, r.owner, r.name, tree, false)
		return err
	})
	if checks.StatusOf(err) == http.StatusConflict { // a repository without a commit
		return nil, told{err, ErrNotFound}
	}
	if err != nil {
		return nil, err
	}
	for _, e := range t.Entries {
		if e.GetPath() == name {
			return e, nil
		}
	}
	if t.GetTruncated() {
		return nil, fmt.Errorf("%s of %s: its folder is too large for GitHub to list", what, r.full)
	}
	return nil, fmt.Errorf("%s of %s: %w", what, r.full, ErrNotFound)
}

// checkEntry refuses what is not the file, or not a folder on the way to it.
func checkEntry(e *github.TreeEntry, last bool) error {
	switch kind, mode := e.GetType(), e.GetMode(); {
	case mode == modeLink:
		return fmt.Errorf("%q is a symbolic link: %w", e.GetPath(), ErrNotFile)
	case kind == "commit":
		return fmt.Errorf("%q is a repository of its own: %w", e.GetPath(), ErrNotFile)
	case kind == "tree" && last:
		return fmt.Errorf("it is a folder: %w", ErrNotFile)
	case kind == "tree":
		return nil
	case mode != modeFile && mode != modeExecutable:
		return fmt.Errorf("%q has the mode %.10q: %w", e.GetPath(), mode, ErrNotFile)
	case !last:
		return fmt.Errorf("%q is no folder: %w", e.GetPath(), ErrNotFound)
	case e.GetSize() > MaxFile:
		return tooLarge()
	}
	return nil
}

func tooLarge() error {
	return told{fmt.Errorf("it is larger than %d MiB", MaxFile>>20), ErrTooLarge}
}

// blob returns the content that a name stands for.
func (r *Repo) blob(ctx context.Context, what, sha string) ([]byte, error) {
	var content bytes.Buffer
	err := r.do(ctx, checks.Read, what, needContents, func(ctx context.Context) error {
		content.Reset()
		req, err := r.client.API().NewRequest(http.MethodGet, "repos/"+r.owner+"/"+r.name+"/git/blobs/"+sha, nil)
		if err != nil {
			return err
		}
		req.Header.Set("Accept", "application/vnd.github.raw+json")
		resp, err := r.client.API().BareDo(ctx, req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if kind := resp.Header.Get("Content-Type"); !strings.Contains(kind, "raw") {
			return errors.New("the answer is not the file itself but " + kind)
		}
		_, err = io.Copy(&content, io.LimitReader(resp.Body, MaxFile+1))
		return err
	})
	if err != nil {
		return nil, err
	}
	if content.Len() > MaxFile {
		return nil, fmt.Errorf("%s of %s: %w", what, r.full, tooLarge())
	}
	return content.Bytes(), nil
}
