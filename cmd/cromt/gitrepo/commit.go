package gitrepo

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Has reports whether the commit is in the repository on this machine.
func (r *Repo) Has(ctx context.Context, commit string) bool {
	_, err := r.git(ctx, "cat-file", "-e", commit+"^{commit}")
	return err == nil
}

// Fetch brings a commit, without its history, from the repository at url, or
// the remote of that name.
func (r *Repo) Fetch(ctx context.Context, url, commit string, auth Auth) error {
	_, err := gitAs(ctx, fetchTimeout, r.Root, append(r.settings(), auth.at(url)...), "fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--depth=1", "--end-of-options", url, commit)
	if err != nil {
		return auth.mask(err)
	}
	return nil
}

// ErrNoFile is wrapped by the error for a file that a commit does not have.
var ErrNoFile = errors.New("no such file in the commit")

// File returns a file of a commit. path is below the repository's root, with
// slashes.
func (r *Repo) File(ctx context.Context, commit, path string) ([]byte, error) {
	entries, err := r.tree(ctx, commit, path)
	if err != nil {
		return nil, err
	}
	if len(entries) != 1 || entries[0].path != path || !entries[0].regular() {
		return nil, fmt.Errorf("%s at %.12s: %w", path, commit, ErrNoFile)
	}
	out, err := r.git(ctx, "cat-file", "blob", entries[0].hash)
	return []byte(out), err
}

// treeEntry is a file of a commit.
type treeEntry struct {
	mode, hash, path string
	size             int64
}

func (e *treeEntry) regular() bool { return e.mode == "100644" || e.mode == "100755" }

// tree lists the files of a commit, or those at or below path.
func (r *Repo) tree(ctx context.Context, commit, path string) ([]treeEntry, error) {
	args := []string{"ls-tree", "-r", "-l", "-z", "--full-tree", "--", commit}
	if path != "" {
		args = append(args, path)
	}
	out, err := r.git(ctx, args...)
	if err != nil {
		return nil, err
	}
	var entries []treeEntry
	for line := range strings.SplitSeq(strings.TrimRight(out, "\x00"), "\x00") {
		if line == "" {
			continue
		}
		info, name, ok := strings.Cut(line, "\t")
		f := strings.Fields(info) // mode, type, hash, size
		if !ok || len(f) != 4 {
			return nil, fmt.Errorf("git ls-tree: cannot read %.80q", line)
		}
		size, _ := strconv.ParseInt(f[3], 10, 64) // "-" for what is no file
		entries = append(entries, treeEntry{mode: f[0], hash: f[2], path: name, size: size})
	}
	return entries, nil
}

// PackCommit packs the files of a commit as a .tar.gz at path, whatever lies
// in the working tree. The same commit gives the same bytes.
func (r *Repo) PackCommit(ctx context.Context, commit, path string) (*Archive, error) {
	entries, err := r.tree(ctx, commit, "")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	a, err := packTo(path, r.Root, maxTree, func(p *packer) error { return r.packEntries(ctx, p, entries) })
	if err != nil {
		return nil, fmt.Errorf("pack commit %.12s: %w", commit, err)
	}
	return a, nil
}

// packEntries has one git print all files, in the order of entries.
func (r *Repo) packEntries(ctx context.Context, p *packer, entries []treeEntry) error {
	var hashes strings.Builder
	files := entries[:0:0]
	for _, e := range entries {
		switch {
		case e.regular() || e.mode == "120000":
			hashes.WriteString(e.hash + "\n")
			files = append(files, e)
		default:
			p.a.Notes = append(p.a.Notes, fmt.Sprintf("%s is a repository of its own and was left out", e.path))
		}
	}
	cmd := gitCommand(ctx, r.Root, r.settings(), "cat-file", "--batch")
	cmd.Stdin = strings.NewReader(hashes.String())
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("git: %w", err)
	}
	br := bufio.NewReader(out)
	for i := range files {
		if err = p.addBlob(&files[i], br); err != nil {
			break
		}
	}
	_ = out.Close() // ends a git that has more to say
	if werr := cmd.Wait(); err == nil {
		var exit *exec.ExitError
		if errors.As(werr, &exit) {
			werr = fmt.Errorf("git cat-file: %w", werr)
		}
		err = werr
	}
	return err
}

// addBlob packs one file from the output of cat-file --batch: a line with its
// hash, kind and size, the content, a newline.
func (p *packer) addBlob(e *treeEntry, br *bufio.Reader) error {
	line, err := br.ReadString('\n')
	if err != nil {
		return fmt.Errorf("git cat-file: %w", err)
	}
	f := strings.Fields(line)
	if len(f) != 3 || f[0] != e.hash || f[1] != "blob" {
		return fmt.Errorf("git cat-file: %s: %s", e.path, strings.TrimSpace(line))
	}
	size, err := strconv.ParseInt(f[2], 10, 64)
	if err != nil {
		return fmt.Errorf("git cat-file: %w", err)
	}
	h := &tar.Header{Name: e.path, Mode: 0o644, ModTime: time.Unix(0, 0), Format: tar.FormatPAX, Typeflag: tar.TypeReg, Size: size}
	if e.mode == "100755" {
		h.Mode = 0o755
	}
	if e.mode == "120000" {
		target := make([]byte, min(size, maxLink))
		if _, err := io.ReadFull(br, target); err != nil || size > maxLink {
			return fmt.Errorf("symbolic link %s is too long", e.path)
		}
		h.Typeflag, h.Mode, h.Size, h.Linkname = tar.TypeSymlink, 0o777, 0, string(target)
	}
	if err := p.header(h); err != nil {
		return err
	}
	if h.Typeflag == tar.TypeReg {
		if _, err := io.CopyN(p.tw, br, size); err != nil {
			return fmt.Errorf("git cat-file: %w", err)
		}
	}
	_, err = br.Discard(1)
	return err
}
