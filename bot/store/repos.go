package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Repo is a repository that the App is installed for.
type Repo struct {
	Name         string // owner/name
	ID           int64  // GitHub's; 0: not known
	Installation int64
	Branch       string    // the default one
	Since        time.Time // when the App got to know it
	SHA          string    // of Branch, when Config was read; "": never
	Config       []byte    // nil: it has none
	ReadAt       time.Time
	version      int64 // rises with every change
}

const repoColumns = `repo, repo_id, installation, branch, since, sha, config, read_at, version`

func scanRepo(row scanner) (*Repo, error) {
	var r Repo
	var since, read int64
	err := row.Scan(&r.Name, &r.ID, &r.Installation, &r.Branch, &since, &r.SHA, &r.Config, &read, &r.version)
	if err == nil && r.Config != nil {
		r.Config, err = unpack(r.Config)
	}
	r.Since, r.ReadAt = fromMicros(since), fromMicros(read)
	return &r, err
}

// InstalledRepo returns a repository. The error wraps ErrNotFound when the App
// is not known to be installed there.
func (s *Store) InstalledRepo(ctx context.Context, name string) (*Repo, error) {
	r, err := scanRepo(s.reader().row(ctx, `SELECT `+repoColumns+` FROM repos WHERE repo = ?`, name))
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("repository %s: %w", name, err)
	}
	return r, nil
}

