package bot

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/cromt/cromt/bot/githubapp"
	"github.com/cromt/cromt/sparky"
)

// Sources keeps the archives of commits that runs send to hosts. They can be
// had again, so none is kept for longer than sourceAge.
type Sources struct {
	dir string

	mu      sync.Mutex
	fetches map[string]*fetch
}

type fetch struct {
	done chan struct{}
	err  error
}

// NewSources returns Sources that keep their files below dir.
func NewSources(dir string) (*Sources, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("sources: %w", err)
	}
	return &Sources{dir: dir, fetches: map[string]*fetch{}}, nil
}

// Own returns a commit of a repository as an archive, fetched once however
// many ask for it.
func (s *Sources) Own(ctx context.Context, repo *githubapp.Repo, cloneURL, sha string) (sparky.OwnSource, error) {
	own := sparky.OwnSource{URL: cloneURL, Commit: sha}
	sum := sha256.Sum256([]byte(strings.ToLower(cloneURL) + "\x00" + sha))
	name := filepath.Join(s.dir, fmt.Sprintf("%x.tar.gz", sum[:16]))
	for {
		digest, err := os.ReadFile(name + ".sha256")
		if err == nil && len(digest) != 2*sha256.Size { // a crash while it was written
			err = fs.ErrNotExist
		}
		if err == nil {
			now := time.Now()
			_ = os.Chtimes(name, now, now)
			own.Archive, own.ArchiveSHA256 = name, string(digest)
			return own, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return own, fmt.Errorf("source of %.12s: %w", sha, err)
		}
		err = s.once(ctx, name, func() error { return download(ctx, repo, sha, name) })
		if errors.Is(err, context.Canceled) && ctx.Err() == nil {
			continue // whoever was at it has given up
		}
		if err != nil {
			return own, err
		}
	}
}

// once has f done by one of those that ask for a name at the same time.
func (s *Sources) once(ctx context.Context, name string, f func() error) error {
	s.mu.Lock()
	c := s.fetches[name]
	if c == nil {
		c = &fetch{done: make(chan struct{})}
		s.fetches[name] = c
		s.mu.Unlock()
		c.err = f()
		s.mu.Lock()
		delete(s.fetches, name)
		s.mu.Unlock()
		close(c.done)
		return c.err
	}
	s.mu.Unlock()
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// download fetches an archive. Its sum is written last: with it, it is whole.
func download(ctx context.Context, repo *githubapp.Repo, sha, name string) error {
	f, err := os.CreateTemp(filepath.Dir(name), "new-*")
	if err != nil {
		return fmt.Errorf("source of %.12s: %w", sha, err)
	}
	defer os.Remove(f.Name())
	packed, err := repo.Archive(ctx, sha, f)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("source of %.12s: %w", sha, err)
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return fmt.Errorf("source of %.12s: %w", sha, err)
	}
	return os.WriteFile(name+".sha256", []byte(packed.SHA256), 0o600)
}

// Prune removes archives that nobody has asked for since sourceAge.
func (s *Sources) Prune(now time.Time) error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || strings.HasSuffix(e.Name(), ".sha256") || now.Sub(info.ModTime()) < sourceAge {
			continue
		}
		name := filepath.Join(s.dir, e.Name())
		if err := os.Remove(name + ".sha256"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, os.Remove(name))
	}
	return errors.Join(errs...)
}
