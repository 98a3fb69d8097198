package event_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cromt/cromt/bot/event"
)

const payloads = "../../testdata/webhooks"

var update = flag.Bool("update", false, "write the golden file")

type example struct {
	file    string // push/push.json
	name    string // of the event
	payload []byte
}

func examples(t testing.TB) []example {
	files, err := filepath.Glob(payloads + "/*/*.json")
	if err != nil || len(files) < 100 {
		t.Fatalf("only %d payloads: %v", len(files), err)
	}
	var list []example
	for _, file := range files {
		payload, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		dir, base := filepath.Split(file)
		name := filepath.Base(dir)
		list = append(list, example{name + "/" + base, name, payload})
	}
	return list
}

// TestParseGolden compares what is read of every payload with the golden file,
// in which a line is the file and the fields that are not empty.
func TestParseGolden(t *testing.T) {
	var got bytes.Buffer
	for _, ex := range examples(t) {
		e, err := event.Parse(ex.name, ex.payload)
		if err != nil {
			t.Errorf("%s: %v", ex.file, err)
			continue
		}
		fmt.Fprintf(&got, "%s %s\n", ex.file, filled(t, e))
	}
	const golden = "testdata/payloads.golden"
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	wantLines := strings.Split(string(want), "\n")
	for i, line := range strings.Split(got.String(), "\n") {
		if i >= len(wantLines) || line != wantLines[i] {
			t.Fatalf("line %d:\n got %s\nwant %s", i+1, line, wantLines[min(i, len(wantLines)-1)])
		}
	}
	if n := strings.Count(got.String(), "\n"); n != len(wantLines)-1 {
		t.Errorf("%d lines, want %d", n, len(wantLines)-1)
	}
}

// filled writes the fields of e that are not empty.
func filled(t *testing.T, e event.Event) string {
	data, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(withoutEmpty(v)); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line.String())
}

func withoutEmpty(v any) any {
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	for name, field := range m {
		field = withoutEmpty(field)
		empty := field == nil || field == "" || field == false || field == 0.0 || field == "0001-01-01T00:00:00Z"
		if sub, ok := field.(map[string]any); ok {
			empty = len(sub) == 0
		}
		if empty {
			delete(m, name)
		}
	}
	return m
}

// TestParseOtherName parses every payload under every other event's name: no
// header, which no signature covers, may turn one event into another.
func TestParseOtherName(t *testing.T) {
	names := []string{
		"push", "pull_request", "issue_comment", "pull_request_review_comment", "merge_group", "check_run", "check_suite",
		"workflow_dispatch", "repository_dispatch", "schedule", "workflow_run", "installation", "installation_repositories",
	}
	for _, ex := range examples(t) {
		for _, name := range names {
			_, err := event.Parse(name, ex.payload)
			if ok := name == ex.name; ok != (err == nil) {
				t.Errorf("%s as %s: %v", ex.file, name, err)
			}
		}
	}
}

func TestParseTarget(t *testing.T) {
	payload, err := os.ReadFile(payloads + "/pull_request/opened.json")
	if err != nil {
		t.Fatal(err)
	}
	e, err := event.Parse("pull_request_target", payload)
	if err != nil || e.Kind != event.KindPullRequest || e.Name != "pull_request_target" || e.PullRequest == nil {
		t.Errorf("%+v, %v", e, err)
	}
}

