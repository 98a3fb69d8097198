//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cromt/cromt/bot/githubtest"
	"github.com/cromt/cromt/flow"
)

const actionRepo = "octo/app"

// workflowJob is a job of a workflow as its runner has it: a checkout, an
// event, command files, a token, and a GitHub that they belong to.
type workflowJob struct {
	t    *testing.T
	gh   *githubtest.Server
	repo *githubtest.Repo
	dir  string // the workspace: a checkout of repo
	temp string // RUNNER_TEMP
	sha  string // of the workspace's HEAD, which GitHub knows
	env  map[string]string
}

// newWorkflowJob returns a job for a push of files, whose token may write checks
// and comments. Every host of a flow is played by the step itself.
func newWorkflowJob(t *testing.T, files map[string]string) *workflowJob {
	t.Helper()
	gh := githubtest.New(t)
	j := &workflowJob{t: t, gh: gh, repo: gh.AddRepo(actionRepo), dir: t.TempDir(), temp: t.TempDir()}
	j.git("init", "-q", "-b", "main")
	j.git("remote", "add", "origin", "https://github.com/"+actionRepo)
	j.sha = j.commit(files)
	j.env = map[string]string{
		"PATH": os.Getenv("PATH"), "HOME": t.TempDir(), "GITHUB_ACTIONS": "true", "CI": "true", "RUNNER_TEMP": j.temp,
		"GITHUB_WORKSPACE": j.dir, "GITHUB_REPOSITORY": actionRepo, "GITHUB_SERVER_URL": "https://github.com", "GITHUB_API_URL": gh.URL(),
		"GITHUB_SHA": j.sha, "GITHUB_REF": "refs/heads/main", "GITHUB_RUN_ID": "17", "GITHUB_RUN_ATTEMPT": "2",
		"GITHUB_WORKFLOW": "ci", "GITHUB_JOB": "flow",
		"GITHUB_OUTPUT": filepath.Join(j.temp, "output"), "GITHUB_STEP_SUMMARY": filepath.Join(j.temp, "summary"),
	}
	j.event("push", map[string]any{
		"ref": "refs/heads/main", "before": strings.Repeat("0", 40), "after": j.sha, "created": true, "deleted": false, "forced": false,
		"head_commit": map[string]any{"id": j.sha, "message": "one"}, "commits": []any{}, "pusher": map[string]any{"name": "octo"},
	})
	j.inputs(map[string]string{"local": "true", "github-token": gh.Token(githubtest.Token{
		Repos: []string{actionRepo}, App: true, Permissions: map[string]string{"checks": "write", "pull_requests": "write", "issues": "write", "contents": "read", "metadata": "read"},
	})})
	return j
}

func (j *workflowJob) git(args ...string) string {
	j.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = j.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=t", "GIT_AUTHOR_EMAIL=t@example.com", "GIT_COMMITTER_NAME=t", "GIT_COMMITTER_EMAIL=t@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		j.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit writes the files, commits everything and tells GitHub of the commit.
func (j *workflowJob) commit(files map[string]string) string {
	j.t.Helper()
	for name, text := range files {
		path := filepath.Join(j.dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			j.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			j.t.Fatal(err)
		}
	}
	j.git("add", "-A")
	j.git("commit", "-q", "-m", "x", "--allow-empty")
	sha := j.git("rev-parse", "HEAD")
	j.repo.AddCommit(sha)
	return sha
}

// event writes the event file; the repository and the sender are added.
func (j *workflowJob) event(name string, payload map[string]any) {
	j.t.Helper()
	owner, repo, _ := strings.Cut(actionRepo, "/")
	p := map[string]any{
		"repository": map[string]any{"id": 1, "name": repo, "full_name": actionRepo, "owner": map[string]any{"login": owner, "id": 1}, "default_branch": "main"},
		"sender":     map[string]any{"login": owner, "id": 1, "type": "User"},
	}
	maps.Copy(p, payload)
	data, err := json.Marshal(p)
	if err != nil {
		j.t.Fatal(err)
	}
	path := filepath.Join(j.temp, "event.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		j.t.Fatal(err)
	}
	j.env["GITHUB_EVENT_NAME"], j.env["GITHUB_EVENT_PATH"] = name, path
}

// inputs sets inputs as action.yml passes them on.
func (j *workflowJob) inputs(values map[string]string) {
	for name, value := range values {
		j.env["INPUT_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))] = value
	}
}

// stepResult is what a step leaves behind.
type stepResult struct {
	code    int
	log     string
	summary string
	outputs map[string]string
	report  flow.Run // zero when there is none
}

// syncBuffer is a log that is read while it is written.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// start starts the step, and returns its log and how to wait for its end.
func (j *workflowJob) start(args ...string) (cmd *exec.Cmd, log *syncBuffer, wait func() stepResult) {
	j.t.Helper()
	cmd = exec.Command("cromt", append([]string{"action"}, args...)...)
	cmd.Dir = j.dir
	for _, name := range slices.Sorted(maps.Keys(j.env)) {
		cmd.Env = append(cmd.Env, name+"="+j.env[name])
	}
	log = &syncBuffer{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		j.t.Fatal(err)
	}
	j.t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, log, func() stepResult {
		j.t.Helper()
		err := cmd.Wait()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			j.t.Fatal(err)
		}
		return j.result(cmd.ProcessState.ExitCode(), log.String())
	}
}

// run is start and wait.
func (j *workflowJob) run(args ...string) stepResult {
	j.t.Helper()
	_, _, wait := j.start(args...)
	return wait()
}

func (j *workflowJob) result(code int, log string) stepResult {
	j.t.Helper()
	r := stepResult{code: code, log: log, outputs: map[string]string{}}
	summary, _ := os.ReadFile(j.env["GITHUB_STEP_SUMMARY"])
	r.summary = string(summary)
	output, _ := os.ReadFile(j.env["GITHUB_OUTPUT"])
	// NAME<<DELIMITER, the value, DELIMITER
	for lines := strings.Split(string(output), "\n"); len(lines) > 2; {
		name, end, ok := strings.Cut(lines[0], "<<")
		i := slices.Index(lines[1:], end)
		if !ok || i < 0 {
			j.t.Fatalf("output file:\n%s", output)
		}
		r.outputs[name] = strings.Join(lines[1:1+i], "\n")
		lines = lines[2+i:]
	}
	if path := r.outputs["report"]; path != "" {
		data, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(data, &r.report)
		}
		if err != nil {
			j.t.Errorf("report: %v", err)
		}
	}
	return r
}

