//go:build unix

package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/cromt/cromt/bot/checks"
	"github.com/cromt/cromt/bot/githubtest"
)

var update = flag.Bool("update", false, "write the golden files of testdata/golden/action")

// goldenFlow builds, tests on two hosts, deploys, and cleans up whatever comes.
// One queue makes the order of its jobs, and so of the log, always the same.
const goldenFlow = `projects:
  deploy:
    path: .
    action: deploy
    queue-id: one
    hosts: [{url: http://web.test:4000}]
    before: [{name: test}]
  test:
    path: .
    action: test
    queue-id: one
    hosts:
      - url: http://linux.test:4000
      - url: http://mac.test:4000
        vars: {SYSTEM: mac}
    artifacts: {in: [app.tar]}
    before: [{name: build}]
    after: [{name: clean, when: always}]
  build:
    title: Build the application
    path: .
    action: build
    queue-id: one
    hosts: [{url: http://linux.test:4000}]
    artifacts: {out: [{file: app.tar, path: out/app.tar}]}
  clean:
    path: .
    action: clean
    queue-id: one
    hosts: [{url: http://linux.test:4000}]
`

// goldenFiles are its scenarios; test on the second host goes as mode says.
func goldenFiles(mode string) map[string]string {
	return map[string]string{
		"jobs.yaml":        goldenFlow,
		".tom/build.bash":  "echo 'cc -O2 -c src/main.c'\nmkdir out && echo 'all that was built' > out/app.tar\n",
		".tom/test.bash":   "cat .artifacts/app.tar\necho 'ok 1 - starts'\n[ \"$SYSTEM\" != mac ] || . ./mode\necho 'ok 2 - answers'\n",
		".tom/deploy.bash": "echo deployed\n",
		".tom/clean.bash":  "echo clean\n",
		"src/main.c":       "int main() {\n\treturn x;\n}\n",
		"mode":             mode,
	}
}

func TestActionGoldenPassing(t *testing.T) {
	t.Parallel()
	j := newGoldenJob(t, goldenFiles(":\n"))
	r := j.run()
	r.expect(t, 0, "success")
	j.golden("passing", r)
}

func TestActionGoldenFailing(t *testing.T) {
	t.Parallel()
	j := newGoldenJob(t, goldenFiles("echo 'src/main.c:1:5: warning: old style' >&2\necho \"src/main.c:2:9: error: 'x' undeclared\" >&2\necho 'not ok 2 - answers'\nexit 2\n"))
	r := j.run()
	r.expect(t, 1, "failure")
	j.golden("failing", r)
}

func TestActionGoldenCancelled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	started, never := filepath.Join(dir, "started"), filepath.Join(dir, "never")
	for _, fifo := range []string{started, never} {
		if err := syscall.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	j := newGoldenJob(t, goldenFiles("echo 'waiting for the lab'\necho > "+started+"\ncat "+never+"\n"))
	cmd, log, wait := j.start()
	if _, err := os.ReadFile(started); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the log", func() bool { return strings.Contains(log.String(), "waiting for the lab") })
	r := interrupt(t, cmd, os.Interrupt, termAfter, wait)
	r.expect(t, 130, "cancelled")
	j.golden("cancelled", r)
}

// A summary that is too long for a check run is cut, with what was left out; that of
// the step has room for it.
func TestActionGoldenTruncated(t *testing.T) {
	t.Parallel()
	var jobs strings.Builder
	jobs.WriteString("projects:\n  build:\n    path: .\n    action: step\n    hosts: [{url: http://linux.test:4000}]\n")
	for i := range 150 {
		fmt.Fprintf(&jobs, "  %s-%03d:\n    path: .\n    action: step\n    title: %s\n    hosts: [{url: http://linux.test:4000}]\n    before: [{name: build}]\n",
			strings.Repeat("service", 13), i, strings.Repeat("Überwachung ", 8))
	}
	j := newGoldenJob(t, map[string]string{"jobs.yaml": jobs.String(), ".tom/step.bash": "echo 'no disk' >&2; exit 1\n"})
	j.inputs(map[string]string{"checks": "aggregate"})
	r := j.run()
	r.expect(t, 1, "failure")
	runs := j.repo.CheckRuns()
	if len(runs) != 1 || len(runs[0].Summary) > checks.MaxOutput || len(r.summary) <= checks.MaxOutput {
		t.Fatalf("%d check runs, %d bytes of summary", len(runs), len(r.summary))
	}
	j.golden("truncated", r)
}

// newGoldenJob returns a job for a pull request, of which everything is shown.
func newGoldenJob(t *testing.T, files map[string]string) *workflowJob {
	t.Helper()
	j := newReportedJob(t, "")
	j.env["GITHUB_SHA"] = j.commit(files)
	j.inputs(map[string]string{"ref": "merge"})
	return j
}

// golden compares what a step has left with the files.
func (j *workflowJob) golden(name string, r stepResult) {
	j.t.Helper()
	for ext, text := range map[string]string{".log": r.log, ".summary.md": r.summary, ".checks.json": shownChecks(j.t, j.repo.CheckRuns())} {
		path := filepath.Join("..", "..", "testdata", "golden", "action", name+ext)
		text = strings.ReplaceAll(steady(text), j.dir, "WORKSPACE")
		if *update {
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				j.t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil {
			j.t.Fatalf("%v; write it with go test -run Golden -update", err)
		}
		if text != string(want) {
			j.t.Errorf("%s differs from line %d:\n%s", path, differs(text, string(want)), text)
		}
	}
	if len(j.repo.Comments(3)) != 1 {
		j.t.Error("there is no comment")
	}
	expectPlain(j.t, "summary", r.summary)
	expectPlain(j.t, "comment", j.repo.Comments(3)[0].Body)
}

// differs is the number of the first line that two texts do not share.
func differs(a, b string) int {
	la, lb := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range la {
		if i >= len(lb) || la[i] != lb[i] {
			return i + 1
		}
	}
	return len(la) + 1
}

// shownChecks is what is shown of check runs, by name, each text as lines.
func shownChecks(t *testing.T, runs []githubtest.CheckRun) string {
	t.Helper()
	type shown struct {
		Name, Conclusion, Title string
		Summary, Text           []string
		Annotations             []string
	}
	var all []shown
	for _, k := range slices.SortedFunc(slices.Values(runs), func(a, b githubtest.CheckRun) int { return cmp.Compare(a.Name, b.Name) }) {
		s := shown{Name: k.Name, Conclusion: k.Conclusion, Title: k.Title, Summary: strings.Split(k.Summary, "\n"), Text: strings.Split(k.Text, "\n")}
		for _, a := range k.Annotations {
			s.Annotations = append(s.Annotations, fmt.Sprintf("%s %s:%d-%d: %s: %s", a.Level, a.Path, a.StartLine, a.EndLine, a.Title, a.Message))
		}
		all = append(all, s)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(all); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
