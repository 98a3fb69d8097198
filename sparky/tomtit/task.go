package tomtit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// languages are the task files that the runner knows, in Sparrow's order.
func languages() []struct{ file, program string } {
	return []struct{ file, program string }{
		{"task.pl", "perl"}, {"task.bash", "bash"}, {"task.py", "python3"}, {"task.rb", "ruby"},
	}
}

// checkTasks refuses what the tasks of a program need and the runner does not
// have. Directories whose names are not known yet are checked when they run.
func (r *Runner) checkTasks(prog *program) error {
	for i := range prog.stmts {
		s := &prog.stmts[i]
		if s.name != "task-run" || s.args[0].kind != exprText {
			continue
		}
		root, dir := r.taskDirs(s.args[0].text)
		if what := unsupported(root, dir, 0); what != "" {
			return &Unsupported{File: prog.file, Line: s.line, Col: s.col, What: what}
		}
	}
	return nil
}

// unsupported names the first thing of a task that the runner cannot do.
func unsupported(root, dir string, depth int) string {
	if depth > MaxNesting {
		return ""
	}
	for _, f := range []string{"task.raku", "task.pl6", "task.php", "task.ps1", "task.go", "hook.raku", "hook.pl6", "hook.pl", "hook.py", "hook.rb", "hook.php", "config.raku", "config.pl6"} {
		if _, err := os.Stat(filepath.Join(dir, f)); err == nil {
			return filepath.Join(filepath.Base(dir), f)
		}
	}
	if data, err := os.ReadFile(filepath.Join(dir, "task.check")); err == nil && len(bytes.TrimSpace(data)) > 0 {
		return filepath.Join(filepath.Base(dir), "task.check")
	}
	inner, _ := os.ReadDir(filepath.Join(root, "tasks"))
	if dir != root {
		return ""
	}
	for _, e := range inner {
		if !e.IsDir() {
			continue
		}
		if what := unsupported(root, filepath.Join(root, "tasks", e.Name()), depth+1); what != "" {
			return what
		}
	}
	return ""
}

// taskDirs returns the root directory of a task and that of the task itself:
// "dir@tasks/inner" is a task within another.
func (r *Runner) taskDirs(name string) (root, dir string) {
	outer, inner, ok := strings.Cut(name, "@")
	root = outer
	if !filepath.IsAbs(root) {
		root = filepath.Join(r.Dir, root)
	}
	if ok {
		return root, filepath.Join(root, inner)
	}
	return root, root
}

// task is one task that runs.
type task struct {
	name   string // as the scenario gives it
	root   string
	dir    string
	cache  string
	params map[string]any
	vars   map[string]string // of a task that a hook runs
	depth  int
}

// taskRun runs a task and those of its hook.
func (in *interp) taskRun(ctx context.Context, name string, params map[string]any) (int, error) {
	root, dir := in.r.taskDirs(name)
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		fmt.Fprintf(in.r.Out, "directory %s does not exist\n", dir)
		return 1, nil
	}
	if what := unsupported(root, dir, 0); what != "" {
		fmt.Fprintf(in.r.Out, "task %s: %s is not supported by the built-in runner; it needs Raku and Tomtit on the host\n", name, what)
		return 1, nil
	}
	def, err := defaults(root)
	if err != nil {
		fmt.Fprintln(in.r.Out, err)
		return 1, nil
	}
	return in.run(ctx, &task{name: name, root: root, dir: dir, params: merge(def, params)})
}

func (in *interp) run(ctx context.Context, t *task) (int, error) {
	if t.depth > MaxNesting {
		fmt.Fprintf(in.r.Out, "task %s: tasks are nested too deeply\n", t.name)
		return 1, nil
	}
	in.r.tasks++
	t.cache = filepath.Join(in.r.Cache, strconv.Itoa(in.r.tasks))
	if err := t.prepare(in); err != nil {
		return 0, err
	}
	ignore := false
	if _, err := os.Stat(filepath.Join(t.dir, "hook.bash")); err == nil {
		code, ign, err := in.hook(ctx, t)
		if err != nil || code != 0 {
			return code, err
		}
		ignore = ign
	}
	for _, l := range languages() {
		file := filepath.Join(t.dir, l.file)
		if _, err := os.Stat(file); err != nil {
			continue
		}
		code, err := in.main(ctx, t, l.file, l.program)
		if err != nil || code == 0 {
			return code, err
		}
		if _, err := os.Stat(filepath.Join(t.cache, "ignore")); err == nil || ignore {
			return 0, nil
		}
		if !in.o.quiet {
			fmt.Fprintf(in.r.Out, "task exit status: %d\ntask %s FAILED\n", code, t.name)
		}
		return code, nil
	}
	if _, err := os.Stat(filepath.Join(t.dir, "hook.bash")); err == nil {
		return 0, nil
	}
	fmt.Fprintf(in.r.Out, "task %s: no task.bash, task.py, task.pl or task.rb in %s\n", t.name, t.dir)
	return 1, nil
}