// TestParseChanged parses payloads with one field changed.
func TestParseChanged(t *testing.T) {
	const sha = "ec26c3e57ca3a959ca5aad62de7213c562f8c821"
	long := strings.Repeat("x", 2000)
	tests := []struct {
		file, field, value string // the value is JSON; "" removes the field
		err                string // "" for none
	}{
		{"push/push.json", "repository", ``, "read push payload: repository is missing"},
		{"push/push.json", "repository", `[]`, "repository has the wrong type: array"},
		{"push/push.json", "repository.full_name", `"a/../b"`, "repository.full_name is not owner/name"},
		{"push/push.json", "repository.full_name", `"a/.."`, "repository.full_name is not owner/name"},
		{"push/push.json", "repository.full_name", `"../a"`, "repository.full_name is not owner/name"},
		{"push/push.json", "repository.full_name", `"-a/b"`, "repository.full_name is not owner/name"},
		{"push/push.json", "repository.full_name", `"a/.github"`, ""},
		{"push/push.json", "repository.full_name", `"а/b"`, "repository.full_name is not owner/name"}, // Cyrillic
		{"push/push.json", "repository.full_name", `7`, "repository.full_name has the wrong type: number"},
		{"push/push.json", "repository.id", `0`, "repository.id is missing"},
		{"push/push.json", "repository.id", `1e99`, "repository.id has the wrong type: number 1e99"},
		{"push/push.json", "repository.clone_url", `"ext::sh -c id"`, "repository.clone_url is not an http address"},
		{"push/push.json", "repository.clone_url", `"https://user:pw@host/a"`, "repository.clone_url is not an http address"},
		{"push/push.json", "repository.clone_url", `"file:///etc"`, "repository.clone_url is not an http address"},
		{"push/push.json", "repository.html_url", `"javascript:alert(1)"`, "repository.html_url is not an http address"},
		{"push/push.json", "sender.login", `"a b"`, "sender.login is not a login"},
		{"push/push.json", "sender.login", `"dependabot[bot]"`, ""},
		{"push/push.json", "sender", `null`, ""},
		{"push/push.json", "after", `"` + sha + `"`, "after contradicts deleted"},
		{"push/push.4.json", "after", `"main"`, "after is not the id of a commit"},
		{"push/push.4.json", "after", `"` + strings.ToUpper(sha) + `"`, "after is not the id of a commit"},
		{"push/push.4.json", "after", `"` + sha + strings.Repeat("a", 24) + `"`, ""},
		{"push/push.4.json", "ref", `"refs/notes/x"`, "ref is neither a branch nor a tag"},
		{"push/push.4.json", "ref", `"refs/heads/--upload-pack=touch x"`, "ref is not the name of a ref"},
		{"push/push.4.json", "ref", `"refs/heads/--upload-pack=x"`, "ref is not the name of a ref"},
		{"push/push.4.json", "ref", `"refs/heads/a..b"`, "ref is not the name of a ref"},
		{"push/push.4.json", "ref", `"refs/heads/a@{1}"`, "ref is not the name of a ref"},
		{"push/push.4.json", "ref", `"refs/heads/a\u0000b"`, "ref is not the name of a ref"},
		{"push/push.4.json", "ref", `"refs/heads/` + long + `"`, "ref is not the name of a ref"},
		{"push/push.4.json", "ref", `"refs/heads/fix/µ-1"`, ""},
		{"push/push.4.json", "commits", `{}`, "commits has the wrong type: object"},
		{"pull_request/opened.json", "number", `3`, "number is not that of pull_request"},
		{"pull_request/opened.json", "pull_request.head.sha", ``, "pull_request.head.sha is not the id of a commit"},
		{"pull_request/opened.json", "pull_request.head.sha", `"0000000000000000000000000000000000000000"`, "pull_request.head.sha is not a commit: all zeros"},
		{"pull_request/opened.json", "pull_request.head.ref", `"-x"`, "pull_request.head.ref is not the name of a ref"},
		{"pull_request/opened.json", "pull_request.state", `"merged"`, "pull_request.state is neither open nor closed"},
		{"pull_request/opened.json", "pull_request.user", `null`, ""},
		{"pull_request/opened.json", "action", ``, "action is missing"},
		{"issue_comment/created.json", "comment.created_at", `"yesterday"`, "comment.created_at is not a time"},
		{"issue_comment/created.json", "comment.id", `null`, "comment.id is missing"},
		{"check_run/requested_action.json", "requested_action", ``, "requested_action.identifier is missing"},
		{"check_run/requested_action.json", "requested_action.identifier", `"` + long + `"`, "requested_action.identifier is longer than 1024 bytes"},
		{"check_run/requested_action.json", "requested_action.identifier", `"a\nb"`, "requested_action.identifier has a control character"},
		{"check_run/requested_action.json", "check_run.app", `null`, ""},
		{"check_run/requested_action.json", "check_run.pull_requests", `null`, ""},
		{"workflow_dispatch/own.json", "inputs", `null`, ""},
		{"workflow_dispatch/own.json", "inputs", `{"a":[1]}`, "inputs has a list or an object"},
		{"workflow_dispatch/own.json", "workflow", ``, "workflow is missing"},
		{"repository_dispatch/on-demand-test.json", "client_payload", `null`, ""},
		{"repository_dispatch/on-demand-test.json", "client_payload", `"x"`, "client_payload is not an object"},
		{"schedule/own.json", "sender", `{"login":"octocat","id":1}`, ""},
		{"merge_group/checks_requested.json", "merge_group.base_ref", `""`, "merge_group.base_ref is not the name of a ref"},
	}
	for _, test := range tests {
		name, _, _ := strings.Cut(test.file, "/")
		_, err := event.Parse(name, changed(t, test.file, test.field, test.value))
		if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s with %s %s:\n got %v\nwant %s", test.file, test.field, test.value, err, test.err)
		}
	}
}

