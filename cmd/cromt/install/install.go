package install

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Outcome is what became of a project.
type Outcome string

// The outcomes.
const (
	Installed Outcome = "installed"
	Updated   Outcome = "updated"
	Unchanged Outcome = "unchanged"
	Removed   Outcome = "removed"
	Gone      Outcome = "gone" // from the file, but not from the folder: there was no prune
)

// Change says what became of a project.
type Change struct {
	Project string
	Outcome Outcome
}

// Install brings the folder root, which holds a Sparky's projects, in line
// with the flow file, and says what it did: those of the file in its order,
// then those that are gone from it. Only files that differ are written. A
// folder of that name which is not this file's is an error, before anything is
// written. prune removes projects that this file has installed and does not
// have any more, with their builds.
func Install(root string, f *Flow, prune bool) ([]Change, error) {
	projects, err := f.projects(root)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, fmt.Errorf("install: %w", err)
	}
	dir, err := os.OpenRoot(root)
	if err != nil {
		return nil, fmt.Errorf("install: %w", err)
	}
	defer dir.Close()
	var taken []error
	for _, p := range projects {
		taken = append(taken, free(dir, root, p.name, f.Source))
	}
	if err := errors.Join(taken...); err != nil {
		return nil, err
	}
	var changes []Change
	for _, p := range projects {
		outcome, err := p.write(dir)
		if err != nil {
			return changes, fmt.Errorf("project %s install: %w", p.name, err)
		}
		changes = append(changes, Change{p.name, outcome})
	}
	old, err := f.gone(dir)
	if err != nil {
		return changes, fmt.Errorf("install: %w", err)
	}
	for _, name := range old {
		outcome := Gone
		if prune {
			outcome = Removed
			if err := dir.RemoveAll(name); err != nil {
				return changes, fmt.Errorf("project %s remove: %w", name, err)
			}
		}
		changes = append(changes, Change{name, outcome})
	}
	return changes, nil
}

// free reports whether a project's folder may be written: there is none, or it
// was installed from the same file.
func free(dir *os.Root, root, name, source string) error {
	by, err := installedBy(dir, name)
	switch {
	case err == nil && by == source:
		return nil
	case err == nil:
		return fmt.Errorf("project %s: %s was installed from %s; rename the project, or remove that folder", name, filepath.Join(root, name), by)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("project %s: %w", name, err)
	}
	if _, err := dir.Lstat(name); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("project %s: %w", name, err)
	}
	return fmt.Errorf("project %s: %s is there, and was not installed by cromt; rename the project, or remove that folder", name, filepath.Join(root, name))
}

// installedBy returns the flow file that a folder was installed from. The
// error wraps fs.ErrNotExist when cromt did not install it.
func installedBy(dir *os.Root, name string) (string, error) {
	data, err := dir.ReadFile(filepath.Join(name, markName))
	if err != nil {
		return "", err
	}
	var m mark
	if err := json.Unmarshal(data, &m); err != nil || m.Source == "" {
		return "", fmt.Errorf("%s: it is not what cromt writes", filepath.Join(name, markName))
	}
	return m.Source, nil
}

// gone are the projects that this file has installed and does not have now.
func (f *Flow) gone(dir *os.Root) ([]string, error) {
	entries, err := fs.ReadDir(dir.FS(), ".")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") || f.File.Project(e.Name()) != nil {
			continue
		}
		if by, err := installedBy(dir, e.Name()); err == nil && by == f.Source {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// order is that in which a project's files are written: the mark first, so that
// what was interrupted is ours and is mended the next time; the sparrowfile,
// which makes it a project, last.
func order() []string { return []string{markName, copyName, settingsName, sparrowfileName} }

// write writes the files that differ.
func (p project) write(dir *os.Root) (Outcome, error) {
	outcome := Unchanged
	if _, err := dir.Lstat(p.name); errors.Is(err, fs.ErrNotExist) {
		outcome = Installed
	}
	if err := dir.MkdirAll(p.name, 0o755); err != nil {
		return "", err
	}
	for _, name := range order() {
		path := filepath.Join(p.name, name)
		if old, err := dir.ReadFile(path); err == nil && bytes.Equal(old, p.files[name]) {
			continue
		}
		if err := replace(dir, path, p.files[name]); err != nil {
			return "", err
		}
		if outcome == Unchanged {
			outcome = Updated
		}
	}
	return outcome, nil
}

// replace writes a file as a whole: the Sparky may read it at any moment.
func replace(dir *os.Root, path string, data []byte) error {
	temp := path + ".new"
	if err := dir.WriteFile(temp, data, 0o644); err != nil {
		return err
	}
	if err := dir.Rename(temp, path); err != nil {
		return errors.Join(err, dir.Remove(temp))
	}
	return nil
}