// SetInstalled says which repositories an installation has; of each it takes
// Name, ID and Branch. Its others are forgotten, and their runs end. What there
// is of another repository that has had the name before does not stay under it.
func (s *Store) SetInstalled(ctx context.Context, installation int64, repos []Repo) error {
	ids, names := map[int64]bool{}, map[string]bool{}
	for _, r := range repos {
		ids[r.ID], names[r.Name] = true, true
	}
	delete(ids, 0)
	err := s.Tx(ctx, func(ctx context.Context, tx *Tx) error {
		have, err := tx.installed(ctx, installation)
		if err != nil {
			return err
		}
		for name, id := range have {
			if names[name] {
				continue
			}
			if err := tx.forget(ctx, name, id, !ids[id]); err != nil {
				return err
			}
		}
		for _, r := range repos {
			if id, ok := have[r.Name]; !ok || id != r.ID {
				if err := tx.takeName(ctx, r.Name, r.ID); err != nil {
					return err
				}
			}
			// What was read of another branch is of no use.
			if _, err := tx.exec(ctx, `INSERT INTO repos (repo, repo_id, installation, branch, since) VALUES (?, ?, ?, ?, {{micros}})
				ON CONFLICT (repo) DO UPDATE SET repo_id = excluded.repo_id, installation = excluded.installation, branch = excluded.branch,
					read_at = CASE WHEN repos.branch = excluded.branch THEN repos.read_at ELSE 0 END,
					version = repos.version + CASE WHEN repos.branch = excluded.branch AND repos.installation = excluded.installation THEN 0 ELSE 1 END`,
				r.Name, r.ID, installation, r.Branch); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("repositories of installation %d: %w", installation, err)
	}
	return nil
}

// installed are the repositories that an installation is known to have, with
// their ids.
func (tx *Tx) installed(ctx context.Context, installation int64) (map[string]int64, error) {
	have := map[string]int64{}
	_, err := list(ctx, tx.conn, func(row scanner) (name string, err error) {
		var id int64
		err = row.Scan(&name, &id)
		have[name] = id
		return name, err
	}, `SELECT repo, repo_id FROM repos WHERE installation = ?`, installation)
	return have, err
}

// takeName moves what there is of other repositories of a name out of the way
// of the one that has it now, to a name that nobody can have.
func (tx *Tx) takeName(ctx context.Context, name string, id int64) error {
	if id == 0 {
		return nil
	}
	const others = ` WHERE repo = ? AND repo_id NOT IN (0, ?)`
	if err := tx.cancelAll(ctx, `SELECT id FROM runs`+others+` AND state <> 'completed'`, name, id); err != nil {
		return err
	}
	n, err := tx.exec(ctx, `UPDATE runs SET repo = repo || ' ' || CAST(repo_id AS TEXT)`+others, name, id)
	if err != nil || n == 0 {
		return err
	}
	for _, table := range []string{"approvals", "heads", "ticks"} {
		if _, err := tx.exec(ctx, `DELETE FROM `+table+` WHERE repo = ?`, name); err != nil {
			return err
		}
	}
	return nil
}

// cancelAll cancels the runs that a query names: nobody has a right any more
// to what they do.
func (tx *Tx) cancelAll(ctx context.Context, query string, args ...any) error {
	runs, err := tx.names(ctx, query, args...)
	if err != nil {
		return err
	}
	for _, run := range runs {
		if err := tx.Cancel(ctx, run, "the App being removed from the repository", ""); err != nil {
			return err
		}
	}
	return nil
}

// SetInstallations says which installations there are. The repositories of
// others are forgotten.
func (s *Store) SetInstallations(ctx context.Context, ids []int64) error {
	err := s.Tx(ctx, func(ctx context.Context, tx *Tx) error {
		have, err := list(ctx, tx.conn, func(row scanner) (id int64, err error) {
			err = row.Scan(&id)
			return id, err
		}, `SELECT DISTINCT installation FROM repos`)
		if err != nil {
			return err
		}
		for _, id := range have {
			if slices.Contains(ids, id) {
				continue
			}
			repos, err := tx.installed(ctx, id)
			if err != nil {
				return err
			}
			for name, repo := range repos {
				if err := tx.forget(ctx, name, repo, true); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("installations: %w", err)
	}
	return nil
}

func (tx *Tx) names(ctx context.Context, query string, args ...any) ([]string, error) {
	return list(ctx, tx.conn, func(row scanner) (name string, err error) {
		err = row.Scan(&name)
		return name, err
	}, query, args...)
}

// forget removes a repository and its schedules. Its runs stay, but they end,
// if it is gone; otherwise it has another name now.
func (tx *Tx) forget(ctx context.Context, name string, id int64, gone bool) error {
	if gone {
		if err := tx.cancelAll(ctx, `SELECT id FROM runs WHERE (repo = ? OR repo_id = ? AND repo_id <> 0) AND state <> 'completed' ORDER BY id`, name, id); err != nil {
			return err
		}
	}
	for _, table := range []string{"repos", "schedules"} {
		if _, err := tx.exec(ctx, `DELETE FROM `+table+` WHERE repo = ?`, name); err != nil {
			return err
		}
	}
	return nil
}

// ReposToRead returns repositories whose configuration was read before a time,
// or never, at most limit of an installation, those that have waited longest
// first, without Config.
func (s *Store) ReposToRead(ctx context.Context, before time.Time, limit int) ([]*Repo, error) {
	return s.repos(ctx, `read_at`, `TRUE`, before, limit)
}

// ReposToCompare returns repositories with a configuration whose pull requests
// were compared before a time, or never, at most limit of an installation,
// those that have waited longest first, without Config.
func (s *Store) ReposToCompare(ctx context.Context, before time.Time, limit int) ([]*Repo, error) {
	return s.repos(ctx, `pulls_at`, `config IS NOT NULL`, before, limit)
}

func (s *Store) repos(ctx context.Context, column, where string, before time.Time, limit int) ([]*Repo, error) {
	repos, err := list(ctx, s.reader(), scanRepo, `SELECT repo, repo_id, installation, branch, since, sha, NULL, read_at, version FROM
		(SELECT *, row_number() OVER (PARTITION BY installation ORDER BY `+column+`, repo) AS place FROM repos WHERE `+where+` AND `+column+` < ?) AS r
		WHERE place <= ? ORDER BY `+column+`, repo`, micros(before), limit)
	if err != nil {
		return nil, fmt.Errorf("repositories: %w", err)
	}
	return repos, nil
}

// ReadAgain says that a repository is to be read as if it had been read at a
// time: an attempt has failed.
func (s *Store) ReadAgain(ctx context.Context, repo string, at time.Time) error {
	return s.Tx(ctx, func(ctx context.Context, tx *Tx) error {
		if _, err := tx.exec(ctx, `UPDATE repos SET read_at = ? WHERE repo = ?`, micros(at), repo); err != nil {
			return fmt.Errorf("repository %s: %w", repo, err)
		}
		return nil
	})
}

// Compared notes when the pull requests of a repository were compared.
func (tx *Tx) Compared(ctx context.Context, repo string, at time.Time) error {
	if _, err := tx.exec(ctx, `UPDATE repos SET pulls_at = ? WHERE repo = ?`, micros(at), repo); err != nil {
		return fmt.Errorf("repository %s: %w", repo, err)
	}
	return nil
}

// HasRun reports whether a commit has a run of a class.
func (s *Store) HasRun(ctx context.Context, repo, sha, class string) (bool, error) {
	var n int
	err := s.reader().row(ctx, `SELECT count(*) FROM runs WHERE repo = ? AND sha = ? AND class = ?`, repo, sha, class).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("runs of %s: %w", repo, err)
	}
	return n > 0, nil
}
