package gitrepo

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Archive is a packed working tree or commit.
type Archive struct {
	Path   string          // a .tar.gz
	SHA256 string          // of it, in hex
	Names  map[string]bool // of its files, below the root, with slashes
	Notes  []string        // what was left out, for people
}

// Pack packs the working tree as it is, tracked files and untracked ones that
// are not ignored, as a .tar.gz at path. The same tree gives the same bytes.
func (r *Repo) Pack(ctx context.Context, path string) (*Archive, error) {
	out, err := r.git(ctx, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		return nil, err
	}
	names := strings.Split(strings.TrimRight(out, "\x00"), "\x00")
	return pack(r.Root, names, path, maxTree)
}

// PackFolder packs a folder that is in no repository, at most 64 MiB and
// 10,000 files of it.
func PackFolder(ctx context.Context, dir, path string) (*Archive, error) {
	var names []string
	var size int64
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return errors.Join(err, ctx.Err())
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if size += info.Size(); size > maxFolder || len(names) == maxFolderFiles {
			return fmt.Errorf("folder %s is in no git repository and too large to be sent to hosts as it is; run git init there, and list in .gitignore what is not needed", dir)
		}
		rel, err := filepath.Rel(dir, p)
		names = append(names, filepath.ToSlash(rel))
		return err
	})
	if err != nil {
		return nil, err
	}
	return pack(dir, names, path, maxFolder)
}

func pack(root string, names []string, path string, limit int64) (*Archive, error) {
	slices.Sort(names)
	names = slices.Compact(names) // of a conflict, git lists a file thrice
	a, err := packTo(path, root, limit, func(p *packer) error {
		for _, name := range names {
			if name == "" {
				continue
			}
			if err := p.add(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("pack %s: %w", root, err)
	}
	return a, nil
}

// packTo makes the archive and has fill put files into it.
func packTo(path, root string, limit int64, fill func(*packer) error) (*Archive, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	zw, err := gzip.NewWriterLevel(io.MultiWriter(f, sum), gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	p := &packer{root: root, tw: tar.NewWriter(zw), left: limit, a: &Archive{Path: path, Names: map[string]bool{}}}
	err = fill(p)
	if err = errors.Join(err, p.tw.Close(), zw.Close(), f.Close()); err != nil {
		return nil, err
	}
	p.a.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return p.a, nil
}

type packer struct {
	root string
	tw   *tar.Writer
	left int64
	a    *Archive
}

// add packs one file. Its time and owner are left out: they differ from one
// checkout to the next.
func (p *packer) add(name string) error {
	full := filepath.Join(p.root, filepath.FromSlash(name))
	info, err := os.Lstat(full)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // deleted, and not committed yet
	}
	if err != nil {
		return err
	}
	h := &tar.Header{Name: strings.TrimSuffix(name, "/"), Mode: 0o644, ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
	switch {
	case info.Mode().IsRegular():
		h.Typeflag, h.Size = tar.TypeReg, info.Size()
		if info.Mode()&0o111 != 0 {
			h.Mode = 0o755
		}
	case info.Mode()&fs.ModeSymlink != 0:
		h.Typeflag, h.Mode = tar.TypeSymlink, 0o777
		target, err := os.Readlink(full)
		if err != nil {
			return err
		}
		h.Linkname = filepath.ToSlash(target)
	case info.IsDir():
		p.a.Notes = append(p.a.Notes, fmt.Sprintf("%s is a repository of its own and was left out of the working tree", h.Name))
		return nil
	default:
		return nil
	}
	if err := p.header(h); err != nil || h.Typeflag != tar.TypeReg {
		return err
	}
	return p.content(full, h.Size)
}

func (p *packer) header(h *tar.Header) error {
	if p.left -= h.Size; p.left < 0 {
		return errors.New("its files are too large to be sent to hosts; list in .gitignore what is not needed")
	}
	p.a.Names[h.Name] = true
	return p.tw.WriteHeader(h)
}

func (p *packer) content(full string, size int64) error {
	f, err := os.Open(full)
	if err != nil {
		return err
	}
	defer f.Close()
	if n, err := io.CopyN(p.tw, f, size); err != nil {
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("%s has become shorter, %d of %d bytes, while it was read; run again", full, n, size)
		}
		return err
	}
	return nil
}
