package tomtit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strconv"
)

// call is what a hook asked for.
type call struct {
	ignore bool
	soft   bool
	task   string
	vars   map[string]any
}

// hook runs a hook, then what it asked for, and shows the output that it set.
func (t *taskRun) hook(ctx context.Context, file, ext string, vars map[string]any, depth int) (int, error) {
	cmd, err := t.command(file, ext, vars, depth)
	if err != nil {
		return 1, err
	}
	dir := filepath.Join(t.cache, strconv.Itoa(depth))
	stdout, stderr := &tail{}, &tail{}
	code, err := t.start(ctx, cmd, stdout, stderr)
	if err != nil {
		return 1, err
	}
	b, err := readSmall(filepath.Join(dir, "calls"))
	if err != nil {
		return 1, err
	}
	calls, err := parseCalls(b)
	if err != nil {
		return 1, fmt.Errorf("run hook of task %s: %w", t.name, err)
	}
	for _, c := range calls {
		if c.ignore || c.soft {
			t.ignore, t.soft = t.ignore || c.ignore, t.soft || c.soft
			continue
		}
		if code, err := t.sub(ctx, c, depth); code != 0 || err != nil {
			return code, err
		}
	}
	if code != 0 {
		return exitHook, errors.Join(
			t.out.line("hook exit status: "+strconv.Itoa(code)),
			t.out.line("hook "+t.name+" FAILED"),
			stdout.printTo(t.out, "hook stdout"),
			stderr.printTo(t.out, "hook stderr"))
	}
	set, err := readSmall(filepath.Join(dir, "stdout"))
	if err != nil {
		return 1, err
	}
	output := &collector{}
	_, _ = output.Write(set)
	t.set = output.lines()
	return 0, (&tail{buf: set}).printTo(t.out, "hook stdout")
}

// sub runs a task that a hook asked for.
func (t *taskRun) sub(ctx context.Context, c call, depth int) (int, error) {
	folder := path.Join(t.dir, "tasks", path.Join("/", c.task))
	if info, err := t.root.Stat(folder); err != nil || !info.IsDir() {
		return 1, t.out.say("directory " + filepath.Join(t.runner.Dir, folder) + " does not exist")
	}
	return t.folder(ctx, folder, c.vars, depth+1)
}

// parseCalls reads the NUL-terminated fields in which the helper libraries
// keep what a hook asks for.
func parseCalls(b []byte) ([]call, error) {
	var calls []call
	fields := splitFields(b)
	next := func() (s string) {
		if len(fields) > 0 {
			s, fields = fields[0], fields[1:]
		}
		return s
	}
	for len(fields) > 0 {
		switch kind := next(); kind {
		case "ignore":
			calls = append(calls, call{ignore: true})
		case "soft":
			calls = append(calls, call{soft: true})
		case "run":
			c := call{task: next(), vars: make(map[string]any)}
			n, err := strconv.Atoi(next())
			if err != nil || n < 0 || len(fields) < 2*n {
				return nil, errors.New("read calls: wrong count of variables")
			}
			for range n {
				name := next()
				c.vars[name] = next()
			}
			calls = append(calls, c)
		case "runjson":
			c := call{task: next()}
			v, err := decodeJSON(bytes.TrimSpace([]byte(next())))
			if err != nil {
				return nil, fmt.Errorf("read variables of task %s: %w", c.task, err)
			}
			c.vars, _ = v.(map[string]any)
			calls = append(calls, c)
		default:
			return nil, fmt.Errorf("read calls: unknown call %q", kind)
		}
	}
	return calls, nil
}