// workflowCommands returns the workflow commands in a log that the runner would carry
// out: none of those between stop-commands and its end.
func workflowCommands(log string) []string {
	var found []string
	stopped := ""
	for line := range strings.Lines(log) {
		line = strings.TrimSpace(line)
		token, stops := strings.CutPrefix(line, "::stop-commands::")
		switch {
		case stopped != "":
			if line == "::"+stopped+"::" {
				stopped = ""
			}
		case stops:
			stopped = token
		case strings.HasPrefix(line, "::"):
			found = append(found, line)
		case strings.Contains(line, "##["):
			found = append(found, line)
		}
	}
	return found
}

// annotationsIn are the errors, warnings and notices of a log.
func annotationsIn(log, level string) []string {
	return slices.DeleteFunc(workflowCommands(log), func(c string) bool {
		return !strings.HasPrefix(c, "::"+level+" ") && !strings.HasPrefix(c, "::"+level+"::")
	})
}

// steady replaces what differs from one run to the next.
func steady(text string) string {
	for _, r := range []struct{ pattern, with string }{
		{"\x1b\\[[0-9;]*m", ""},
		{`\b\d{6}-\d{6}-[0-9a-f]{12}\b`, "RUN"},
		{`\bcromt-[A-Z2-7]{26}\b`, "TOKEN"},
		{`\bghs_fake\d+\b`, "GITHUB-TOKEN"},
		{`\b\d\d:\d\d:\d\d ::`, "TIME ::"},
		{`\b\d+(\.\d+)?(ms|s)\b`, "DURATION"},
		{`\b[0-9a-f]{40}\b`, "COMMIT"},
		{`\b[0-9a-f]{7,12}\b`, "SHORT"},
	} {
		text = regexp.MustCompile(r.pattern).ReplaceAllString(text, r.with)
	}
	return text
}

// token gives the step another token: the one that workflows have, with these
// permissions only.
func (j *workflowJob) token(permissions map[string]string) {
	j.inputs(map[string]string{"github-token": j.gh.Token(githubtest.Token{
		Repos: []string{actionRepo}, App: true, User: "github-actions[bot]", Permissions: permissions,
	})})
}

// mayWrite are the permissions of a token for check runs and comments.
var mayWrite = map[string]string{"checks": "write", "pull_requests": "write", "issues": "write", "contents": "read", "metadata": "read"}

// expect checks a step's exit code and conclusion.
func (r *stepResult) expect(t *testing.T, code int, conclusion string) {
	t.Helper()
	if r.code != code || r.outputs["conclusion"] != conclusion {
		t.Errorf("exit %d, outputs %v; want exit %d, conclusion %s\n%s", r.code, r.outputs, code, conclusion, r.log)
	}
}

// expectIn checks that a text has all the parts.
func expectIn(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in the %s\n%s", part, what, text)
		}
	}
}

// startAgentProcess starts an agent in a process of its own, as hosts have it,
// and returns its URL.
func startAgentProcess(t testing.TB, args ...string) (cmd *exec.Cmd, url string) {
	t.Helper()
	cmd = exec.Command(cromtBinary(), append([]string{"agent", "--listen", "127.0.0.1:0", "--root", filepath.Join(t.TempDir(), "agent")}, args...)...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if _, rest, ok := strings.Cut(lines.Text(), "ready at "); ok {
			url, _, _ = strings.Cut(rest, ",")
			go func() { _, _ = io.Copy(io.Discard, stderr) }()
			return cmd, url
		}
	}
	t.Fatal("the agent is not ready")
	return nil, ""
}

// comment makes the event a comment of octo on pull request 3.
func (j *workflowJob) comment(body string) {
	j.t.Helper()
	j.event("issue_comment", map[string]any{
		"action": "created",
		"issue":  map[string]any{"number": 3, "pull_request": map[string]any{"url": "https://api.github.com/repos/" + actionRepo + "/pulls/3"}},
		"comment": map[string]any{
			"id": 5, "body": body, "user": map[string]any{"login": "octo", "id": 1, "type": "User"}, "author_association": "OWNER",
			"created_at": "2026-01-02T03:04:05Z", "html_url": "https://github.com/" + actionRepo + "/pull/3#issuecomment-5",
		},
	})
}
