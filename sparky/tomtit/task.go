package tomtit

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

//go:embed lib
var library embed.FS

// taskRun is one task-run of a scenario with the tasks that its hooks run.
type taskRun struct {
	*job
	name   string         // as the scenario says it, for headers
	dir    string         // root_dir, relative to the checkout
	cache  string         // cache_root_dir
	config map[string]any // merged parameters
	ignore bool           // a hook asked to ignore the next task's failure
	soft   bool           // a hook asked to ignore the next task's failed checks
	set    []string       // output that a hook has set, which is the task's for checks
	failed int            // checks that have failed and were ignored
}

// The exit code of tom when a hook fails.
const exitHook = 101

// task runs a task-run and returns what its tasks left as state.
func (j *job) task(ctx context.Context, name string, params map[string]any) (state map[string]any, code int, err error) {
	dir, folder := j.splitTask(name)
	if info, err := j.root.Stat(dir); err != nil || !info.IsDir() {
		return nil, 1, j.out.say("directory " + filepath.Join(j.runner.Dir, dir) + " does not exist")
	}
	if info, err := j.root.Stat(folder); err != nil || !info.IsDir() {
		_, inner, _ := strings.Cut(name, "@")
		return nil, 1, j.out.say("neither " + filepath.Join(j.runner.Dir, folder) + ", nor " + inner + " directory exists,\nwhat are you trying to do?")
	}
	defaults, err := j.defaults(dir)
	if err != nil {
		return nil, 1, err
	}
	t := &taskRun{job: j, name: name, dir: dir, config: merge(defaults, configValue(params).(map[string]any))}
	if err := stringifyArgs(t.config); err != nil {
		return nil, 1, j.out.say(err.Error())
	}
	if err := t.makeCache(); err != nil {
		return nil, 1, fmt.Errorf("prepare task %s: %w", name, err)
	}
	if code, err := t.folder(ctx, folder, nil, 1); code != 0 || err != nil {
		return nil, code, err
	}
	state, err = t.state()
	if err != nil {
		return nil, 1, err
	}
	var failed any = typeObject("Int")
	if t.failed > 0 {
		failed = intNumber(big.NewInt(int64(t.failed)))
	}
	state["__data__"] = map[string]any{"task-check-err-cnt": failed}
	return state, 0, os.RemoveAll(t.cache)
}

// makeCache writes what all the tasks of a task-run share.
func (t *taskRun) makeCache() error {
	if t.runner.Cache == "" {
		return errors.New("runner has no cache folder")
	}
	t.tasks++
	cache, err := os.MkdirTemp(t.runner.Cache, "task-"+strconv.Itoa(t.tasks)+"-")
	if err != nil {
		return err
	}
	if t.cache, err = filepath.Abs(cache); err != nil {
		return err
	}
	var fields []byte
	flatten(t.config, "", func(path, value string) {
		fields = append(append(fields, path...), 0)
		fields = append(append(fields, value...), 0)
	})
	return errors.Join(
		os.WriteFile(filepath.Join(t.cache, "config"), fields, 0o600),
		os.WriteFile(filepath.Join(t.cache, "config.json"), append(appendJSON(nil, t.config), '\n'), 0o600))
}

// folder runs the hook and the task of a folder. depth is 1 for that of the
// task-run itself, and names the cache_dir, as tom counts it.
func (t *taskRun) folder(ctx context.Context, folder string, vars map[string]any, depth int) (int, error) {
	if depth > MaxTaskDepth {
		return 1, fmt.Errorf("run task %s: more than %d hooks inside of each other", folder, MaxTaskDepth)
	}
	t.set = nil
	if hook, ext := t.pickHook(folder); hook != "" {
		if code, err := t.hook(ctx, hook, ext, vars, depth); code != 0 || err != nil {
			return code, err
		}
	}
	file, ext := t.pick(folder, "task", taskExts[:])
	if file == "" {
		return 0, nil
	}
	cmd, err := t.command(file, ext, vars, depth)
	if err != nil {
		return 1, err
	}
	if err := t.out.header("task run: " + path.Base(file) + " - " + t.name); err != nil {
		return 1, err
	}
	if t.opts.dump {
		if err := t.dump(file); err != nil {
			return 1, err
		}
	}
	ignore, soft, set := t.ignore, t.soft, t.set
	t.ignore, t.soft, t.set = false, false, nil
	checks, err := t.checks(folder)
	if err != nil {
		return 1, err
	}
	if checks == nil {
		return t.show(ctx, cmd, t.name, ignore, 255, io.Discard)
	}
	var output collector
	if code, err := t.show(ctx, cmd, t.name, ignore, 255, &output); code != 0 || err != nil {
		return code, err
	}
	if output.over {
		return 1, fmt.Errorf("check output of task %s: more than %d bytes", t.name, MaxChecked)
	}
	return t.verify(ctx, checks, append(set, output.lines()...), soft)
}

