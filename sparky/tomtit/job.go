package tomtit

import (
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/cromt/cromt/flow"
)

// job is one run of a scenario by the built-in runner.
type job struct {
	runner   *Runner
	root     *os.Root
	scenario *scenario
	scope    *scope
	opts     options
	loaded   []string // what is said of the configuration files
	out      *printer
	tasks    int // task-runs so far
}

// prepare parses the scenario and loads its configuration.
func (r *Runner) prepare(root *os.Root, action string, o options) (*job, error) {
	dir, err := filepath.Abs(r.Dir)
	if err != nil {
		return nil, fmt.Errorf("open checkout: %w", err)
	}
	runner := *r
	runner.Dir = dir
	j := &job{runner: &runner, root: root, opts: o}
	env := make(map[string]string, len(r.Env))
	for _, v := range r.Env {
		if name, value, ok := strings.Cut(v, "="); ok {
			env[name] = value
		}
	}
	j.scope = &scope{env: env, tags: o.tags, config: map[string]any{}, vars: map[string]any{}, left: MaxValues}
	set := func(name string) bool { v, ok := env[name]; return ok && truth(textValue(v)) }
	j.out = &printer{
		out:   r.Out,
		color: o.color || set("SP6_FORMAT_COLOR"),
		times: !set("SP6_LOG_NO_TIMESTAMPS"),
		quiet: o.quiet || set("SP6_FORMAT_TERSE"),
	}
	if err := j.loadConfig(); err != nil {
		return nil, err
	}
	file := ".tom/" + action + ".raku"
	src, err := j.readFile(file)
	if err != nil {
		return nil, err
	}
	j.scenario, err = parseScenario(file, src)
	return j, err
}

// readFile reads a file of the checkout that people write.
func (j *job) readFile(name string) (string, error) { return readIn(j.root, name) }

func readIn(root *os.Root, name string) (string, error) {
	// A pipe, which a stranger's checkout may hold, would wait for a writer.
	info, err := root.Stat(name)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", &flow.Error{File: name, Msg: "this is no regular file"}
	}
	f, err := root.Open(name)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, MaxScenario+1))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	if len(b) > MaxScenario {
		return "", &flow.Error{File: name, Msg: fmt.Sprintf("file has more than %d bytes", MaxScenario)}
	}
	return string(b), nil
}

// envDir has the configurations of environments.
const envDir = ".tom/env/"

// currentEnv returns the environment that .tom/env/current names, which tom
// writes without a newline.
func currentEnv(root *os.Root) string {
	name, err := readIn(root, envDir+"current")
	if err != nil || name == "" {
		return "default"
	}
	return name
}

// loadConfig reads .tom/env/config.raku, or that of the environment which is
// asked for, or which .tom/env/current names, over that of the environment any.
func (j *job) loadConfig() error {
	name := j.opts.env
	if name == "" {
		name = currentEnv(j.root)
	}
	file := envDir + "config." + name + ".raku"
	if name == "default" {
		file = envDir + "config.raku"
	}
	if !filepath.IsLocal(file) {
		return nil
	}
	if info, err := j.root.Stat(file); err != nil || !info.Mode().IsRegular() {
		return nil // as tom does: an environment without a file has no settings
	}
	config, err := j.evalFile(file)
	if err != nil {
		return err
	}
	j.loaded = append(j.loaded, "load configuration from "+filepath.Join(j.runner.Dir, file))
	if common := envDir + "config.any.raku"; j.exists(common) {
		base, err := j.evalFile(common)
		if err != nil {
			return err
		}
		j.loaded = append(j.loaded, "mix in common configuration from "+filepath.Join(j.runner.Dir, common))
		config = merge(base, config)
	}
	j.scope.config = config
	return j.tooLarge()
}

// evalFile reads a file that is one hash of Raku.
func (j *job) evalFile(file string) (map[string]any, error) {
	src, err := j.readFile(file)
	if err != nil {
		return nil, err
	}
	e, err := parseConfig(file, src)
	if err != nil {
		return nil, err
	}
	config, _ := j.scope.eval(e).(map[string]any)
	return config, nil
}

