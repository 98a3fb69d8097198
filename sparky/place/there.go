package place

import (
	"archive/tar"
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cromt/cromt/sparky/tomtit"
)

// Command is the argument with which the program is to call [There].
const Command = "there"

// What the copy there is asked to do.
const (
	opHello  = "hello"
	opUnpack = "unpack"
	opRun    = "run"
	opRead   = "read"
	opWrite  = "write"
)

// request is the first line of standard input.
type request struct {
	Op    string        `json:"op"`
	Dir   string        `json:"dir,omitempty"`
	Path  string        `json:"path,omitempty"`
	Job   Job           `json:"job"`
	Grace time.Duration `json:"grace,omitempty"`
	Room  string        `json:"room,omitempty"` // to remove when nobody watches any more
}

// There is the program at a place. It reads what to do from stdin.
func There(stdin io.Reader, stdout, stderr io.Writer) int {
	var a answer
	in := bufio.NewReader(stdin)
	q, err := readRequest(in)
	if err == nil {
		a.Exit, err = q.do(in, stdout)
	}
	if err != nil {
		a.Error, a.Missing = err.Error(), errors.Is(err, fs.ErrNotExist)
	}
	line, _ := json.Marshal(a) // it has no other form
	fmt.Fprintf(stderr, "%s%s\n", answerPrefix, line)
	return 0
}

func readRequest(in *bufio.Reader) (q request, err error) {
	var line []byte
	for len(line) <= maxHeader {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		if err == nil {
			break
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return q, fmt.Errorf("request: %w", err)
		}
	}
	if err = json.Unmarshal(line, &q); err != nil {
		return q, fmt.Errorf("request: %w", err)
	}
	return q, nil
}

func (q *request) do(in io.Reader, out io.Writer) (exit int, err error) {
	switch q.Op {
	case opHello:
		return 0, nil
	case opUnpack:
		return 0, unpack(in, q.Dir)
	case opRead:
		return 0, read(q.Dir, q.Path, out)
	case opWrite:
		return 0, write(q.Dir, q.Path, in)
	case opRun:
		return q.run(in, out)
	}
	return 1, fmt.Errorf("request %.20q is not known", q.Op)
}

// run runs the scenario until it ends, or standard input does.
func (q *request) run(in io.Reader, out io.Writer) (exit int, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, in)
		cancel()
	}()
	dir, err := home(q.Job.Dir)
	if err != nil {
		return 1, err
	}
	env := environment(q.Job.Env)
	cache, err := os.MkdirTemp(q.Room, "run-")
	if err != nil {
		return 1, err
	}
	env = append(env, "TMPDIR="+cache)
	runner := tomtit.Runner{Dir: dir, Env: env, Out: out, Tom: tomtit.FindTom(env), Cache: cache, Grace: q.Grace}
	exit, err = runner.Run(ctx, q.Job.Action, q.Job.Options)
	if ctx.Err() != nil {
		err = errors.Join(err, os.RemoveAll(q.Room))
	}
	return exit, errors.Join(err, os.RemoveAll(cache))
}

// environment is that of a scenario: where programs are and who runs them is
// for the place to say.
func environment(job []string) []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "USER", "LOGNAME", "SHELL"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	if os.Getenv("PATH") == "" {
		env = append(env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	}
	env = append(env, "LANG=C.UTF-8", "TERM=dumb", "PAGER=cat", "GIT_PAGER=cat")
	return append(env, job...)
}

// home returns dir with ~ replaced.
func home(dir string) (string, error) {
	if rest, ok := strings.CutPrefix(dir, "~"); ok {
		h, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(h, rest)
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return "", fmt.Errorf("%s is not a directory there", dir)
	}
	return dir, nil
}

// read writes a regular file that is no link and lies below dir.
func read(dir, path string, out io.Writer) error {
	dir, err := home(dir)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	info, err := root.Lstat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", path)
	}
	f, err := root.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if now, err := f.Stat(); err != nil || !os.SameFile(now, info) {
		return errors.Join(fmt.Errorf("%s changed while it was read", path), err)
	}
	_, err = io.Copy(out, f)
	return err
}

// write puts a file in place of what may be there.
func write(dir, path string, in io.Reader) error {
	dir, err := home(dir)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := root.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return create(root, path, 0o644, in)
}

func create(root *os.Root, name string, mode fs.FileMode, from io.Reader) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	return errors.Join(err, f.Close())
}

// unpack writes a tar of pack to the new folder dir.
func unpack(in io.Reader, dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	tr := tar.NewReader(in)
	for n := 0; ; n++ {
		h, err := tr.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case n > maxEntries:
			return fmt.Errorf("more than %d files", maxEntries)
		}
		if err := unpackEntry(root, h, tr); err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
	}
}

func unpackEntry(root *os.Root, h *tar.Header, r io.Reader) error {
	name := filepath.FromSlash(strings.TrimSuffix(h.Name, "/"))
	switch h.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(name, 0o755)
	case tar.TypeSymlink:
		return root.Symlink(h.Linkname, name)
	}
	return create(root, name, fs.FileMode(h.Mode)&0o777, r)
}

// pack writes the folder dir as a tar: files, folders and links as they are.
func pack(w io.Writer, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	tw := tar.NewWriter(w)
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		return packEntry(tw, root, name, d)
	})
	if err != nil {
		return err
	}
	return tw.Close()
}

func packEntry(tw *tar.Writer, root *os.Root, name string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	h := &tar.Header{Name: name, Mode: int64(info.Mode().Perm()), Format: tar.FormatPAX}
	switch {
	case d.IsDir():
		h.Typeflag, h.Name = tar.TypeDir, name+"/"
	case info.Mode()&fs.ModeSymlink != 0:
		h.Typeflag = tar.TypeSymlink
		if h.Linkname, err = root.Readlink(name); err != nil {
			return err
		}
	case info.Mode().IsRegular():
		h.Typeflag, h.Size = tar.TypeReg, info.Size()
	default:
		return nil // a pipe or a socket
	}
	if err := tw.WriteHeader(h); err != nil || h.Typeflag != tar.TypeReg {
		return err
	}
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.CopyN(tw, f, h.Size)
	return err
}