// dump prints the text of a task.
func (t *taskRun) dump(file string) error {
	src, err := t.readFile(file)
	if err != nil {
		return err
	}
	if err := t.out.header("dump code: " + path.Base(file)); err != nil {
		return err
	}
	for i, line := range strings.Split(src, "\n") {
		if err := t.out.say(fmt.Sprintf("[%d] %s", i+1, readable([]byte(line)))); err != nil {
			return err
		}
	}
	return nil
}

// show runs the process of a task and prints it as tom does; its output goes
// to also as well. A failure is at most the exit code worst.
func (j *job) show(ctx context.Context, cmd *exec.Cmd, name string, ignore bool, worst int, also io.Writer) (int, error) {
	if err := j.out.header("task stdout"); err != nil {
		return 1, err
	}
	stdout, stderr := &lines{print: j.out.line}, &tail{}
	code, err := j.start(ctx, cmd, io.MultiWriter(stdout, also), stderr)
	if err != nil {
		_ = stdout.Close()
		_ = stderr.printTo(j.out, "task stderr")
		return 1, err
	}
	if err := errors.Join(stdout.Close(), stderr.printTo(j.out, "task stderr")); err != nil {
		return 1, err
	}
	if code == 0 || ignore {
		return 0, nil
	}
	code = min(code, worst)
	return code, errors.Join(
		j.out.line("task exit status: "+strconv.Itoa(code)),
		j.out.line("task "+name+" FAILED"))
}

// start runs the process of a task or a hook. A program that is not installed
// fails as in a shell.
func (j *job) start(ctx context.Context, cmd *exec.Cmd, stdout, stderr io.Writer) (int, error) {
	program := cmd.Path
	var err error
	if cmd.Path, err = LookPath(program, j.runner.Env); err != nil {
		_, _ = fmt.Fprintf(stderr, "%s: command not found\n", program)
		return 127, ctx.Err()
	}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	return exitCode(Exec(ctx, cmd, j.runner.Grace))
}

// command makes the process of a task's or a hook's file. cmd.Path is still
// the program's name.
func (t *taskRun) command(file, ext string, vars map[string]any, depth int) (*exec.Cmd, error) {
	if err := t.syncState(); err != nil {
		return nil, err
	}
	dir := filepath.Join(t.cache, strconv.Itoa(depth))
	if err := t.deploy(dir, filepath.Dir(file), vars); err != nil {
		return nil, fmt.Errorf("prepare task %s: %w", file, err)
	}
	root, script := filepath.Join(t.runner.Dir, t.dir), filepath.Join(t.runner.Dir, file)
	lib := filepath.Join(root, "lib")
	var args []string
	var name string
	env := t.runner.Env
	switch ext {
	case "bash":
		name, args = "cmd.bash", []string{"bash", filepath.Join(dir, "cmd.bash"), path.Base(file)}
		env = t.bashEnv(env, root, lib)
	case "py":
		name, args = "sparrow6lib.py", []string{"python3", script}
		paths := []string{lib, filepath.Join(root, "python-lib"), getenv(env, "PYTHONPATH"), dir}
		env = setenv(env, "PYTHONPATH", strings.Join(paths, ":"))
	case "pl":
		name, args = "sparrow6lib.pm", []string{"perl", "-I", dir, "-I", lib, "-Msparrow6lib", script}
	case "rb":
		name, args = "sparrow6lib.rb", []string{"ruby", "-I", dir, "-I", lib, "-r", "sparrow6lib", script}
	default:
		return nil, unsupportedFile(limitLanguage, file)
	}
	helper, err := library.ReadFile("lib/" + name)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, name), helper, 0o600); err != nil {
		return nil, err
	}
	return &exec.Cmd{Path: args[0], Args: args, Dir: t.runner.Dir, Env: env}, nil
}

