//go:build unix

package tomtit_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cromt/cromt/sparky/tomtit"
)

// fakeTom prints how it was called.
const fakeTom = `#!/bin/sh
echo "tom $*"
pwd
env | grep '^SP6_' | sort
read x || echo "no stdin"
exit 4
`

func TestHostTom(t *testing.T) {
	bin := t.TempDir()
	tom := filepath.Join(bin, "tom")
	if err := os.WriteFile(tom, []byte(fakeTom), 0o755); err != nil {
		t.Fatal(err)
	}
	env := append(baseEnv(t), "SP6_CONFIG=config.raku", "SP6_TAGS=SPARKY_API_TOKEN=x", "SP6_PREFIX=p", "SP6_REPO=file:///r", "SP6_LOG_NO_TIMESTAMPS=1")
	env[0] = "PATH=" + bin + ":" + os.Getenv("PATH")
	if got := tomtit.FindTom(env); got != tom {
		t.Errorf("FindTom: %q", got)
	}
	if got := tomtit.FindTom([]string{"PATH=" + t.TempDir()}); got != "" {
		t.Errorf("FindTom: %q", got)
	}
	dir := checkout(t, parseArchive("-- .tom/x.raku --\nfor 1..3 { say 1 }\n-- .tom/y.bash --\necho plain\n"))
	var out bytes.Buffer
	r := &tomtit.Runner{Dir: dir, Env: env, Out: &out, Tom: tom}
	if err := r.Check("x"); err != nil {
		t.Error(err)
	}
	code, err := r.Run(t.Context(), "x", []string{"--verbose", "--env=a b"})
	want := "tom --no_index_update --verbose --env=a b x\n" + dir + "\nSP6_LOG_NO_TIMESTAMPS=1\nSP6_REPO=file:///r\nno stdin\n"
	if code != 4 || err != nil || out.String() != want {
		t.Errorf("%d, %v, output:\n%s\nwant:\n%s", code, err, out.String(), want)
	}
	out.Reset()
	if code, err := r.Run(t.Context(), "y", nil); code != 0 || err != nil || out.String() != "plain\n" {
		t.Errorf("bash scenario: %d, %v, output %q", code, err, out.String())
	}
}

// notify is a writer that tells of each write.
type notify struct {
	buf    bytes.Buffer
	writes chan string
}

func (n *notify) Write(b []byte) (int, error) {
	n.buf.Write(b)
	n.writes <- string(b)
	return len(b), nil
}

// Lines come while the task runs; when ctx ends, the task is stopped, and what
// it has printed on stderr is still shown.
func TestRunStreamsAndCancels(t *testing.T) {
	for name, a := range map[string]string{
		"task":   "-- .tom/x.raku --\ntask-run 't'; say 'never';\n-- t/task.bash --\necho err >&2; echo running; sleep 600\n",
		"bash":   "-- .tom/x.bash --\necho err >&2; echo running; sleep 600\n",
		"plugin": "-- .tom/x.raku --\nbash 'echo err >&2; echo running; sleep 600'; say 'never';\n",
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			out := &notify{writes: make(chan string, 100)}
			r := &tomtit.Runner{Dir: checkout(t, parseArchive(a)), Env: baseEnv(t), Out: out, Cache: t.TempDir(), Grace: time.Minute}
			done := make(chan error, 1)
			go func() {
				code, err := r.Run(ctx, "x", nil)
				if code == 0 {
					t.Error("exit code 0")
				}
				done <- err
			}()
			for line := range out.writes {
				if strings.Contains(line, "running\n") {
					break
				}
			}
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			if got := out.buf.String(); !strings.Contains(got, "err\n") || strings.Contains(got, "never") {
				t.Errorf("output %q", got)
			}
		})
	}
}

