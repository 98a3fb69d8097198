package tomtit_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/cromt/cromt/sparky/tomtit"
)

var update = flag.Bool("update", false, "write what was printed into the archives")

var stamp = regexp.MustCompile(`(?m)^(\x1b\[35m)?\d\d:\d\d:\d\d(\x1b\[0m)? :: `)

// TestScenarios runs each archive's scenarios. Its comment has a line
// "run [NAME=value …] [--option …] scenario" for each; "want" is what they
// print, with times as HH:MM:SS and the folder as $DIR.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(f)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			want := -1
			for i, file := range ar.Files {
				if file.Name == "want" {
					want = i
					continue
				}
				writeFile(t, filepath.Join(dir, file.Name), string(file.Data))
			}
			var got bytes.Buffer
			for line := range strings.Lines(string(ar.Comment)) {
				if args, ok := strings.CutPrefix(strings.TrimSpace(line), "run "); ok {
					fmt.Fprintf(&got, "> %s\n", args)
					runLine(t, dir, strings.Fields(args), &got)
				}
			}
			text := stamp.ReplaceAllString(got.String(), "${1}HH:MM:SS${2} :: ")
			text = strings.ReplaceAll(text, dir, "$DIR")
			if *update {
				ar.Files[want].Data = []byte(text)
				if err := os.WriteFile(f, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want < 0 || text != string(ar.Files[want].Data) {
				t.Errorf("got\n%s\nwant\n%s", text, ar.Files[want].Data)
			}
		})
	}
}

func runLine(t *testing.T, dir string, args []string, out *bytes.Buffer) {
	t.Helper()
	env := baseEnv()
	var options []string
	for _, a := range args[:len(args)-1] {
		if strings.HasPrefix(a, "-") {
			options = append(options, a)
		} else {
			env = append(env, a)
		}
	}
	r := &tomtit.Runner{Dir: dir, Env: env, Out: out, Cache: t.TempDir()}
	code, err := r.Run(t.Context(), args[len(args)-1], options)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(out, "exit %d\n", code)
}

func baseEnv() []string { return []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LANG=C.UTF-8"} }

func writeFile(t testing.TB, path, data string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestVarsReachTasksUnchanged sends random bytes through the environment and
// through a task's parameters.
func TestVarsReachTasksUnchanged(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, ".tom/a.raku"), `task-run "t", %( x => "pre" ~ %*ENV<X> );`)
	writeFile(t, filepath.Join(dir, "t/task.bash"), `printf '%s' "$X" > "$OUT.env"; config x > "$OUT.conf"`)
	rng := rand.New(rand.NewSource(1))
	out := filepath.Join(t.TempDir(), "out")
	for range 150 {
		b := make([]byte, rng.Intn(200))
		for i := range b {
			b[i] = byte(1 + rng.Intn(255))
		}
		r := &tomtit.Runner{Dir: dir, Env: append(baseEnv(), "X="+string(b), "OUT="+out), Out: &bytes.Buffer{}, Cache: t.TempDir()}
		if code, err := r.Run(t.Context(), "a", nil); code != 0 || err != nil {
			t.Fatalf("%q: %d %v", b, code, err)
		}
		env, _ := os.ReadFile(out + ".env")
		conf, _ := os.ReadFile(out + ".conf")
		if !bytes.Equal(env, b) || string(conf) != "pre"+string(b)+"\n" {
			t.Fatalf("sent %q\n env %q\nconf %q", b, env, conf)
		}
	}
}

func TestUnsupportedIsRefusedBeforeTheFirstTask(t *testing.T) {
	for src, want := range map[string]string{
		"task-run \"t\";\nfor 1..3 { say $_ }":           `.tom/a.raku:2:1: "for 1..3 { say $_ }" is not supported`,
		"task-run \"t\";\n  say $undefined;":             `.tom/a.raku:2:7: "$undefined;" is not supported`,
		"task-run \"t\";\ntask-run \"title\", \"plugin\"": `.tom/a.raku:2:1: "task-run \"title\", \"plugin\"" is not supported`,
		"task-run \"t\";\nuse JSON::Fast;":               `.tom/a.raku:2:1: "use JSON::Fast;" is not supported`,
		"task-run \"t\"; say \"open":                     `.tom/a.raku:1:19: a string that does not end is not supported`,
		"task-run \"t\"; task-run \"checked\";":          `.tom/a.raku:1:15: checked/task.check is not supported`,
		"task-run \"t\"; say \"x\".uc;":                  `.tom/a.raku:1:22: ".uc;" is not supported`,
		"task-run \"t\"; say \"a @x[0] b\";":             `.tom/a.raku:1:22: "@x[0] b\";" is not supported`,
	} {
		dir := t.TempDir()
		writeFile(t, filepath.Join(dir, ".tom/a.raku"), src)
		writeFile(t, filepath.Join(dir, "t/task.bash"), "echo ran")
		writeFile(t, filepath.Join(dir, "checked/task.bash"), "echo 1")
		writeFile(t, filepath.Join(dir, "checked/task.check"), "regexp: \\d+\n")
		var out bytes.Buffer
		r := &tomtit.Runner{Dir: dir, Env: baseEnv(), Out: &out, Cache: t.TempDir()}
		code, err := r.Run(t.Context(), "a", nil)
		if code != 1 || err != nil || !strings.HasPrefix(out.String(), want) || strings.Contains(out.String(), "ran\n") {
			t.Errorf("%s\n got %d %v %s\nwant %s", src, code, err, out.String(), want)
		}
		var refused *tomtit.Unsupported
		if err := r.Check("a"); !errors.As(err, &refused) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("Check: %v", err)
		}
	}
}