// bashEnv adds the task's own libraries and programs.
func (t *taskRun) bashEnv(env []string, root, lib string) []string {
	if info, err := os.Stat(lib); err == nil && info.IsDir() {
		for _, name := range []string{"PERL5LIB", "RUBYLIB", "PYTHONPATH"} {
			env = setenv(env, name, lib+":"+getenv(env, name))
		}
	}
	if info, err := os.Stat(filepath.Join(root, "bin")); err == nil && info.IsDir() {
		env = setenv(env, "PATH", filepath.Join(root, "bin")+":"+getenv(env, "PATH"))
	}
	return env
}

func setenv(env []string, name, value string) []string {
	return append(env[:len(env):len(env)], name+"="+value)
}

// deploy writes what a task reads its surroundings from.
func (t *taskRun) deploy(dir, folder string, vars map[string]any) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, name := range []string{"stdout", "calls"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !absent(err) {
			return err
		}
	}
	root := filepath.Join(t.runner.Dir, t.dir)
	glue := [][2]string{
		{"root_dir", root}, {"project_root_dir", root}, {"task_dir", filepath.Join(t.runner.Dir, folder)},
		{"test_root_dir", t.cache}, {"cache_root_dir", t.cache}, {"cache_dir", dir},
		{"stdout_file", filepath.Join(dir, "stdout")}, {"os", osName()},
	}
	var known, all []byte
	for _, v := range glue {
		known = append(known, v[0]+"\x00"+v[1]+"\x00"...)
	}
	flatten(vars, "", func(name, value string) {
		field := name + "\x00" + value + "\x00"
		all = append(all, field...)
		if identifier(name) {
			known = append(known, field...)
		}
	})
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "vars"), known, 0o600),
		os.WriteFile(filepath.Join(dir, "task_vars"), all, 0o600),
		os.WriteFile(filepath.Join(dir, "variables.json"), append(appendJSON(nil, vars), '\n'), 0o600))
}

// identifier reports whether name may be a shell variable.
func identifier(name string) bool {
	for i := range len(name) {
		if !isAlpha(name[i]) && (i == 0 || !isDigit(name[i])) {
			return false
		}
	}
	return name != ""
}

// osName is what tom calls the system.
func osName() string {
	release, err := os.ReadFile("/etc/os-release")
	if err != nil || runtime.GOOS != "linux" {
		return runtime.GOOS
	}
	for line := range bytes.Lines(release) {
		if id, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("ID=")); ok {
			return string(bytes.Trim(id, `"'`))
		}
	}
	return "linux"
}

// syncState puts what tasks in Bash left as state where the others read it.
func (t *taskRun) syncState() error {
	if _, err := os.Lstat(filepath.Join(t.cache, "state")); absent(err) {
		return nil
	}
	state, err := t.state()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(t.cache, "state.json"), appendJSON(nil, state), 0o600); err != nil {
		return err
	}
	return os.Remove(filepath.Join(t.cache, "state"))
}

// state collects what update_state left, of which the shell's part is not JSON.
func (t *taskRun) state() (map[string]any, error) {
	state := make(map[string]any)
	b, err := readSmall(filepath.Join(t.cache, "state.json"))
	if err != nil {
		return nil, err
	}
	if len(b) > 0 {
		v, err := decodeJSON(b)
		if err != nil {
			return nil, fmt.Errorf("read state of task %s: %w", t.name, err)
		}
		if m, ok := v.(map[string]any); ok {
			state = m
		}
	}
	b, err = readSmall(filepath.Join(t.cache, "state"))
	if err != nil {
		return nil, err
	}
	fields := splitFields(b)
	for i := 0; i+1 < len(fields); i += 2 {
		state[fields[i]] = fields[i+1]
	}
	return state, nil
}

func decodeJSON(b []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	return fromPlain(v), nil
}

// readSmall reads a file that a task wrote; a missing one is empty.
func readSmall(name string) ([]byte, error) {
	f, err := os.Open(name)
	if absent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, MaxState+1))
	if err == nil && len(b) > MaxState {
		err = fmt.Errorf("read %s: more than %d bytes", name, MaxState)
	}
	return b, err
}

// splitFields splits NUL-terminated fields.
func splitFields(b []byte) []string {
	fields := strings.Split(string(b), "\x00")
	return fields[:len(fields)-1]
}