// changed returns a payload in which the field has another value.
func changed(t *testing.T, file, field, value string) []byte {
	data, err := os.ReadFile(payloads + "/" + file)
	if err != nil {
		t.Fatal(err)
	}
	return change(t, data, strings.Split(field, "."), value)
}

func change(t *testing.T, data []byte, path []string, value string) []byte {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	switch {
	case len(path) > 1:
		m[path[0]] = change(t, m[path[0]], path[1:], value)
	case value == "":
		if _, ok := m[path[0]]; !ok {
			t.Fatalf("no field %s", path[0])
		}
		delete(m, path[0])
	default:
		m[path[0]] = json.RawMessage(value)
	}
	out, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestParseFork(t *testing.T) {
	const file = "pull_request/opened.json" // of Codertocat/Hello-World, 186853002
	tests := []struct {
		field, value string
		repo         string
		fork         bool
	}{
		{"pull_request.title", `"same"`, "Codertocat/Hello-World", false},
		{"pull_request.head.repo", `null`, "", true},
		{"pull_request.head.repo.full_name", `"mallory/Hello-World"`, "mallory/Hello-World", true},
		{"pull_request.head.repo.id", `5`, "Codertocat/Hello-World", true},
		{"pull_request.head.repo.full_name", `"codertocat/hello-world"`, "codertocat/hello-world", false},
	}
	for _, test := range tests {
		e, err := event.Parse("pull_request", changed(t, file, test.field, test.value))
		if err != nil {
			t.Fatal(err)
		}
		if p := e.PullRequest; p.Fork != test.fork || p.HeadRepo != test.repo {
			t.Errorf("%s %s: fork %v of %q", test.field, test.value, p.Fork, p.HeadRepo)
		}
	}
	e, err := event.Parse("workflow_run", changed(t, "workflow_run/completed.json", "workflow_run.head_repository", `null`))
	if err != nil || !e.WorkflowRun.Fork || e.WorkflowRun.HeadRepo != "" {
		t.Errorf("workflow run of a fork that is gone: %+v, %v", e.WorkflowRun, err)
	}
}

func TestParsePaths(t *testing.T) {
	const commit = `{"added":["b","a"],"removed":["a"],"modified":["c/d"]}`
	many := func(n int, one string) string { return "[" + strings.TrimSuffix(strings.Repeat(one+",", n), ",") + "]" }
	tests := []struct {
		name, commits string
		paths         []string
		truncated     bool
	}{
		{"all", `[` + commit + `,{"modified":["e"]}]`, []string{"a", "b", "c/d", "e"}, false},
		{"none", `[]`, nil, true},
		{"in a workflow", `[{"id":"x","message":"m"}]`, nil, true},
		{"one without files", `[` + commit + `,{"added":[]}]`, []string{"a", "b", "c/d"}, true},
		{"2047 commits", many(2047, commit), []string{"a", "b", "c/d"}, false},
		{"2048 commits", many(2048, commit), []string{"a", "b", "c/d"}, true},
		{"3000 files", `[{"added":` + many(3000, `"x"`) + `}]`, []string{"x"}, true},
		{"long path", `[{"added":["x","` + strings.Repeat("y", 5000) + `"]}]`, []string{"x"}, true},
	}
	for _, test := range tests {
		payload := changed(t, "push/push.4.json", "commits", test.commits)
		payload = change(t, payload, []string{"forced"}, "false")
		e, err := event.Parse("push", payload)
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		if !slices.Equal(e.Push.Paths, test.paths) || e.Push.Truncated != test.truncated {
			t.Errorf("%s: %.100q, truncated %v", test.name, e.Push.Paths, e.Push.Truncated)
		}
		e, err = event.Parse("push", change(t, payload, []string{"forced"}, "true"))
		if err != nil || !e.Push.Truncated {
			t.Errorf("%s, forced: truncated %v, %v", test.name, e.Push.Truncated, err)
		}
	}
}

func TestParseUnknown(t *testing.T) {
	tests := []struct{ name, payload, err, repo string }{
		{"star", `{"action":"created","repository":{"full_name":"a/b","id":1}}`, "", "a/b"},
		{"star", `{"action":5,"repository":{"full_name":"a/b","id":1}}`, "", ""},
		{"star", `{"repository":{"full_name":"a b","id":1}}`, "", ""},
		{"star", `[]`, "read star payload: the whole has the wrong type: array", ""},
		{"star", `{`, "read star payload: unexpected end of JSON input", ""},
		{"", `{}`, `read payload: "" is not the name of an event`, ""},
		{"push\n", `{}`, `read payload: "push\n" is not the name of an event`, ""},
		{"push", `null`, "read push payload: repository is missing", ""},
		{"push", strings.Repeat(" ", event.MaxPayload) + "{}", "read push payload: larger than 25 MiB", ""},
		{"push", strings.Repeat(`{"a":`, 20_000), "read push payload: invalid character '{' exceeded max depth", ""},
		{"push", strings.Repeat(`[`, 20_000), "read push payload: invalid character '[' exceeded max depth", ""},
	}
	for _, test := range tests {
		e, err := event.Parse(test.name, []byte(test.payload))
		text := ""
		if err != nil {
			text = err.Error()
		}
		if text != test.err || e.Kind != "" || e.Repo.FullName != test.repo || err == nil && e.Name != test.name {
			t.Errorf("%q %.60s: %+v, %q", test.name, test.payload, e, text)
		}
	}
}

func TestParseCut(t *testing.T) {
	text := `"` + strings.Repeat("é", 200_000) + `"`
	e, err := event.Parse("pull_request", change(t, changed(t, "pull_request/opened.json", "pull_request.title", text), []string{"pull_request", "body"}, text))
	if err != nil || len(e.PullRequest.Title) != event.MaxTitle || len(e.PullRequest.Body) != event.MaxBody {
		t.Errorf("title %d, body %d, %v", len(e.PullRequest.Title), len(e.PullRequest.Body), err)
	}
	e, err = event.Parse("pull_request", changed(t, "pull_request/opened.json", "pull_request.title", `"x`+text[1:]))
	if err != nil || len(e.PullRequest.Title) != event.MaxTitle-1 {
		t.Errorf("a title was cut within a character: %d, %v", len(e.PullRequest.Title), err)
	}
}

func TestSkipsCI(t *testing.T) {
	tests := []struct {
		message string
		skip    bool
	}{
		{"", false}, {"fix", false},
		{"fix [skip ci]", true}, {"[ci skip] fix", true}, {"fix\n\n[no ci]", true}, {"[skip actions]", true}, {"x[actions skip]x", true},
		{"[Skip CI]", false}, {"[skip  ci]", false}, {"skip ci", false}, {"[skip ci", false},
		{"fix\n\n\nskip-checks: true", true},
		{"fix\n\n\nskip-checks:true\n", true},
		{"fix\n\nskip-checks: true", true},
		{"fix\r\n\r\n\r\nskip-checks: true\r\n", true},
		{"fix\n\nSigned-off-by: A <a@b>\nskip-checks: true", true},
		{"fix\n\nskip-checks: true\nSigned-off-by: A <a@b>", false},
		{"fix\n\nabout this\nskip-checks: true", false},
		{"fix\nskip-checks: true", false},
		{"skip-checks: true", false},
		{"fix\n\n\nskip-checks: false", false},
		{"fix\n\n\nskip-checks: true, or not", false},
	}
	for _, test := range tests {
		if got := event.SkipsCI(test.message); got != test.skip {
			t.Errorf("%q: %v", test.message, got)
		}
		push := event.Event{Push: &event.Push{HeadMessage: test.message}}
		if got := push.SkipCI(); got != test.skip {
			t.Errorf("push of %q: %v", test.message, got)
		}
	}
	if e := (event.Event{PullRequest: &event.PullRequest{Title: "[skip ci]"}}); e.SkipCI() {
		t.Error("the title of a pull request is no commit's message")
	}
}

func FuzzParse(f *testing.F) {
	for _, ex := range examples(f) {
		f.Add(ex.name, ex.payload)
	}
	f.Fuzz(func(t *testing.T, name string, payload []byte) {
		e, err := event.Parse(name, payload)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "read ") || e.Name != "" {
				t.Errorf("%+v, %v", e, err)
			}
			return
		}
		e.SkipCI()
		set := []bool{
			e.Push != nil, e.PullRequest != nil, e.Comment != nil, e.MergeGroup != nil, e.CheckRun != nil, e.CheckSuite != nil,
			e.Dispatch != nil, e.Schedule != "", e.WorkflowRun != nil, e.Change != nil,
		}
		n := 0
		for _, there := range set {
			if there {
				n++
			}
		}
		if want := 1; n != want && (e.Kind != "" || n != 0) {
			t.Errorf("kind %q with %d fields", e.Kind, n)
		}
		if e.Kind != "" && e.Kind != event.KindInstallation && e.Repo.FullName == "" {
			t.Errorf("%s without a repository", e.Kind)
		}
	})
}