func TestHostsOwnTom(t *testing.T) {
	dir := t.TempDir()
	tom := filepath.Join(dir, "bin", "tom")
	writeFile(t, tom, "#!/bin/bash\necho \"args: $*\"; env | grep -c ^SP6_TAGS; exit 5\n")
	if err := os.Chmod(tom, 0o755); err != nil {
		t.Fatal(err)
	}
	env := append(baseEnv(), "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"), "SP6_TAGS=token=secret")
	if got := tomtit.FindTom(env); got != tom {
		t.Fatalf("found %q", got)
	}
	var out bytes.Buffer
	r := &tomtit.Runner{Dir: dir, Env: env, Out: &out, Cache: t.TempDir(), Tom: tom}
	code, err := r.Run(t.Context(), "hello", []string{"--verbose"})
	if code != 5 || err != nil || out.String() != "args: --no_index_update --verbose hello\n0\n" {
		t.Errorf("%d %v %q", code, err, out.String())
	}
}

// TestExecEndsTheTree covers what outlives its parent: a process in the
// background that holds the output, one in a session of its own, and one that
// ignores TERM.
func TestExecEndsTheTree(t *testing.T) {
	for name, tt := range map[string]struct {
		script string
		cancel bool
	}{
		"background process holds the output": {`sleep 300 & echo $! > $PIDS; echo ready > $READY`, false},
		"ignores TERM":                        {`trap '' TERM; sleep 300 & echo $! $$ > $PIDS; echo ready > $READY; while :; do wait; done`, true},
		"own session":                         {`setsid sleep 300 & echo $! > $PIDS; echo ready > $READY; wait`, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			pids, ready := filepath.Join(dir, "pids"), filepath.Join(dir, "ready")
			if out, err := exec.Command("mkfifo", ready).CombinedOutput(); err != nil {
				t.Fatal(string(out))
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			cmd := exec.Command("bash", "-c", tt.script)
			cmd.Env = append(baseEnv(), "PIDS="+pids, "READY="+ready, tomtit.JobMarker+"=test-"+filepath.Base(dir))
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			done := make(chan error, 1)
			go func() { done <- tomtit.Exec(ctx, cmd, 200*time.Millisecond) }()
			if _, err := os.ReadFile(ready); err != nil {
				t.Fatal(err)
			}
			if tt.cancel {
				cancel()
			}
			select {
			case err := <-done:
				if (err != nil) != tt.cancel {
					t.Errorf("err %v", err)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("Exec does not return")
			}
			data, _ := os.ReadFile(pids)
			for _, pid := range strings.Fields(string(data)) {
				gone := false
				for range 100 { // a killed process is gone once its new parent has seen it
					st, err := os.ReadFile("/proc/" + pid + "/stat")
					if gone = err != nil || bytes.Contains(st, []byte(") Z ")); gone {
						break
					}
					time.Sleep(10 * time.Millisecond)
				}
				if !gone {
					t.Errorf("process %s is alive", pid)
				}
			}
		})
	}
}

func BenchmarkBashScenario(b *testing.B) {
	dir := b.TempDir()
	writeFile(b, filepath.Join(dir, ".tom/a.bash"), ":\n")
	b.Run("runner", func(b *testing.B) {
		for b.Loop() {
			r := &tomtit.Runner{Dir: dir, Env: baseEnv(), Out: &bytes.Buffer{}}
			if code, err := r.Run(b.Context(), "a", nil); code != 0 || err != nil {
				b.Fatal(code, err)
			}
		}
	})
	b.Run("exec", func(b *testing.B) {
		for b.Loop() {
			cmd := exec.Command("bash", filepath.Join(dir, ".tom/a.bash"))
			cmd.Dir, cmd.Env = dir, baseEnv()
			if err := cmd.Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