// main runs the file of a task.
func (in *interp) main(ctx context.Context, t *task, file, program string) (int, error) {
	in.o.header(in.r.Out, "task run: "+file+" - "+t.name)
	if in.o.dump {
		in.dump(t, file)
	}
	in.o.header(in.r.Out, "task stdout")
	out := &lineWriter{w: in.r.Out, prefix: in.o.stamp}
	var stderr capped
	env := append(append([]string(nil), in.r.Env...), t.env()...)
	if program == "python3" {
		path := t.cache
		if own := lookupEnv(in.r.Env, "PYTHONPATH"); own != "" {
			path += ":" + own
		}
		env = append(env, "PYTHONPATH="+path, "PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1")
	}
	code, err := in.r.command(ctx, env, out, &stderr, program, t.args(file, program)...)
	out.close()
	if stderr.Len() > 0 {
		in.o.header(in.r.Out, "task stderr")
		w := &lineWriter{w: in.r.Out, prefix: in.o.stamp}
		_, _ = w.Write(stderr.Bytes())
		if stderr.cut {
			_, _ = fmt.Fprintf(w, "\n… stderr cut after %d bytes\n", MaxStderr)
		}
		w.close()
	}
	return code, err
}

func (in *interp) dump(t *task, file string) {
	data, err := os.ReadFile(filepath.Join(t.dir, file))
	if err != nil {
		return
	}
	in.o.header(in.r.Out, "dump code: "+file)
	for i, line := range strings.Split(string(data), "\n") {
		fmt.Fprintf(in.r.Out, "[%d] %s\n", i+1, line)
	}
}

