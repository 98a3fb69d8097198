package tomtit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Runner runs scenarios of one project folder.
type Runner struct {
	Dir   string        // folder with .tom and tasks, absolute; also the tasks' working directory
	Env   []string      // complete environment, NAME=value
	Out   io.Writer     // everything printed, in order; written by one goroutine at a time
	Tom   string        // path of the host's own tom; "": the built-in runner
	Cache string        // folder for the runner's files, made when needed; the caller removes it
	Grace time.Duration // between TERM and KILL; 0: DefaultGrace

	tasks int // run so far, for the names of their folders
}

// Unsupported is a construct that the built-in runner refuses.
type Unsupported struct {
	File      string // below the project folder
	Line, Col int
	What      string
}

func (e *Unsupported) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s is not supported by the built-in runner; it needs Raku and Tomtit on the host", e.File, e.Line, e.Col, e.What)
}

// FindTom returns the path of tom in the PATH of env, or "".
func FindTom(env []string) string {
	for _, dir := range filepath.SplitList(lookupEnv(env, "PATH")) {
		p := filepath.Join(dir, "tom")
		if st, err := os.Stat(p); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return p
		}
	}
	return ""
}

func lookupEnv(env []string, name string) string {
	v, _ := envValue(env, name)
	return v
}

// envValue returns the last value of a variable, as a process sees it.
func envValue(env []string, name string) (string, bool) {
	for i := len(env) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(env[i], name+"="); ok {
			return v, true
		}
	}
	return "", false
}

// Check refuses a scenario that the built-in runner cannot run. A scenario
// that does not exist is no error here: an earlier action may make it.
func (r *Runner) Check(action string) error {
	if r.Tom != "" {
		return nil
	}
	path := r.path(action)
	if !strings.HasSuffix(path, ".raku") {
		return nil
	}
	prog, err := r.parse(path)
	if err != nil {
		return err
	}
	return r.checkTasks(prog)
}

// path returns the file of a scenario, or "" when there is none.
func (r *Runner) path(action string) string {
	if action == "" || action == ".." || strings.ContainsAny(action, "/\\\x00") {
		return ""
	}
	for _, ext := range []string{".raku", ".bash"} {
		p := filepath.Join(r.Dir, ".tom", action+ext)
		if st, err := os.Stat(p); err == nil && st.Mode().IsRegular() {
			return p
		}
	}
	return ""
}

// options are those of tom that change how a scenario runs.
type options struct {
	quiet, color, dump bool
	stamps             bool
	env                string
	tags               map[string]any
}

const usage = `Usage:
  tom [--verbose] [--no_index_update] [--quiet] [-q] [--color] [--dump_task] [--env=<Str>] [--tags=<Str>] [<run>]
`

func (r *Runner) options(args []string) (options, bool) {
	_, noStamps := envValue(r.Env, "SP6_LOG_NO_TIMESTAMPS")
	o := options{stamps: !noStamps, color: lookupEnv(r.Env, "SP6_FORMAT_COLOR") != "", tags: map[string]any{}}
	for _, a := range args {
		name, value, _ := strings.Cut(a, "=")
		switch name {
		case "--verbose", "--no_index_update":
		case "--quiet", "-q":
			o.quiet = true
		case "--color":
			o.color = true
		case "--dump_task":
			o.dump = true
		case "--env":
			o.env = value
		case "--tags":
			for part := range strings.SplitSeq(value, ",") {
				k, v, ok := strings.Cut(part, "=")
				if !ok {
					o.tags[k] = true
					continue
				}
				o.tags[k] = strings.NewReplacer("___comma___", ",", "___eq___", "=", "___nl___", "\n", "___space___", " ").Replace(v)
			}
		default:
			return o, false
		}
	}
	return o, true
}

// Run runs one scenario. An exit code says how it ended; an error that it
// could not be run, or that ctx ended.
func (r *Runner) Run(ctx context.Context, action string, args []string) (int, error) {
	if r.Tom != "" {
		return r.runTom(ctx, action, args)
	}
	o, ok := r.options(args)
	if !ok {
		fmt.Fprint(r.Out, usage)
		return 2, nil
	}
	path := r.path(action)
	if path == "" {
		if _, err := os.Stat(filepath.Join(r.Dir, ".tom")); err != nil {
			fmt.Fprintln(r.Out, "tomtit is not initialized, run tom --init")
		} else {
			fmt.Fprintf(r.Out, "scenario %s not found\n", action)
			r.list()
		}
		return 1, nil
	}
	if strings.HasSuffix(path, ".bash") {
		return r.command(ctx, r.Env, r.Out, r.Out, "bash", path)
	}
	prog, err := r.parse(path)
	if err == nil {
		err = r.checkTasks(prog)
	}
	var refused *Unsupported
	if errors.As(err, &refused) {
		fmt.Fprintln(r.Out, err)
		return 1, nil
	}
	if err != nil {
		return 1, err
	}
	return r.scenario(ctx, prog, o)
}

// list names the scenarios that there are, as tom --list does.
func (r *Runner) list() {
	entries, err := os.ReadDir(filepath.Join(r.Dir, ".tom"))
	if err != nil {
		return
	}
	fmt.Fprintln(r.Out, "[default@scenarios list]")
	for _, e := range entries {
		name := e.Name()
		if s, ok := strings.CutSuffix(name, ".raku"); ok {
			fmt.Fprintln(r.Out, s)
		} else if s, ok := strings.CutSuffix(name, ".bash"); ok {
			fmt.Fprintln(r.Out, s)
		}
	}
}

func (r *Runner) runTom(ctx context.Context, action string, args []string) (int, error) {
	env := make([]string, 0, len(r.Env))
	for _, e := range r.Env {
		switch name, _, _ := strings.Cut(e, "="); name {
		case "SP6_CONFIG", "SP6_TAGS", "SP6_PREFIX", "SP6_REPO", "SP6_FORMAT_COLOR":
		default:
			env = append(env, e)
		}
	}
	argv := append([]string{"--no_index_update"}, args...)
	return r.command(ctx, env, r.Out, r.Out, r.Tom, append(argv, action)...)
}

// command runs a program in the project folder.
func (r *Runner) command(ctx context.Context, env []string, stdout, stderr io.Writer, name string, args ...string) (int, error) {
	path := name // not looked up in this process's own PATH
	if !filepath.IsAbs(name) {
		path = "/nonexistent/" + name
		for _, dir := range filepath.SplitList(lookupEnv(env, "PATH")) {
			if p := filepath.Join(dir, name); executable(p) {
				path = p
				break
			}
		}
	}
	cmd := exec.Command(path, args...) //nolint:noctx // Exec ends it, gently first
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = r.Dir, env, stdout, stderr
	grace := r.Grace
	if grace == 0 {
		grace = DefaultGrace
	}
	err := Exec(ctx, cmd, grace)
	if cause := context.Cause(ctx); cause != nil {
		return 0, cause
	}
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
		fmt.Fprintf(stderr, "%s: not found on this host; install it\n", name)
		return 127, nil
	}
	code, ok := exitCode(err)
	if !ok {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return code, nil
}

func executable(p string) bool {
	st, err := os.Stat(p)
	return err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0
}
