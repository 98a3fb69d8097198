package tomtit

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// bash runs a command as Sparrow's plugin of that name does. Parameters: cwd,
// envvars, description, debug.
func (in *interp) bash(ctx context.Context, command string, params map[string]any) (int, error) {
	title := "bash: " + command
	dir := in.r.Dir
	env := append([]string(nil), in.r.Env...)
	args := []string{"-c", command}
	for k, v := range params {
		switch k {
		case "description":
			title = text(v)
		case "cwd":
			if dir = text(v); !filepath.IsAbs(dir) {
				dir = filepath.Join(in.r.Dir, dir)
			}
		case "envvars":
			vars, ok := v.(map[string]any)
			if !ok {
				fmt.Fprintln(in.r.Out, "bash: envvars is not a hash")
				return 1, nil
			}
			for name, value := range vars {
				env = append(env, name+"="+text(value))
			}
		case "debug":
			if on, ok := v.(bool); !ok || on {
				args = []string{"-x", "-c", command}
			}
		default:
			fmt.Fprintf(in.r.Out, "bash: parameter %s is not supported by the built-in runner\n", k)
			return 1, nil
		}
	}
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		fmt.Fprintf(in.r.Out, "bash: directory %s does not exist\n", dir)
		return 1, nil
	}
	in.o.header(in.r.Out, "task run: task.bash - "+title)
	in.o.header(in.r.Out, "task stdout")
	out := &lineWriter{w: in.r.Out, prefix: in.o.stamp}
	var stderr capped
	sub := *in.r
	sub.Dir = dir
	code, err := sub.command(ctx, env, out, &stderr, "bash", args...)
	out.close()
	if stderr.Len() > 0 {
		in.o.header(in.r.Out, "task stderr")
		w := &lineWriter{w: in.r.Out, prefix: in.o.stamp}
		_, _ = w.Write(stderr.Bytes())
		w.close()
	}
	if err == nil && code != 0 {
		fmt.Fprintf(in.r.Out, "task exit status: %d\ntask %s FAILED\n", code, title)
	}
	return code, err
}

// directory makes a directory, as Sparrow's plugin does.
func (in *interp) directory(name string) (int, error) {
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(in.r.Dir, path)
	}
	in.o.header(in.r.Out, "task run: task.bash - create directory "+name)
	in.o.header(in.r.Out, "task stdout")
	if err := os.MkdirAll(path, 0o755); err != nil {
		fmt.Fprintln(in.r.Out, err)
		return 1, nil
	}
	fmt.Fprintf(in.r.Out, "%sdirectory path: %s\n", in.o.stamp(), name)
	return 0, nil
}