func (j *job) tooLarge() error {
	if j.scope.left >= 0 {
		return nil
	}
	return fmt.Errorf("run scenario: its values have more than %d bytes together", MaxValues)
}

// check evaluates the scenario without running it, and refuses what a task
// needs that is not there. What tasks leave in their state is taken for empty.
func (j *job) check() error {
	saved := *j.scope
	defer func() { *j.scope = saved }()
	j.scope.vars = make(map[string]any)
	for _, s := range j.scenario.stmts {
		values := make([]any, len(s.args))
		for i, a := range s.args {
			values[i] = j.scope.eval(a)
		}
		if err := j.tooLarge(); err != nil {
			return err
		}
		if err := j.checkStmt(s, values); err != nil {
			return err
		}
		switch {
		case s.name != "" && s.call == "":
			j.scope.assign(s.name, values[0])
		case s.name != "":
			j.scope.assign(s.name, map[string]any{})
		}
	}
	return nil
}

// refuse returns a function that refuses what is at pos.
func (j *job) refuse(pos flow.Pos) func(l *limit, construct string) error {
	return func(l *limit, construct string) error { return l.error(j.scenario.file, pos, construct) }
}

// checkStmt checks what a statement will run with.
func (j *job) checkStmt(s stmt, values []any) error {
	refuse := j.refuse(s.pos)
	if s.call == callTask || s.call == callBash {
		if len(values) == 2 {
			if _, ok := values[1].(map[string]any); !ok {
				return &flow.Error{File: j.scenario.file, Pos: s.args[1].pos, Msg: "the parameters of " + s.call + " are no hash", Hint: "write %( key => value )"}
			}
		}
	}
	switch s.call {
	case callTask:
		return j.checkTask(text(values[0]), refuse)
	case callBash:
		_, err := bashOptions(values, refuse)
		return err
	case callDirectory:
		if text(values[0]) == "" {
			return &flow.Error{File: j.scenario.file, Pos: s.pos, Msg: "directory has no name", Hint: "write directory \"name\""}
		}
	}
	return nil
}

// run runs the statements up to the first that fails.
func (j *job) run(ctx context.Context) (int, error) {
	for _, line := range j.loaded {
		if err := j.out.say(line); err != nil {
			return 1, err
		}
	}
	for _, s := range j.scenario.stmts {
		values := make([]any, len(s.args))
		for i, a := range s.args {
			values[i] = j.scope.eval(a)
		}
		if err := j.tooLarge(); err != nil {
			return 1, err
		}
		code, err := j.step(ctx, s, values)
		if code != 0 || err != nil {
			return max(code, 1), err
		}
	}
	return 0, nil
}

func (j *job) step(ctx context.Context, s stmt, values []any) (int, error) {
	switch s.call {
	case callSay:
		var b strings.Builder
		for _, v := range values {
			if str, ok := v.(string); ok {
				b.WriteString(str)
			} else {
				writeGist(&b, v)
			}
		}
		return 0, j.out.say(b.String())
	case callBash:
		return j.bash(ctx, s, values)
	case callDirectory:
		return j.directory(ctx, text(values[0]))
	case callTask:
		params := map[string]any{}
		if len(values) == 2 {
			params, _ = values[1].(map[string]any)
		}
		state, code, err := j.task(ctx, text(values[0]), params)
		if s.name != "" && code == 0 && err == nil {
			j.scope.assign(s.name, state)
		}
		return code, err
	}
	j.scope.assign(s.name, values[0])
	return 0, nil
}

// splitTask splits "dir@inner" of a task-run. folder is the one whose task is
// run: inner itself when it is a folder, else below dir.
func (j *job) splitTask(name string) (dir, folder string) {
	dir, inner, ok := strings.Cut(name, "@")
	dir = path.Clean(dir)
	if !ok || inner == "" {
		return dir, dir
	}
	if info, err := j.root.Stat(path.Clean(inner)); err == nil && info.IsDir() {
		return dir, path.Clean(inner)
	}
	return dir, path.Join(dir, inner)
}
