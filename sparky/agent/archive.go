package agent

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/cromt/cromt/sparky"
)

// unpack makes the checkout from a source archive that was put to this host.
func (e *execution) unpack(ctx context.Context, src *sparky.SpecSource) error {
	err := e.unpackFile(ctx, src)
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	err = fmt.Errorf("source archive %s: %w", src.File, err)
	e.sayf("%s\n", err)
	return &stepError{"clone", causeInfrastructure, exitSetup, err}
}

func (e *execution) unpackFile(ctx context.Context, src *sparky.SpecSource) error {
	f, err := e.a.files.open(src.Project, src.JobID, src.File)
	if err != nil {
		return err
	}
	defer f.Close()
	// The sum is checked before a single entry is believed.
	sum := sha256.New()
	if _, err := io.Copy(sum, contextReader{ctx, f}); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != src.SHA256 {
		return fmt.Errorf("has sha256 %s, not %s", got, src.SHA256)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := os.Mkdir(e.root, 0o700); err != nil {
		return err
	}
	root, err := os.OpenRoot(e.root)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // nothing is buffered in it
	return untar(contextReader{ctx, f}, &unpacker{root: root, disk: e.a.disk, entries: maxArchiveEntries, bytes: maxArchiveBytes})
}

// contextReader fails when its context is done.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// unpacker writes the entries of an archive below a root.
type unpacker struct {
	root    *os.Root
	disk    *diskGuard
	entries int   // how many may still come
	bytes   int64 // how many may still come
	links   []string
}

// untar unpacks a .tar.gz. It refuses whatever is not a file, a folder or a
// symbolic link that stays inside.
func untar(r io.Reader, u *unpacker) error {
	zr, err := gzip.NewReader(r)
	if err != nil {
		return err
	}
	tr := tar.NewReader(zr)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return u.checkLinks()
		}
		if err != nil {
			return err
		}
		if u.entries--; u.entries < 0 {
			return fmt.Errorf("more than %d entries", maxArchiveEntries)
		}
		if err := u.entry(h, tr); err != nil {
			return fmt.Errorf("entry %q: %w", cut(h.Name, 200), err)
		}
	}
}

func (u *unpacker) entry(h *tar.Header, r io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader { // of git archive: the commit as a comment
		return nil
	}
	name := strings.TrimSuffix(strings.TrimPrefix(h.Name, "./"), "/")
	if (name == "" || name == ".") && h.Typeflag == tar.TypeDir {
		return nil
	}
	if !isInside(name) {
		return errors.New("the name leads out of the archive")
	}
	if dir := path.Dir(name); dir != "." {
		if err := u.root.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return u.root.MkdirAll(name, 0o755)
	case tar.TypeReg:
		return u.file(name, h, r)
	case tar.TypeSymlink:
		if !isInside(path.Join(path.Dir(name), h.Linkname)) || path.IsAbs(h.Linkname) {
			return fmt.Errorf("the link to %q leads out of the archive", cut(h.Linkname, 200))
		}
		u.links = append(u.links, name)
		return u.root.Symlink(h.Linkname, name)
	default:
		return fmt.Errorf("type %q is not a file, a folder or a symbolic link", h.Typeflag)
	}
}

func (u *unpacker) file(name string, h *tar.Header, r io.Reader) error {
	if u.bytes -= h.Size; h.Size < 0 || u.bytes < 0 {
		return fmt.Errorf("more than %d bytes unpacked", int64(maxArchiveBytes))
	}
	if h.Size > transferStep {
		if err := u.disk.check(h.Size); err != nil {
			return err
		}
	}
	f, err := u.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600|os.FileMode(h.Mode)&0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}

// checkLinks finds links that lead out by way of other links.
func (u *unpacker) checkLinks() error {
	for _, name := range u.links {
		if _, err := u.root.Stat(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("link %q: %w", cut(name, 200), err)
		}
	}
	return nil
}

// isInside reports whether the slash-separated path stays below where it starts.
func isInside(name string) bool {
	clean := path.Clean(name)
	return name != "" && !path.IsAbs(name) && clean != ".." && !strings.HasPrefix(clean, "../") &&
		!strings.Contains("/"+name+"/", "/../")
}
