package githubapp

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"
)

// Packed is an archive that was written.
type Packed struct {
	SHA256 string // of its bytes, in hex
	Size   int64  // its bytes
	Files  int
	Notes  []string // what was left out, for people; at most 20
}

// repack writes GitHub's archive of a commit as one for hosts: without the
// folder that all is in, without times and owners, and without what hosts do
// not unpack.
func repack(in io.Reader, out io.Writer, sha string, limits archiveLimits) (Packed, error) {
	packed := &counter{r: in, left: limits.packed}
	zr, err := gzip.NewReader(packed)
	if err != nil {
		return Packed{}, fmt.Errorf("not a .tar.gz: %w", err)
	}
	sum := sha256.New()
	size := &tally{}
	zw, err := gzip.NewWriterLevel(io.MultiWriter(out, sum, size), gzip.BestSpeed)
	if err != nil {
		return Packed{}, err
	}
	p := &repacker{
		tr: tar.NewReader(&ratioReader{r: zr, packed: packed, limits: limits}), tw: tar.NewWriter(zw),
		sha: sha, limits: limits, left: limits.unpacked, names: map[string]bool{},
	}
	if err := p.all(); err != nil {
		return Packed{}, err
	}
	// What follows the end has the checksum of all.
	if n, err := io.Copy(io.Discard, io.LimitReader(zr, maxTrailer)); err != nil || n == maxTrailer {
		return Packed{}, errors.Join(errors.New("it does not end as an archive does"), err)
	}
	if err := errors.Join(p.tw.Close(), zw.Close()); err != nil {
		return Packed{}, err
	}
	p.done.SHA256, p.done.Size = hex.EncodeToString(sum.Sum(nil)), size.n
	return p.done, nil
}

type repacker struct {
	tr     *tar.Reader
	tw     *tar.Writer
	sha    string
	limits archiveLimits
	left   int64
	seen   int
	top    string          // the folder that all is in
	names  map[string]bool // of files and links
	done   Packed
}

func (p *repacker) all() error {
	for {
		h, err := p.tr.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if p.seen++; p.seen > p.limits.entries {
			return fmt.Errorf("more than %d entries", p.limits.entries)
		}
		if err := p.entry(h); err != nil {
			return fmt.Errorf("entry %.200q: %w", h.Name, err)
		}
	}
}

func (p *repacker) entry(h *tar.Header) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		if at := h.PAXRecords["comment"]; shaForm().MatchString(at) && at != p.sha {
			return fmt.Errorf("the archive is of commit %s", at)
		}
		return nil
	}
	name, err := p.below(strings.TrimSuffix(h.Name, "/"))
	if err != nil {
		return err
	}
	if h.Typeflag == tar.TypeDir { // made for the files in it
		return nil
	}
	if name == "" {
		return errors.New("it is not in the archive's folder")
	}
	if err := p.claim(name); err != nil {
		return err
	}
	o := &tar.Header{Name: name, Typeflag: h.Typeflag, Mode: 0o644, ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
	switch h.Typeflag {
	case tar.TypeReg:
		return p.file(o, h)
	case tar.TypeSymlink:
		return p.link(o, h.Linkname)
	}
	return fmt.Errorf("type %q is not a file, a folder or a symbolic link", h.Typeflag)
}

// below is a name without the first folder, which all names share.
func (p *repacker) below(name string) (string, error) {
	top, rest, _ := strings.Cut(name, "/")
	if p.top == "" {
		p.top = top
	}
	switch {
	case strings.ContainsRune(name, 0) || len(name) > maxPath:
		return "", errors.New("the name is none of a file")
	case top == "" || top == "." || top == ".." || top != p.top:
		return "", fmt.Errorf("it is not in the archive's folder %.100q", p.top)
	case rest == "" && name == top:
		return "", nil
	}
	for part := range strings.SplitSeq(rest, "/") {
		if part == "" || part == "." || part == ".." || strings.EqualFold(part, ".git") {
			return "", errors.New("the name leads out of the archive, or into a repository")
		}
	}
	return rest, nil
}

// claim refuses a name that there has been, and one below what is no folder.
func (p *repacker) claim(name string) error {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if p.names[dir] {
			return fmt.Errorf("%.200q is no folder", dir)
		}
	}
	if p.names[name] {
		return errors.New("there are two of the name")
	}
	p.names[name] = true
	return nil
}

func (p *repacker) file(o, h *tar.Header) error {
	if p.left -= h.Size; h.Size < 0 || p.left < 0 {
		return fmt.Errorf("more than %d bytes unpacked", p.limits.unpacked)
	}
	if o.Size = h.Size; h.Mode&0o100 != 0 {
		o.Mode = 0o755
	}
	if err := p.tw.WriteHeader(o); err != nil {
		return err
	}
	p.done.Files++
	_, err := io.Copy(p.tw, p.tr)
	return err
}

// link keeps a symbolic link that hosts would make: they refuse the whole
// archive for one that leads out.
func (p *repacker) link(o *tar.Header, target string) error {
	inside := path.Join(path.Dir(o.Name), target)
	if target == "" || len(target) > maxLink || path.IsAbs(target) || inside == ".." || strings.HasPrefix(inside, "../") || climbs(target) {
		if len(p.done.Notes) < maxNotes {
			p.done.Notes = append(p.done.Notes, fmt.Sprintf("the symbolic link %s leads out of the repository and was left out", o.Name))
		}
		return nil
	}
	o.Mode, o.Linkname = 0o777, target
	return p.tw.WriteHeader(o)
}

// climbs reports whether a link's target goes up after it went down: where it
// then is depends on other links.
func climbs(target string) bool {
	down := false
	for part := range strings.SplitSeq(target, "/") {
		if part == ".." && down {
			return true
		}
		down = down || part != ".." && part != "." && part != ""
	}
	return false
}

// counter is a reader of at most left bytes.
type counter struct {
	r    io.Reader
	left int64
	n    int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	if c.left -= int64(n); c.left < 0 {
		return 0, fmt.Errorf("more than %d bytes to download", c.n+c.left)
	}
	return n, err
}

// ratioReader fails when what it reads has become much more than what it was
// unpacked from.
type ratioReader struct {
	r      io.Reader
	packed *counter
	limits archiveLimits
	n      int64
}

func (r *ratioReader) Read(b []byte) (int, error) {
	n, err := r.r.Read(b)
	r.n += int64(n)
	if r.n > r.limits.ratioFrom && r.n/r.limits.ratio > r.packed.n {
		return 0, fmt.Errorf("it unpacks to more than %d times its size", r.limits.ratio)
	}
	return n, err
}

// tally counts what is written.
type tally struct{ n int64 }

func (t *tally) Write(b []byte) (int, error) {
	t.n += int64(len(b))
	return len(b), nil
}
