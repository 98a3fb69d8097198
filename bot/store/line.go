package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// inLine is the condition that a run is of a branch that was pushed, or of a
// pull request, with both as parameters; "" and 0 are none.
const inLine = `(r.event = 'push' AND r.branch <> '' AND r.branch = ? OR r.pull <> 0 AND r.pull = ?)`

// Open returns the runs of a class that pushes to a branch of a repository
// have started, or a pull request has, and that are not completed: oldest
// first, without Spec. branch "" and pull 0 are none. None of them ends before
// the transaction does, so that a run which is created in it and has to wait
// for one of them is known to it when it ends.
func (tx *Tx) Open(ctx context.Context, repo, branch string, pull int64, class string) ([]*Run, error) {
	runs, err := open(ctx, tx.conn, repo, branch, pull, class)
	if err != nil {
		return nil, err
	}
	for _, r := range runs {
		if _, err := tx.exec(ctx, `UPDATE leases SET changes = changes + 1 WHERE run = ?`, r.ID); err != nil {
			return nil, fmt.Errorf("runs of %s: %w", repo, err)
		}
	}
	return runs, nil
}

// Open is like Tx.Open for whoever writes nothing.
func (s *Store) Open(ctx context.Context, repo, branch string, pull int64, class string) ([]*Run, error) {
	return open(ctx, s.reader(), repo, branch, pull, class)
}

func open(ctx context.Context, c conn, repo, branch string, pull int64, class string) ([]*Run, error) {
	runs, err := list(ctx, c, scanRun, `SELECT `+runColumns+` FROM runs r
		WHERE r.repo = ? AND r.state <> 'completed' AND r.class = ? AND `+inLine+` ORDER BY r.created_at, r.id`, repo, class, branch, pull)
	if err != nil {
		return nil, fmt.Errorf("runs of %s: %w", repo, err)
	}
	return runs, nil
}

// wakeLine has those runs looked at that may have waited for one that ends.
func (tx *Tx) wakeLine(ctx context.Context, run string) error {
	waiting, err := list(ctx, tx.conn, func(row scanner) (id string, err error) {
		err = row.Scan(&id)
		return id, err
	}, `SELECT r.id FROM runs r JOIN runs e ON e.id = ?
		WHERE r.repo = e.repo AND r.state <> 'completed' AND r.state = 'queued' AND r.class = e.class AND r.id <> e.id
		AND (r.branch <> '' AND r.branch = e.branch OR r.pull <> 0 AND r.pull = e.pull) ORDER BY r.id`, run)
	if err != nil {
		return err
	}
	for _, id := range waiting {
		if err := tx.wake(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// At returns the runs of the classes at a commit of a repository, oldest
// first, with their Spec but for its Config.
func (s *Store) At(ctx context.Context, repo, sha string, classes ...string) ([]*Run, error) {
	return at(ctx, s.reader(), repo, sha, classes)
}

// At is like Store.At within the transaction.
func (tx *Tx) At(ctx context.Context, repo, sha string, classes ...string) ([]*Run, error) {
	return at(ctx, tx.conn, repo, sha, classes)
}

func at(ctx context.Context, c conn, repo, sha string, classes []string) ([]*Run, error) {
	args := []any{repo, sha}
	for _, class := range classes {
		args = append(args, class)
	}
	runs, err := list(ctx, c, func(row scanner) (*Run, error) {
		var path, roots, vars string
		r, err := scanRunAnd(row, &path, &roots, &vars)
		if err != nil {
			return nil, err
		}
		r.Spec.ConfigPath = path
		if err := json.Unmarshal([]byte(roots), &r.Spec.Roots); err != nil {
			return nil, err
		}
		return r, json.Unmarshal([]byte(vars), &r.Spec.Vars)
	}, `SELECT `+runColumns+`, d.config_path, d.roots, d.vars FROM runs r JOIN run_data d ON d.run = r.id
		WHERE r.repo = ? AND r.sha = ? AND r.class IN (`+marks(len(classes))+`) ORDER BY r.created_at, r.id`, args...)
	if err != nil {
		return nil, fmt.Errorf("runs of %s at %s: %w", repo, sha, err)
	}
	return runs, nil
}

// Join changes what a run is to run and where it comes from, if it has not
// begun and nobody is about to work it; the owner of a run reads its Spec after
// Claim. False: it is too late for that.
func (tx *Tx) Join(ctx context.Context, run string, o Origin, roots []string) (bool, error) {
	n, err := tx.exec(ctx, `UPDATE leases SET changes = changes + 1 WHERE run = ? AND owner = ''`, run)
	if err == nil && n > 0 {
		n, err = tx.exec(ctx, `UPDATE runs SET event = ?, pull = ?, title = ?, reason = ? WHERE id = ? AND state IN (?, ?)`,
			o.Event, o.PullNumber, o.Title, o.Reason, run, Queued, Waiting)
	}
	if err == nil && n > 0 {
		var list []byte
		if list, err = json.Marshal(roots); err == nil {
			_, err = tx.exec(ctx, `UPDATE run_data SET roots = ? WHERE run = ?`, string(list), run)
		}
		tx.changed = append(tx.changed, run)
	}
	if err != nil {
		return false, fmt.Errorf("run %s join: %w", run, err)
	}
	return n > 0, nil
}

// SetLine notes that a run, begun or not, answers another event as well: a
// push, or a pull request.
func (tx *Tx) SetLine(ctx context.Context, run, event string, pull int64) error {
	if _, err := tx.exec(ctx, `UPDATE runs SET event = ?, pull = ? WHERE id = ?`, event, pull, run); err != nil {
		return fmt.Errorf("run %s: %w", run, err)
	}
	return nil
}

// UnpostedAt returns the runs at a commit of a repository that are completed
// and have check runs whose final state GitHub does not have.
func (s *Store) UnpostedAt(ctx context.Context, repo, sha string) ([]string, error) {
	runs, err := list(ctx, s.reader(), func(row scanner) (id string, err error) {
		err = row.Scan(&id)
		return id, err
	}, `SELECT DISTINCT r.id FROM runs r JOIN checks ON checks.run = r.id
		WHERE r.repo = ? AND r.sha = ? AND r.state = 'completed' AND checks.acked < checks.version ORDER BY r.id`, repo, sha)
	if err != nil {
		return nil, fmt.Errorf("checks unposted of %s at %s: %w", repo, strings.ToLower(sha), err)
	}
	return runs, nil
}
