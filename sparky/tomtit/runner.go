package tomtit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Runner runs the scenarios of one checkout. It keeps nothing between calls;
// calls on the same Cache must not overlap.
type Runner struct {
	Dir   string        // folder with .tom and tasks, also the working directory of tasks
	Env   []string      // complete environment, NAME=value
	Out   io.Writer     // everything printed, in order; written by one goroutine at a time
	Tom   string        // path of the host's own tom; "": the built-in runner
	Bash  string        // path of the bash that runs .bash scenarios; "": looked up in the PATH of Env
	Cache string        // existing folder for the runner's files; the caller removes it
	Grace time.Duration // between TERM and KILL; 0: DefaultGrace
}

// Check refuses an action that the built-in runner cannot run, with a
// *flow.Error that names the place and the construct. It is nil for an action
// that is missing, which [Runner.Run] reports as tom does, and for everything
// when the host's own tom is used.
func (r *Runner) Check(action string) error {
	kind, root, err := r.find(action)
	if err != nil {
		return err
	}
	if root != nil {
		defer func() { _ = root.Close() }()
	}
	if kind != kindRaku {
		return nil
	}
	j, err := r.prepare(root, action, options{})
	if err != nil {
		return err
	}
	return j.check()
}

// Run runs an action with options of tom. The exit code is that of tom: 0, or
// the first failing task's own code; 1 for an action that is not there, 2 for
// wrong options, 128 + n for a task that ended by signal n. The error is set,
// and the exit code not 0, when the action could not be run, is refused as by
// [Runner.Check], or ctx ended before it did.
func (r *Runner) Run(ctx context.Context, action string, opts []string) (exitCode int, err error) {
	kind, root, err := r.find(action)
	if err != nil {
		return 1, err
	}
	if root != nil {
		defer func() { _ = root.Close() }()
	}
	if kind == kindTom {
		args := slices.Concat([]string{"--no_index_update"}, opts, []string{action})
		return r.runPlain(ctx, r.Tom, args, hostEnv(r.Env))
	}
	o, ok := parseOptions(opts)
	p := &printer{out: r.Out}
	switch {
	case !ok || strings.HasPrefix(action, "-"):
		return 2, p.say(usage)
	case o.quiet && o.verbose:
		return 1, p.say("you can't use both verbose and quiet options")
	case kind == kindNoTom:
		return 1, p.say("tomtit is not initialized, run tom --init")
	case kind == kindMissing:
		return 1, r.notFound(p, action)
	case kind == kindBash:
		bash := r.Bash
		if bash == "" {
			if bash, err = LookPath("bash", r.Env); err != nil {
				return 1, err
			}
		}
		return r.runPlain(ctx, bash, []string{".tom/" + action + ".bash"}, r.Env)
	}
	j, err := r.prepare(root, action, o)
	if err == nil {
		err = j.check()
	}
	if err != nil {
		return 1, err
	}
	return j.run(ctx)
}

// notFound says that there is no such scenario, as tom does, and which there
// are, as tom --list does.
func (r *Runner) notFound(p *printer, action string) error {
	root, err := os.OpenRoot(r.Dir)
	if err != nil {
		return fmt.Errorf("open checkout: %w", err)
	}
	defer func() { _ = root.Close() }()
	entries, err := fs.ReadDir(root.FS(), ".tom")
	if err != nil {
		return fmt.Errorf("list scenarios: %w", err)
	}
	var names []string
	for _, e := range entries {
		name, isRaku := strings.CutSuffix(e.Name(), ".raku")
		name, isBash := strings.CutSuffix(name, ".bash")
		if info, err := root.Stat(path.Join(".tom", e.Name())); isRaku != isBash && err == nil && info.Mode().IsRegular() {
			names = append(names, readable([]byte(name)))
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if over := len(names) - MaxListed; over > 0 {
		names = append(names[:MaxListed], fmt.Sprintf("(%d more)", over))
	}
	lines := append([]string{"scenario " + action + " not found", "[" + currentEnv(root) + "@scenarios list]"}, names...)
	return p.say(strings.Join(lines, "\n"))
}

// kind is how an action is run.
type kind int

const (
	kindMissing kind = iota // there is no such scenario
	kindNoTom               // there is no .tom
	kindTom                 // by the host's tom
	kindRaku
	kindBash
)

// find looks for the scenario of an action. Paths are followed inside of the
// checkout only. The root, if there is one, is to be closed.
func (r *Runner) find(action string) (kind, *os.Root, error) {
	root, err := os.OpenRoot(r.Dir)
	if err != nil {
		return 0, nil, fmt.Errorf("open checkout: %w", err)
	}
	k, err := r.findIn(root, action)
	if err != nil {
		_ = root.Close()
		return 0, nil, err
	}
	return k, root, nil
}

func (r *Runner) findIn(root *os.Root, action string) (kind, error) {
	base := ".tom/" + action
	local := action != "" && filepath.IsLocal(action)
	for _, s := range []struct {
		ext  string
		kind kind
	}{{".raku", kindRaku}, {".bash", kindBash}} {
		if !local {
			break
		}
		info, err := root.Stat(base + s.ext)
		switch {
		case err == nil && info.Mode().IsRegular() && s.kind == kindRaku && r.Tom != "":
			return kindTom, nil
		case err == nil && info.Mode().IsRegular():
			return s.kind, nil
		case err != nil && !absent(err):
			return 0, fmt.Errorf("find scenario %s: %w; it must lie inside of the checkout", action, err)
		}
	}
	if r.Tom != "" {
		return kindTom, nil
	}
	if info, err := root.Stat(".tom"); err != nil || !info.IsDir() {
		return kindNoTom, nil
	}
	return kindMissing, nil
}

func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// runPlain runs a program whose output goes out as it is.
func (r *Runner) runPlain(ctx context.Context, path string, args, env []string) (int, error) {
	// Bash looks its own path up when it is called by name alone.
	cmd := &exec.Cmd{Path: path, Args: append([]string{path}, args...), Dir: r.Dir, Env: env, Stdout: r.Out, Stderr: r.Out}
	return exitCode(Exec(ctx, cmd, r.Grace))
}

// exitCode turns the error of Exec into an exit code; an error stays when the
// process did not end by itself.
func exitCode(err error) (int, error) {
	var exit *exec.ExitError
	if !errors.As(err, &exit) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		if err != nil {
			return 1, err
		}
		return 0, nil
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return exit.ExitCode(), nil
}

// hostEnv is env without what a Sparky job's scenario is told: it is
// not meant for the tom that the job runs.
func hostEnv(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return name == "SP6_CONFIG" || name == "SP6_TAGS" || name == "SP6_PREFIX"
	})
}

// FindTom returns the path of tom in the PATH of env, "" when it has none.
func FindTom(env []string) string {
	path, err := LookPath("tom", env)
	if err != nil {
		return ""
	}
	return path
}

// LookPath finds a program in the PATH of env, which is not that of this
// process. An error wraps exec.ErrNotFound.
func LookPath(name string, env []string) (string, error) {
	for _, dir := range filepath.SplitList(getenv(env, "PATH")) {
		if !filepath.IsAbs(dir) {
			continue // it would be looked up in the checkout
		}
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("find %s: %w in PATH of the job", name, exec.ErrNotFound)
}

func getenv(env []string, name string) string {
	for i := len(env) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(env[i], name+"="); ok {
			return v
		}
	}
	return ""
}
