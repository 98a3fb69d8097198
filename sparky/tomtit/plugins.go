package tomtit

import (
	"context"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// bashCall is a bash "…" of a scenario.
type bashCall struct {
	command, title, dir string
	env                 []string
	trace               bool
}

// bashOptions reads the arguments of bash.
func bashOptions(values []any, refuse func(*limit, string) error) (c bashCall, err error) {
	c.command = text(values[0])
	c.title = c.command
	opts := map[string]any{}
	if len(values) == 2 {
		opts, _ = values[1].(map[string]any)
	}
	for _, k := range slices.Sorted(maps.Keys(opts)) {
		v := opts[k]
		switch k {
		case "description":
			if truth(v) {
				c.title = text(v)
			}
		case "cwd":
			c.dir = text(v)
		case "debug":
			c.trace = truth(v)
		case "envvars":
			env, ok := v.(map[string]any)
			if !ok && v != nil {
				return c, refuse(limitArguments, "envvars of bash that are no hash")
			}
			for _, name := range slices.Sorted(maps.Keys(env)) {
				if !identifier(name) {
					return c, refuse(limitArguments, "environment variable "+strconv.Quote(name)+" of bash")
				}
				c.env = append(c.env, name+"="+text(env[name]))
			}
		default:
			return c, refuse(limitArguments, "option "+strconv.Quote(k)+" of bash")
		}
	}
	return c, nil
}

// maxTitle of a bash call in its header, in characters, as in Sparrow.
const maxTitle = 50

// bash runs a command as the Sparrow plugin of that name does: whatever its
// exit code is, the scenario's is 1.
func (j *job) bash(ctx context.Context, s stmt, values []any) (int, error) {
	c, err := bashOptions(values, j.refuse(s.pos))
	if err != nil {
		return 1, err
	}
	title := strings.ReplaceAll(c.title, "\n", " NL ")
	if utf8.RuneCountInString(title) > maxTitle {
		title = string([]rune(title)[:maxTitle]) + " ..."
	}
	args := []string{"bash", "-c", c.command}
	if c.trace {
		args = slices.Insert(args, 1, "-x")
	}
	cmd := &exec.Cmd{Path: "bash", Args: args, Dir: j.runner.Dir, Env: slices.Concat(j.runner.Env, c.env)}
	if c.dir != "" {
		cmd.Dir = c.dir
		if !filepath.IsAbs(c.dir) {
			cmd.Dir = filepath.Join(j.runner.Dir, c.dir)
		}
		if info, err := os.Stat(cmd.Dir); err != nil || !info.IsDir() {
			cmd.Dir = j.runner.Dir
			cmd.Args = []string{"bash", "-c", `cd -- "$1"`, "bash", c.dir}
		}
	}
	return j.plugin(ctx, cmd, "bash: "+title)
}

// makeDirectory is given the folder's name as $1, and the system's as $2.
const makeDirectory = `mkdir -p -- "$1" || exit 1
case $2 in darwin|minoca) exit 0;; esac
printf 'directory path: %s\n' "$1"
printf 'directory owner: <%s>\n' "$(stat -c %U -- "$1")"
printf 'directory group: <%s>\n' "$(stat -c %G -- "$1")"
printf 'directory access rights: %s\n' "$(stat -c %A -- "$1")"`

// directory makes a folder as the Sparrow plugin of that name does.
func (j *job) directory(ctx context.Context, name string) (int, error) {
	cmd := &exec.Cmd{Path: "bash", Args: []string{"bash", "-c", makeDirectory, "bash", name, osName()}, Dir: j.runner.Dir, Env: j.runner.Env}
	return j.plugin(ctx, cmd, "create directory "+name)
}

func (j *job) plugin(ctx context.Context, cmd *exec.Cmd, name string) (int, error) {
	if err := j.out.header("task run: task.bash - " + name); err != nil {
		return 1, err
	}
	return j.show(ctx, cmd, name, false, 1, io.Discard)
}