// hook runs hook.bash, then the tasks that it asks for, then shows what it
// set as output.
func (in *interp) hook(ctx context.Context, t *task) (code int, ignore bool, err error) {
	var out, stderr capped
	env := append(append([]string(nil), in.r.Env...), t.env()...)
	code, err = in.r.command(ctx, env, &out, &stderr, "bash", t.args("hook.bash", "bash")...)
	if err != nil {
		return 0, false, err
	}
	if code != 0 {
		fmt.Fprintf(in.r.Out, "%s%shook exit status: %d\ntask %s FAILED\n", out.String(), stderr.String(), code, t.name)
		return 101, false, nil
	}
	calls, err := os.ReadFile(filepath.Join(t.cache, "run_task"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, false, err
	}
	for call := range bytes.SplitSeq(calls, []byte("\x00\x00")) {
		f := strings.Split(string(call), "\x00")
		if f[0] == "" {
			continue
		}
		sub := &task{name: t.name, root: t.root, dir: filepath.Join(t.root, "tasks", f[0]), params: t.params, vars: map[string]string{}, depth: t.depth + 1}
		for i := 1; i+1 < len(f); i += 2 {
			sub.vars[f[i]] = f[i+1]
		}
		if st, err := os.Stat(sub.dir); err != nil || !st.IsDir() {
			fmt.Fprintf(in.r.Out, "directory %s does not exist\n", sub.dir)
			return 1, false, nil
		}
		if code, err := in.run(ctx, sub); err != nil || code != 0 {
			return code, false, err
		}
	}
	if shown, err := os.ReadFile(filepath.Join(t.cache, "set_stdout")); err == nil && len(shown) > 0 {
		in.o.header(in.r.Out, "hook stdout")
		w := &lineWriter{w: in.r.Out, prefix: in.o.stamp}
		_, _ = w.Write(shown)
		w.close()
	}
	_, err = os.Stat(filepath.Join(t.cache, "ignore"))
	return 0, err == nil, nil
}

// args is the command line of a task's or hook's file.
func (t *task) args(file, program string) []string {
	path := filepath.Join(t.dir, file)
	switch program {
	case "bash":
		args := []string{"-c", `for f in "$@"; do source "$f"; done`, "bash", filepath.Join(t.cache, "sparrow6lib.bash")}
		for _, dir := range []string{t.root, t.dir} {
			if p := filepath.Join(dir, "common.bash"); fileExists(p) && (dir != t.dir || t.dir != t.root || len(args) == 4) {
				args = append(args, p)
			}
		}
		return append(args, path)
	case "perl":
		return []string{"-I" + t.cache, "-Msparrow6lib", path}
	case "ruby":
		return []string{"-I", t.cache, "-r", "sparrow6lib", path}
	}
	return []string{path}
}

func fileExists(p string) bool {
	_, err := os.Stat(p)
	return err == nil
}

// env is what a task sees besides the scenario's environment.
func (t *task) env() []string {
	return []string{
		"os=linux", "cache_root_dir=" + filepath.Dir(t.cache), "cache_dir=" + t.cache,
		"SPARROW_ROOT_DIR=" + t.root, "SPARROW_TASK_DIR=" + t.dir,
	}
}

var shellName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`) })

// prepare writes the files by which a task reads its parameters.
func (t *task) prepare(in *interp) error {
	if err := os.MkdirAll(t.cache, 0o700); err != nil {
		return err
	}
	var tab bytes.Buffer
	flatten(&tab, "", t.params)
	vars := &bytes.Buffer{}
	for k, v := range t.vars {
		if shellName().MatchString(k) {
			fmt.Fprintf(vars, "%s=%s\n", k, shellQuote(v))
		}
	}
	params, err := json.Marshal(plainJSON(t.params))
	if err != nil {
		return err
	}
	taskVars, err := json.Marshal(t.vars)
	if err != nil {
		return err
	}
	glue := fmt.Sprintf("root_dir=%s\nproject_root_dir=%s\ntask_dir=%s\ntest_root_dir=%s\nstdout_file=%s\n",
		shellQuote(t.root), shellQuote(t.root), shellQuote(t.dir), shellQuote(filepath.Dir(t.cache)), shellQuote(filepath.Join(t.cache, "stdout")))
	files := map[string][]byte{
		"config.tab":       tab.Bytes(),
		"config.json":      params,
		"variables.json":   taskVars,
		"sparrow6lib.bash": []byte(glue + bashLib + vars.String()),
	}
	for _, l := range languages() {
		if l.program != "bash" && fileExists(filepath.Join(t.dir, l.file)) {
			files["sparrow6lib.py"], files["sparrow6lib.pm"], files["sparrow6lib.rb"] = []byte(pythonLib), []byte(perlLib), []byte(rubyLib)
		}
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(t.cache, name), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// flatten writes every value under its dotted key, as the config function of
// Bash looks it up. A key that has a dot itself cannot be named.
func flatten(b *bytes.Buffer, prefix string, m map[string]any) {
	for k, v := range m {
		if strings.ContainsAny(k, ".\x00") {
			continue
		}
		s := parameter(v)
		if strings.Contains(s, "\x00") {
			continue
		}
		fmt.Fprintf(b, "%s%s\x00%s\x00", prefix, k, s)
		if sub, ok := v.(map[string]any); ok {
			flatten(b, prefix+k+".", sub)
		}
	}
}

// plainJSON turns values into what JSON has.
func plainJSON(v any) any {
	switch v := v.(type) {
	case allomorph:
		return plainJSON(v.num)
	case numeric:
		if v.text == "" {
			return nil
		}
		return json.Number(v.text)
	case []any:
		l := make([]any, len(v))
		for i := range v {
			l[i] = plainJSON(v[i])
		}
		return l
	case map[string]any:
		m := make(map[string]any, len(v))
		for k := range v {
			m[k] = plainJSON(v[k])
		}
		return m
	}
	return v
}

// shellQuote makes one word of Bash of any text without NUL.
func shellQuote(s string) string {
	return "'" + strings.ReplaceAll(strings.ReplaceAll(s, "\x00", ""), "'", `'\''`) + "'"
}
