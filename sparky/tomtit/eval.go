package tomtit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cromt/cromt/flow"
)

// Values are string, numeric, bool, allomorph, []any, map[string]any and nil
// for what is not defined.

// allomorph is a text that looks like a number: as text it is the one, among
// a task's parameters the other.
type allomorph struct {
	text string
	num  numeric
}

// interp is a scenario that runs.
type interp struct {
	r      *Runner
	o      options
	vars   map[string]any
	config map[string]any
}

// scenario runs a program's statements up to the first that fails.
func (r *Runner) scenario(ctx context.Context, prog *program, o options) (int, error) {
	in := &interp{r: r, o: o, vars: map[string]any{}}
	if err := in.loadConfig(); err != nil {
		fmt.Fprintln(r.Out, err)
		return 1, nil
	}
	for i := range prog.stmts {
		if err := context.Cause(ctx); err != nil {
			return 0, err
		}
		code, err := in.statement(ctx, &prog.stmts[i])
		if err != nil || code != 0 {
			return code, err
		}
	}
	return 0, nil
}

// loadConfig reads .tom/env/config.raku, or that of the environment; a
// missing one is an empty one.
func (in *interp) loadConfig() error {
	in.config = map[string]any{}
	name := "config.raku"
	if in.o.env != "" {
		if strings.ContainsAny(in.o.env, "/\\") {
			return fmt.Errorf("environment %q is not a name", in.o.env)
		}
		name = "config." + in.o.env + ".raku"
	}
	path := filepath.Join(in.r.Dir, ".tom", "env", name)
	src, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	e, err := parseValue(filepath.Join(".tom", "env", name), string(src))
	if err != nil {
		return err
	}
	m, ok := in.eval(e).(map[string]any)
	if !ok {
		return fmt.Errorf("%s: not a hash", filepath.Join(".tom", "env", name))
	}
	if !in.o.quiet {
		fmt.Fprintf(in.r.Out, "load configuration from %s\n", path)
	}
	in.config = m
	return nil
}

func (in *interp) statement(ctx context.Context, s *stmt) (int, error) {
	switch s.name {
	case "my":
		in.vars[s.variable] = in.eval(s.args[0])
	case "say":
		var b strings.Builder
		for _, a := range s.args {
			b.WriteString(text(in.eval(a)))
		}
		fmt.Fprintln(in.r.Out, b.String())
	case "directory":
		return in.directory(text(in.eval(s.args[0])))
	case "bash", "task-run":
		params := map[string]any{}
		if len(s.args) > 1 {
			m, ok := in.eval(s.args[1]).(map[string]any)
			if !ok {
				fmt.Fprintf(in.r.Out, "%s: the second argument is not a hash\n", s.name)
				return 1, nil
			}
			params = m
		}
		if s.name == "bash" {
			return in.bash(ctx, text(in.eval(s.args[0])), params)
		}
		return in.taskRun(ctx, text(in.eval(s.args[0])), params)
	}
	return 0, nil
}

func (in *interp) eval(e expr) any {
	switch e.kind {
	case exprNum:
		return e.num
	case exprBool:
		return e.flag
	case exprVar:
		return in.dig(in.vars[e.text], e.items)
	case exprConfig:
		return in.dig(in.config, e.items)
	case exprTags:
		return in.dig(in.o.tags, e.items)
	case exprEnv:
		s, ok := envValue(in.r.Env, text(in.eval(e.items[0])))
		if !ok {
			return nil
		}
		if n, ok := parseNumeric(s); ok {
			return allomorph{s, n}
		}
		return s
	case exprHash:
		m := make(map[string]any, len(e.items)/2)
		for i := 0; i+1 < len(e.items); i += 2 {
			m[text(in.eval(e.items[i]))] = in.eval(e.items[i+1])
		}
		return m
	case exprList:
		l := make([]any, len(e.items))
		for i := range e.items {
			l[i] = in.eval(e.items[i])
		}
		return l
	case exprJoin:
		var b strings.Builder
		for i := range e.items {
			b.WriteString(text(in.eval(e.items[i])))
		}
		return b.String()
	case exprOr:
		if v := in.eval(e.items[0]); v != nil {
			return v
		}
		return in.eval(e.items[1])
	}
	return e.text
}

// dig follows keys into a value; what is not there is not defined.
func (in *interp) dig(v any, keys []expr) any {
	for _, k := range keys {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[text(in.eval(k))]
	}
	return v
}

// text is a value in a string.
func text(v any) string {
	if a, ok := v.(allomorph); ok {
		return a.text
	}
	return parameter(v)
}

// parameter is a value as the config function of a task prints it.
func parameter(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case numeric:
		return v.text
	case allomorph:
		return v.num.text
	case bool:
		if v {
			return "True"
		}
		return "False"
	case []any:
		items := make([]string, len(v))
		for i := range v {
			items[i] = parameter(v[i])
		}
		return "(" + strings.Join(items, " ") + ")"
	case map[string]any:
		lines := make([]string, 0, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			lines = append(lines, k+"\t"+parameter(v[k]))
		}
		return strings.Join(lines, "\n")
	case nil:
		return ""
	}
	return fmt.Sprint(v) // numbers of a config.yaml
}

// merge puts params over the defaults of a task; lists are replaced.
func merge(defaults, params map[string]any) map[string]any {
	m := maps.Clone(defaults)
	if m == nil {
		m = map[string]any{}
	}
	for k, v := range params {
		d, ok := m[k].(map[string]any)
		p, ok2 := v.(map[string]any)
		if ok && ok2 {
			m[k] = merge(d, p)
		} else {
			m[k] = v
		}
	}
	return m
}

// defaults reads a task's config.yaml.
func defaults(dir string) (map[string]any, error) {
	data, err := os.ReadFile(filepath.Join(dir, "config.yaml"))
	if errors.Is(err, os.ErrNotExist) {
		return map[string]any{}, nil
	}
	if err != nil {
		return nil, err
	}
	v, err := flow.DecodeYAML(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, "config.yaml"), err)
	}
	if v == nil {
		return map[string]any{}, nil
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s: not a map", filepath.Join(dir, "config.yaml"))
	}
	return m, nil
}
