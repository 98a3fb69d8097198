package agent

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
)

// folders lends the folders that jobs run with. One that comes back empty is
// lent again: making and removing a folder costs more than all else that the
// agent does for a short job.
type folders struct {
	dir string

	mu   sync.Mutex
	free []string
	made int
}

// take returns an empty folder of mode 0700.
func (f *folders) take() (string, error) {
	f.mu.Lock()
	if n := len(f.free); n > 0 {
		dir := f.free[n-1]
		f.free = f.free[:n-1]
		f.mu.Unlock()
		return dir, nil
	}
	f.made++
	dir := filepath.Join(f.dir, strconv.Itoa(f.made))
	f.mu.Unlock()
	return dir, os.Mkdir(dir, 0o700)
}

// giveBack empties the folder.
func (f *folders) giveBack(dir string) error {
	if !isPristine(dir) {
		return removeTree(dir)
	}
	f.mu.Lock()
	f.free = append(f.free, dir)
	f.mu.Unlock()
	return nil
}

// isPristine reports whether dir is as take gives it, whatever a job did to it.
func isPristine(dir string) bool {
	fi, err := os.Lstat(dir)
	return err == nil && fi.Mode() == fs.ModeDir|0o700 && isEmptyDir(dir)
}

// removeTree removes dir, also when the job took write permission from folders.
func removeTree(dir string) error {
	err := os.RemoveAll(dir)
	if err == nil {
		return nil
	}
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(path, 0o700) // RemoveAll says what is left
		}
		return nil
	})
	return os.RemoveAll(dir)
}

// clearFolder removes what is in dir.
func clearFolder(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		errs = append(errs, removeTree(filepath.Join(dir, e.Name())))
	}
	return errors.Join(errs...)
}
