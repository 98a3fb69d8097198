package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/tomtit"
)

// checkout makes the folder where the actions run.
func (e *execution) checkout(ctx context.Context) error {
	src := &e.spec.Source
	if src.Kind == sparky.SpecDir {
		return e.useDir(src.Dir)
	}
	e.root = filepath.Join(e.dir, "scm")
	ctx, stop := context.WithTimeout(ctx, gitTimeout)
	defer stop()
	e.sayf("meta: step=clone\n")
	var err error
	if src.Kind == sparky.SpecGit {
		err = e.clone(ctx, src)
	} else {
		err = e.unpack(ctx, src)
	}
	if err != nil {
		return err
	}
	e.work = e.root
	if src.Dir != "" && src.Dir != "." {
		e.work = filepath.Join(e.root, filepath.FromSlash(src.Dir))
		if err := e.isBelow(src.Dir); err != nil {
			e.sayf("%s\n", err)
			return &stepError{"clone", causeInfrastructure, exitSetup, err}
		}
	}
	if e.commit != "" {
		e.sayf("meta: commit=%s\n", e.commit)
	}
	return nil
}

// useDir runs the job in a folder of the host.
func (e *execution) useDir(dir string) error {
	if rest, ok := strings.CutPrefix(dir, "~"); ok {
		dir = filepath.Join(e.a.env.home, rest)
	}
	fi, err := os.Stat(dir)
	if err == nil && !fi.IsDir() {
		err = fmt.Errorf("%s is not a directory", dir)
	}
	if err != nil {
		err = fmt.Errorf("directory of the job on the host: %w", err)
		return &stepError{"prepare", causeInfrastructure, exitSetup, err}
	}
	e.root, e.work = dir, dir
	return nil
}

// isBelow checks that dir is a folder of the checkout, and no link out of it.
func (e *execution) isBelow(dir string) error {
	root, err := os.OpenRoot(e.root)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // nothing is buffered in it
	fi, err := root.Stat(dir)
	if err == nil && !fi.IsDir() {
		err = errors.New("not a directory")
	}
	if err != nil {
		return fmt.Errorf("folder %s of the repository: %w", dir, err)
	}
	return nil
}

// clone fetches the commit, or what the ref names, with as little history as
// the server gives.
func (e *execution) clone(ctx context.Context, src *sparky.SpecSource) error {
	if err := e.git(ctx, "", "init", "--quiet", e.root); err != nil {
		return err
	}
	want := src.Commit
	if want == "" {
		want = cmpOr(src.Ref, "HEAD")
	}
	err := e.git(ctx, e.root, "fetch", "--quiet", "--depth=1", "--no-tags", "--end-of-options", src.URL, want)
	target := "FETCH_HEAD"
	if err != nil && ctx.Err() == nil && want != "HEAD" && mayNeedAll(err) {
		e.sayf("the server does not give %s by itself; fetching everything\n", want)
		target, err = e.fetchAll(ctx, src, want)
	}
	if err != nil {
		return err
	}
	if err := e.git(ctx, e.root, "checkout", "--quiet", "--detach", target, "--"); err != nil {
		return err
	}
	head, err := os.ReadFile(filepath.Join(e.root, ".git", "HEAD"))
	if err != nil || !isCommit(strings.TrimSpace(string(head))) {
		return &stepError{"clone", causeInfrastructure, exitSetup, fmt.Errorf("git checkout: no commit in HEAD: %w", err)}
	}
	e.commit = strings.TrimSpace(string(head))
	return nil
}

// mayNeedAll reports whether the server was reached but did not give what was
// asked for by that name.
func mayNeedAll(err error) bool {
	text := err.Error()
	for _, s := range []string{"couldn't find remote ref", "not our ref", "unadvertised object", "shallow", "no such remote ref", "dumb http"} {
		if strings.Contains(text, s) {
			return true
		}
	}
	return false
}

