package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Repo is the git repository around a folder.
type Repo struct {
	Root   string // of its working tree on this machine
	Folder string // of the folder below Root, slash-separated; "" is Root
	Head   string // commit that is checked out; "" before the first one
	Origin string // URL of the remote origin, without a password; "" when there is none

	trusted bool // whoever owns it
}

// Find returns the repository around dir, or nil when there is none or no
// git. An error is a repository that git does not want to touch.
func Find(ctx context.Context, dir string) (*Repo, error) { return find(ctx, &Repo{Root: dir}) }

// FindTrusted is [Find] for a repository that git is to touch although
// somebody else owns it, as in a workflow's container, whose user is not the
// runner's. It takes git 2.38 or later there.
func FindTrusted(ctx context.Context, dir string) (*Repo, error) {
	return find(ctx, &Repo{Root: dir, trusted: true})
}

// find finds the repository around r.Root.
func find(ctx context.Context, r *Repo) (*Repo, error) {
	if !mayBeIn(r.Root) {
		return nil, nil
	}
	out, err := r.git(ctx, "rev-parse", "--show-toplevel", "--show-prefix")
	if err != nil {
		var ge *gitError
		if errors.Is(err, exec.ErrNotFound) || errors.As(err, &ge) &&
			(strings.Contains(ge.stderr, "not a git repository") || strings.Contains(ge.stderr, "must be run in a work tree")) {
			return nil, nil
		}
		return nil, err
	}
	root, folder, _ := strings.Cut(out, "\n")
	r.Root, r.Folder = filepath.FromSlash(root), strings.Trim(folder, "/\n")
	if head, err := r.git(ctx, "rev-parse", "--verify", "--quiet", "HEAD^{commit}"); err == nil {
		r.Head = strings.TrimSpace(head)
	}
	if origin, err := r.git(ctx, "remote", "get-url", "origin"); err == nil {
		r.Origin = publicURL(strings.TrimSpace(origin), r.Root)
	}
	return r, nil
}

// mayBeIn reports whether git could find a working tree around dir. Where it
// could not, starting it to hear so would take longer than a short job.
func mayBeIn(dir string) bool {
	if os.Getenv("GIT_DIR") != "" {
		return true
	}
	dir, err := filepath.Abs(dir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return true // git says what is wrong
	}
	for {
		if _, err := os.Lstat(filepath.Join(dir, ".git")); !errors.Is(err, fs.ErrNotExist) {
			return true
		}
		up := filepath.Dir(dir)
		if up == dir {
			return false
		}
		dir = up
	}
}

// git runs a git command that needs no network in the repository.
func (r *Repo) git(ctx context.Context, args ...string) (string, error) {
	return gitAs(ctx, localTimeout, r.Root, r.settings(), args...)
}

// settings are those of all commands in the repository.
func (r *Repo) settings() []setting {
	if r.trusted {
		return []setting{{"safe.directory", "*"}}
	}
	return nil
}

// publicURL is a remote as a host is told it: a path is made a file URL, and
// a password is left out, for a host has its own way to authenticate.
func publicURL(remote, root string) string {
	if u, err := url.Parse(remote); err == nil && u.Scheme != "" && u.Host != "" {
		if u.User != nil && (u.Scheme == "http" || u.Scheme == "https") {
			u.User = nil
			return u.String()
		}
		return remote
	}
	if strings.Contains(strings.SplitN(remote, "/", 2)[0], ":") || remote == "" {
		return remote // user@host:path, or a Windows drive
	}
	if !filepath.IsAbs(remote) {
		remote = filepath.Join(root, remote)
	}
	return "file://" + filepath.ToSlash(remote)
}

// Branch returns the name of the branch that is checked out.
func (r *Repo) Branch(ctx context.Context) (string, error) {
	out, err := git(ctx, localTimeout, r.Root, "symbolic-ref", "--quiet", "--short", "HEAD")
	if err != nil {
		return "", fmt.Errorf("no branch is checked out in %s", r.Root)
	}
	return strings.TrimSpace(out), nil
}

