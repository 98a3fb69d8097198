package agent

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/place"
)

// fileStore keeps the files of jobs as project/job-id/name below one folder.
// Names are checked by the callers, and by the os.Root once more.
type fileStore struct {
	path string
	root *os.Root
	disk *diskGuard
}

func openFiles(dir string, disk *diskGuard) (*fileStore, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &fileStore{path: dir, root: root, disk: disk}, nil
}

func (s *fileStore) close() error { return s.root.Close() }

func (s *fileStore) open(project, id, name string) (*os.File, error) {
	f, err := s.root.Open(filepath.Join(project, id, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no file %s of job %s in project %s: %w", name, id, project, fs.ErrNotExist)
	}
	return f, err
}

// put stores what r gives, at most limit bytes, and returns it as an artifact.
// Nobody sees the file before it is complete and on disk.
func (s *fileStore) put(project, id, name string, r io.Reader, limit int64) (flow.Artifact, error) {
	none := flow.Artifact{}
	dir := filepath.Join(project, id)
	if err := s.root.MkdirAll(dir, 0o700); err != nil {
		return none, err
	}
	tmp := filepath.Join(dir, "."+rand.Text()) // no name that a client may use begins with a dot
	f, err := s.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return none, err
	}
	sum := sha256.New()
	n, err := io.Copy(f, io.TeeReader(&quotaReader{r: r, disk: s.disk, left: limit}, sum))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = s.root.Rename(tmp, filepath.Join(dir, name))
	}
	if err != nil {
		return none, errors.Join(err, s.root.Remove(tmp))
	}
	return flow.Artifact{File: name, SHA256: hex.EncodeToString(sum.Sum(nil)), Bytes: n}, nil
}

// removeJob removes all files of a job.
func (s *fileStore) removeJob(project, id string) error {
	err := s.root.RemoveAll(filepath.Join(project, id))
	_ = s.root.Remove(project) // fails while other jobs have files
	return err
}

// names returns what is in a folder of the store, with times of change.
func (s *fileStore) names(dir string) ([]fs.FileInfo, error) {
	f, err := s.root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdir(-1)
}

var errTooLarge = errors.New("the file is too large")

// quotaReader ends with an error when more than left bytes come or the disk
// gets full.
type quotaReader struct {
	r       io.Reader
	disk    *diskGuard
	left    int64
	unasked int64 // bytes since the disk was looked at
}

func (q *quotaReader) Read(p []byte) (int, error) {
	n, err := q.r.Read(p)
	if q.left -= int64(n); q.left < 0 {
		return 0, errTooLarge
	}
	if q.unasked += int64(n); q.unasked >= 64<<20 {
		q.unasked = 0
		if err := q.disk.check(0); err != nil {
			return 0, err
		}
	}
	return n, err
}

// diskGuard refuses work when the disk is nearly full.
type diskGuard struct {
	dir  string
	free func(dir string) (int64, error) // bytes free for this user

	mu   sync.Mutex
	at   time.Time
	last int64
}

type diskFullError struct {
	dir  string
	free int64
}

func (e *diskFullError) Error() string {
	return fmt.Sprintf("the disk of %s has %d MiB free, less than the %d MiB that must stay free; remove files there or lower the number of builds kept",
		e.dir, e.free>>20, MinFreeDisk>>20)
}

// check returns a diskFullError when less than MinFreeDisk would be free after
// n more bytes.
func (d *diskGuard) check(n int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := time.Now(); now.Sub(d.at) > freeDiskAge || n > 0 {
		free, err := d.free(d.dir)
		if err != nil {
			return fmt.Errorf("free space of %s: %w", d.dir, err)
		}
		d.at, d.last = now, free
	}
	if d.last-n < MinFreeDisk {
		return &diskFullError{d.dir, d.last}
	}
	return nil
}

// placeInputs puts the job's input files into .artifacts of the folder where
// the actions run.
func (e *execution) placeInputs() error {
	if len(e.spec.In) == 0 {
		return nil
	}
	root, err := os.OpenRoot(e.work)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // nothing is buffered in it
	for _, in := range e.spec.In {
		if err := e.placeInput(root, in); err != nil {
			return fmt.Errorf("input %s: %w", in.Path, err)
		}
	}
	return nil
}

func (e *execution) placeInput(root *os.Root, in sparky.SpecInput) error {
	src, err := e.a.files.open(e.j.project, e.j.id, in.Name)
	if err != nil {
		return err
	}
	defer src.Close()
	name := filepath.Join(".artifacts", filepath.FromSlash(in.Path))
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	dst, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Close())
}

// keepOutputs copies the job's output files to its own files.
func (e *execution) keepOutputs() error {
	if len(e.spec.Out) == 0 {
		return nil
	}
	root, err := os.OpenRoot(e.work)
	if err != nil {
		return &stepError{"artifact-out", causeInfrastructure, exitSetup, err}
	}
	defer func() { _ = root.Close() }() // nothing is buffered in it
	return e.keep(func(path string) (io.ReadCloser, error) { return openRegular(root, path) })
}

// keep copies the files that open gives. What is wrong with a file is the
// error of open, or of the file's Read.
func (e *execution) keep(open func(path string) (io.ReadCloser, error)) error {
	for _, out := range e.spec.Out {
		if err := e.keepOutput(open, out); err != nil {
			return err
		}
	}
	return nil
}

func (e *execution) keepOutput(open func(path string) (io.ReadCloser, error), out sparky.SpecOutput) error {
	step := "artifact-" + out.File
	fail := func(cause flow.Cause, exit int, err error) error {
		e.sayf("%s\n", err)
		return &stepError{step, cause, exit, err}
	}
	src, err := open(out.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return fail(flow.CauseTask, exitNoFile, fmt.Errorf("artifact %q: no file %s", out.File, out.Path))
	}
	if err != nil {
		return fail(flow.CauseTask, exitNoFile, fmt.Errorf("artifact %q: %w", out.File, err))
	}
	defer src.Close()
	kept, err := e.a.files.put(e.j.project, e.j.id, out.File, src, sparky.MaxFileBody)
	switch there := new(place.FileError); {
	case errors.Is(err, fs.ErrNotExist) && errors.As(err, &there):
		return fail(flow.CauseTask, exitNoFile, fmt.Errorf("artifact %q: no file %s", out.File, out.Path))
	case errors.As(err, &there):
		return fail(flow.CauseTask, exitNoFile, fmt.Errorf("artifact %q: %w", out.File, there))
	case err != nil:
		return fail(causeInfrastructure, exitSetup, fmt.Errorf("artifact %q: %w", out.File, err))
	}
	e.sayf("meta: out=%s bytes=%d\n", out.File, kept.Bytes)
	e.outputs = append(e.outputs, kept)
	return nil
}

// openRegular opens a regular file below root that is no link.
func openRegular(root *os.Root, name string) (*os.File, error) {
	seen, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !seen.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	f, err := root.OpenFile(name, os.O_RDONLY|openNonblock, 0)
	if err != nil {
		return nil, err
	}
	if fi, err := f.Stat(); err != nil || !os.SameFile(fi, seen) {
		return nil, errors.Join(fmt.Errorf("%s changed while it was read", name), err, f.Close())
	}
	return f, nil
}