// fetchAll fetches all branches and tags and returns what to check out.
func (e *execution) fetchAll(ctx context.Context, src *sparky.SpecSource, want string) (target string, err error) {
	if err := e.git(ctx, e.root, "fetch", "--quiet", "--end-of-options", src.URL,
		"+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"); err != nil {
		return "", err
	}
	for _, name := range []string{"refs/tags/" + want, "refs/remotes/origin/" + want, want} {
		if err = e.git(ctx, e.root, "rev-parse", "--quiet", "--verify", "--end-of-options", name+"^{commit}"); err == nil {
			return name, nil
		}
	}
	err = fmt.Errorf("%s: no branch, tag or commit of %s", want, src.URL)
	e.sayf("%s\n", err)
	return "", &stepError{"clone", causeInfrastructure, exitSetup, err}
}

// git runs git without anything that a repository or the machine could make
// it run besides.
func (e *execution) git(ctx context.Context, dir string, args ...string) error {
	full := append([]string{
		"-c", "protocol.ext.allow=never", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false",
		"-c", "submodule.recurse=false", "-c", "advice.detachedHead=false", "-c", "init.defaultBranch=main", "-c", "gc.auto=0",
	}, args...)
	cmd := exec.Command("git", full...) //nolint:noctx // tomtit.Exec ends the whole tree, not git alone
	cmd.Dir = dir
	cmd.Env = slices.Concat(e.a.env.git, []string{e.a.env.marker(e.j.id), "TMPDIR=" + e.dir})
	if args[0] == "fetch" { // no other command, and none that a job could have a say in
		cmd.Env = append(cmd.Env, sparky.GitAuth(e.spec.Source.URL, e.spec.Source.Auth)...)
	}
	out := &lastLines{}
	if args[0] != "rev-parse" {
		cmd.Stdout, cmd.Stderr = e.out, teeLast{e.out, out}
	}
	err := tomtit.Exec(ctx, cmd, sparky.KillGrace)
	e.flush()
	if err == nil {
		return nil
	}
	code := exitSetup
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		code = exit.ExitCode()
	} else {
		e.sayf("git: %s\n", err)
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("no end within %s", gitTimeout)
	}
	err = out.explain(err)
	if hint := authHint(err.Error(), e.spec.Source.Auth != ""); args[0] == "fetch" && hint != "" {
		err = fmt.Errorf("%w; %s", err, hint)
		e.sayf("%s\n", hint)
	}
	return &stepError{"clone", causeInfrastructure, code, fmt.Errorf("git %s: %w", args[0], err)}
}

// authHint says what to do about a server that did not give the repository.
func authHint(said string, auth bool) string {
	denied := strings.Contains(said, "Authentication failed") || strings.Contains(said, "error: 403") || strings.Contains(said, "could not read Username")
	moved := strings.Contains(said, "error: 30") || strings.Contains(said, "unable to update url base from redirection")
	switch {
	case auth && moved:
		return "the repository has moved, and a clone token does not follow: write the URL that it redirects to"
	case auth && (denied || strings.Contains(said, "not found")): // GitHub denies what a token is not for
		return "the server does not take the clone token: it may have expired, or not be for this repository"
	case denied:
		return "the repository is private: give a clone token, or the host its own access to it"
	}
	return ""
}

// lastLines keeps the end of what a program says.
type lastLines struct{ buf []byte }

type teeLast struct {
	w    interface{ Write([]byte) (int, error) }
	last *lastLines
}

func (t teeLast) Write(p []byte) (int, error) {
	t.last.buf = append(t.last.buf, p...)
	if over := len(t.last.buf) - 4096; over > 0 {
		t.last.buf = append(t.last.buf[:0], t.last.buf[over:]...)
	}
	return t.w.Write(p)
}

// explain returns the program's own first complaint in place of err.
func (l *lastLines) explain(err error) error {
	for line := range bytes.SplitSeq(l.buf, []byte("\n")) {
		for _, prefix := range []string{"fatal: ", "error: ", "ssh: ", "Host key verification failed", "Permission denied"} {
			if bytes.HasPrefix(line, []byte(prefix)) {
				return fmt.Errorf("%s (%w)", bytes.TrimPrefix(bytes.TrimSpace(line), []byte("fatal: ")), err)
			}
		}
	}
	return err
}