func TestSymlinksOutOfTheCheckout(t *testing.T) {
	outside := checkout(t, parseArchive("-- .tom/x.raku --\nsay 'outside';\n-- .tom/x.bash --\necho outside\n-- t/task.bash --\necho outside\n"))
	for name, link := range map[string][2]string{
		"tom folder":    {".tom", ".tom"},
		"scenario":      {".tom/x.raku", ".tom/x.raku"},
		"bash scenario": {".tom/x.bash", ".tom/x.bash"},
		"task":          {"t", "t"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := checkout(t, parseArchive("-- keep/.tom/x.raku --\ntask-run 't';\n"))
			if link[0] != ".tom" {
				if err := os.Mkdir(filepath.Join(dir, ".tom"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Symlink(filepath.Join(outside, link[1]), filepath.Join(dir, link[0])); err != nil {
				t.Fatal(err)
			}
			if name == "task" {
				if err := os.Rename(filepath.Join(dir, "keep/.tom/x.raku"), filepath.Join(dir, ".tom/x.raku")); err != nil {
					t.Fatal(err)
				}
			}
			var out bytes.Buffer
			r := &tomtit.Runner{Dir: dir, Env: baseEnv(t), Out: &out, Cache: t.TempDir()}
			code, err := r.Run(t.Context(), "x", nil)
			if code == 0 || err == nil || strings.Contains(out.String(), "outside\n") {
				t.Errorf("%d, %v, output %q", code, err, out.String())
			}
		})
	}
}

// A file of a task that lies elsewhere, or that is none, is refused, not taken
// for missing.
func TestFilesOfTasksOutOfTheCheckout(t *testing.T) {
	outside := checkout(t, parseArchive("-- x --\necho outside\n"))
	for _, name := range []string{
		"t/task.bash", "t/task.raku", "t/hook.bash", "t/job.py", "t/task.check", "t/common.bash", "t/config.yaml", "t/config.raku",
		"t/tasks/sub/task.bash", "t/tasks/sub/task.check", "u/task.check",
	} {
		for kind, create := range map[string]func(file string) error{
			"link": func(file string) error { return os.Symlink(filepath.Join(outside, "x"), file) },
			"pipe": func(file string) error { return syscall.Mkfifo(file, 0o644) },
		} {
			t.Run(kind+" "+name, func(t *testing.T) {
				dir := checkout(t, parseArchive("-- .tom/x.raku --\nsay 'before';\ntask-run 't';\ntask-run 't@u';\n-- t/hook.bash --\nrun_task sub\n-- t/task.pl --\nprint 'x';\n-- t/tasks/sub/task.py --\nprint(1)\n-- u/task.bash --\ntrue\n"))
				file := filepath.Join(dir, name)
				if err := os.Remove(file); err != nil && !os.IsNotExist(err) {
					t.Fatal(err)
				}
				if err := create(file); err != nil {
					t.Fatal(err)
				}
				var out bytes.Buffer
				r := &tomtit.Runner{Dir: dir, Env: baseEnv(t), Out: &out, Cache: t.TempDir()}
				code, err := r.Run(t.Context(), "x", nil)
				if code == 0 || err == nil || !strings.Contains(err.Error(), strconv.Quote(name)) || out.Len() > 0 {
					t.Errorf("%d, %v, output %q", code, err, out.String())
				}
			})
		}
	}
}

// A hook cannot run what is not below its own folder tasks.
func TestHookStaysInItsFolder(t *testing.T) {
	for _, task := range []string{"../../u", "/u", "../../../../etc", "x/../../../u", ".."} {
		dir := checkout(t, parseArchive("-- .tom/x.raku --\ntask-run 't';\n-- t/hook.bash --\nrun_task "+task+"\n-- t/tasks/keep/task.bash --\ntrue\n-- u/task.bash --\necho outside\n"))
		var out bytes.Buffer
		r := &tomtit.Runner{Dir: dir, Env: baseEnv(t), Out: &out, Cache: t.TempDir()}
		if code, err := r.Run(t.Context(), "x", nil); err != nil || strings.Contains(out.String(), "outside\n") {
			t.Errorf("%s: %d, %v, output %q", task, code, err, out.String())
		}
	}
}

// Checks look at the whole of a large output; one that is larger than they
// may look at fails the task.
func TestChecksOfLargeOutput(t *testing.T) {
	script := "-- t/task.bash --\nhead -c $1 /dev/zero | tr '\\0' a; echo; echo end\n"
	for size, want := range map[string]string{"16777216": "", "70000000": "more than 67108864 bytes"} {
		dir := checkout(t, parseArchive("-- .tom/x.raku --\ntask-run 't';\n-- t/task.check --\nbegin:\nregexp: ^^ a+ $$\nend\nend:\n"+strings.ReplaceAll(script, "$1", size)))
		r := &tomtit.Runner{Dir: dir, Env: baseEnv(t), Out: io.Discard, Cache: t.TempDir()}
		code, err := r.Run(t.Context(), "x", nil)
		if want == "" && (code != 0 || err != nil) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s bytes: %d, %v", size, code, err)
		}
	}
}

// A link inside of the checkout is followed.
func TestSymlinksInside(t *testing.T) {
	dir := checkout(t, parseArchive("-- .tom/x.raku --\ntask-run 't';\n-- real/task.bash --\necho inside\n"))
	if err := os.Symlink("real", filepath.Join(dir, "t")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("x.raku", filepath.Join(dir, ".tom/y.raku")); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	r := &tomtit.Runner{Dir: dir, Env: baseEnv(t), Out: &out, Cache: t.TempDir()}
	if code, err := r.Run(t.Context(), "y", nil); code != 0 || err != nil || !strings.Contains(out.String(), "inside\n") {
		t.Errorf("%d, %v, output %q", code, err, out.String())
	}
}

// failing is a writer that takes no more.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("log is full") }

func TestOutputThatFails(t *testing.T) {
	dir := checkout(t, parseArchive("-- .tom/x.raku --\ntask-run 't';\n-- t/task.bash --\necho a\n"))
	r := &tomtit.Runner{Dir: dir, Env: baseEnv(t), Out: failing{}, Cache: t.TempDir()}
	if code, err := r.Run(t.Context(), "x", nil); code == 0 || err == nil || !strings.Contains(err.Error(), "log is full") {
		t.Errorf("%d, %v", code, err)
	}
}

// A scenario leaves nothing in its checkout or, when it succeeds, in its cache.
func TestNothingIsLeft(t *testing.T) {
	dir := checkout(t, parseArchive("-- .tom/x.raku --\ntask-run 't';\n-- t/hook.bash --\nset_stdout x\n-- t/task.bash --\ntrue\n"))
	r := &tomtit.Runner{Dir: dir, Env: baseEnv(t), Out: &bytes.Buffer{}, Cache: t.TempDir()}
	for range 2 {
		if code, err := r.Run(t.Context(), "x", nil); code != 0 || err != nil {
			t.Fatal(code, err)
		}
	}
	for _, d := range []string{dir, r.Cache} {
		var names []string
		entries, _ := os.ReadDir(d)
		for _, e := range entries {
			names = append(names, e.Name())
		}
		if got := strings.Join(names, " "); got != ".tom t" && d == dir || got != "" && d != dir {
			t.Errorf("%s has %s", d, got)
		}
	}
}
