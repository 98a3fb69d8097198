package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// outFile is a file that is there as a whole or not at all: it is written
// beside its place and moved there at the end. What is no regular file, a
// pipe or a terminal, is written directly.
type outFile struct {
	path string
	temp string // "" when path is written directly
	f    *os.File
}

// createFile makes sure that path can be written, before anything is done of
// which it is to tell.
func createFile(path string) (*outFile, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return nil, fmt.Errorf("write: %w", err)
		}
		return &outFile{path: path, f: f}, nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	return &outFile{path: path, temp: f.Name(), f: f}, nil
}

// commit writes the content and moves the file to its place.
func (o *outFile) commit(write func(io.Writer) error) error {
	w := bufio.NewWriter(o.f)
	err := write(w)
	if err == nil {
		err = w.Flush()
	}
	if o.temp != "" {
		err = errors.Join(err, o.f.Chmod(0o644))
	}
	if err = errors.Join(err, o.f.Close()); err == nil && o.temp != "" {
		err = os.Rename(o.temp, o.path)
	}
	if err != nil {
		o.remove()
		return fmt.Errorf("write %s: %w", o.path, err)
	}
	o.temp = ""
	return nil
}

// discard gives up a file that was not committed.
func (o *outFile) discard() {
	if o != nil {
		_ = o.f.Close()
		o.remove()
	}
}

func (o *outFile) remove() {
	if o.temp != "" {
		_ = os.Remove(o.temp)
		o.temp = ""
	}
}