// Commit returns the full hash of what rev names in the repository on this
// machine.
func (r *Repo) Commit(ctx context.Context, rev string) (string, error) {
	out, err := r.git(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", rev+"^{commit}")
	if err != nil {
		return "", fmt.Errorf("commit %s is not in %s; give all 40 digits of it", rev, r.Root)
	}
	return strings.TrimSpace(out), nil
}

// OnOrigin reports whether the commit can be fetched from origin: a branch
// that was fetched or pushed has it, or it is the tip of something there.
func (r *Repo) OnOrigin(ctx context.Context, commit string) (bool, error) {
	out, err := r.git(ctx, "branch", "-r", "--list", "origin/*", "--contains", commit)
	if err == nil && strings.TrimSpace(out) != "" {
		return true, nil
	}
	return IsTip(ctx, r.Origin, commit)
}

// Dirty reports whether the working tree differs from its commit.
func (r *Repo) Dirty(ctx context.Context) bool {
	out, err := r.git(ctx, "status", "--porcelain", "--untracked-files=normal")
	return err == nil && strings.TrimSpace(out) != ""
}

// IsTip reports whether a branch or tag of the repository at url is at the commit.
func IsTip(ctx context.Context, url, commit string) (bool, error) {
	out, err := git(ctx, remoteTimeout, "", "ls-remote", "--", url)
	if err != nil {
		return false, err
	}
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, commit+"\t") {
			return true, nil
		}
	}
	return false, nil
}

// DefaultBranch returns the name of the default branch of the repository at url.
func DefaultBranch(ctx context.Context, url string) (string, error) {
	out, err := git(ctx, remoteTimeout, "", "ls-remote", "--symref", "--", url, "HEAD")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(out) {
		if ref, ok := strings.CutPrefix(strings.TrimSpace(line), "ref: refs/heads/"); ok {
			name, _, _ := strings.Cut(ref, "\t")
			return name, nil
		}
	}
	return "", fmt.Errorf("repository %s does not say which branch is its default", url)
}

// Resolve returns the commit that ref stands for in the repository at url: a
// branch before a tag, as git clone has it; "" is the default branch. A full
// hash is its own answer. It takes at most 30 s and asks nobody.
func Resolve(ctx context.Context, url, ref string) (string, error) {
	return ResolveWith(ctx, url, ref, Auth{})
}

// ResolveWith is [Resolve] for a repository whose server wants a credential.
func ResolveWith(ctx context.Context, url, ref string, auth Auth) (string, error) {
	if IsHash(ref) {
		return strings.ToLower(ref), nil
	}
	// The peeled name comes first: of an annotated tag, it is the commit.
	names := []string{"refs/heads/" + ref, "refs/tags/" + ref + "^{}", "refs/tags/" + ref}
	switch {
	case ref == "":
		names = []string{"HEAD"}
	case strings.HasPrefix(ref, "refs/"):
		names = []string{ref + "^{}", ref}
	}
	out, err := gitAs(ctx, remoteTimeout, "", auth.at(url), append([]string{"ls-remote", "--", url}, names...)...)
	if err != nil {
		return "", auth.mask(err)
	}
	found := map[string]string{}
	for line := range strings.Lines(out) {
		if hash, name, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok && IsHash(hash) {
			found[name] = hash
		}
	}
	for _, n := range names {
		if found[n] != "" {
			return found[n], nil
		}
	}
	if ref == "" {
		return "", fmt.Errorf("repository %s is empty", url)
	}
	return "", fmt.Errorf("repository %s has no branch or tag %s", url, ref)
}

// IsHash reports whether s is a full SHA-1 or SHA-256 hash.
func IsHash(s string) bool {
	return (len(s) == 40 || len(s) == 64) && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}
