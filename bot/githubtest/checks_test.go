package githubtest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-github/v60/github"

	"github.com/cromt/cromt/bot/githubtest"
)

func TestCheckRunLife(t *testing.T) {
	s, r, token := world(t)
	c := client(s, token).Checks
	note := func(line int) *github.CheckRunAnnotation {
		return &github.CheckRunAnnotation{Path: github.String("a/b.sh"), StartLine: &line, EndLine: &line, AnnotationLevel: github.String("failure"), Message: github.String("broken")}
	}
	got, _, err := c.CreateCheckRun(t.Context(), "octo", "app", github.CreateCheckRunOptions{Name: "cromt", HeadSHA: sha, ExternalID: github.String("run1"), Status: github.String("in_progress")})
	if err != nil {
		t.Fatal(err)
	}
	if got.GetStatus() != "in_progress" || got.GetExternalID() != "run1" || got.GetApp().GetSlug() != "cromt" || len(got.PullRequests) != 1 || got.PullRequests[0].GetNumber() != 7 {
		t.Errorf("created %+v", got)
	}
	for line := 1; line <= 2; line++ {
		_, _, err = c.UpdateCheckRun(t.Context(), "octo", "app", got.GetID(), github.UpdateCheckRunOptions{Name: "cromt", Output: &github.CheckRunOutput{
			Title: github.String("title"), Summary: github.String("sum"), Annotations: []*github.CheckRunAnnotation{note(line)},
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	done, _, err := c.UpdateCheckRun(t.Context(), "octo", "app", got.GetID(), github.UpdateCheckRunOptions{
		Name: "cromt", Status: github.String("completed"), Conclusion: github.String("failure"),
		Actions: []*github.CheckRunAction{{Label: "Re-run failed", Description: "Runs them again", Identifier: "rerun"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if done.GetConclusion() != "failure" || done.GetCompletedAt().IsZero() || done.GetOutput().GetAnnotationsCount() != 2 {
		t.Errorf("completed %+v", done)
	}
	notes, _, err := c.ListCheckRunAnnotations(t.Context(), "octo", "app", got.GetID(), nil)
	if err != nil || len(notes) != 2 || notes[1].GetStartLine() != 2 {
		t.Errorf("annotations %v, %v", notes, err)
	}
	runs := r.CheckRuns()
	if len(runs) != 1 || runs[0].Updates != 3 || len(runs[0].Annotations) != 2 || runs[0].Summary != "sum" || runs[0].Actions[0].Identifier != "rerun" {
		t.Errorf("check runs %+v", runs)
	}
}

func TestCheckRunList(t *testing.T) {
	s, _, token := world(t)
	actions := s.Token(githubtest.Token{App: true, User: "github-actions[bot]", Permissions: all()})
	for _, create := range []struct{ token, name string }{{token, "cromt"}, {token, "cromt"}, {token, "cromt / a"}, {actions, "cromt"}} {
		if status, _, body := send(t, s, create.token, "POST", run, check(map[string]any{"name": create.name})); status != http.StatusCreated {
			t.Fatal(body)
		}
	}
	for _, tc := range []struct {
		opts  github.ListCheckRunsOptions
		total int
		len   int
	}{
		{github.ListCheckRunsOptions{}, 3, 3},
		{github.ListCheckRunsOptions{Filter: github.String("all")}, 4, 4},
		{github.ListCheckRunsOptions{CheckName: github.String("cromt / a")}, 1, 1},
		{github.ListCheckRunsOptions{Status: github.String("completed")}, 0, 0},
		{github.ListCheckRunsOptions{Filter: github.String("all"), ListOptions: github.ListOptions{PerPage: 3, Page: 2}}, 4, 1},
	} {
		got, res, err := client(s, token).Checks.ListCheckRunsForRef(t.Context(), "octo", "app", "topic", &tc.opts)
		if err != nil {
			t.Fatal(err)
		}
		if got.GetTotal() != tc.total || len(got.CheckRuns) != tc.len {
			t.Errorf("%+v: %d of %d, want %d of %d", tc.opts, len(got.CheckRuns), got.GetTotal(), tc.len, tc.total)
		}
		if tc.opts.Page == 2 && res.PrevPage != 1 {
			t.Errorf("previous page %d, want 1", res.PrevPage)
		}
	}
}

// Each rule of the Checks API: what breaks it is refused and recorded.
func TestCheckRunRules(t *testing.T) {
	note := func(change map[string]any) map[string]any {
		n := map[string]any{"path": "a.sh", "start_line": 2, "end_line": 2, "annotation_level": "notice", "message": "m"}
		for k, v := range change {
			n[k] = v
		}
		return map[string]any{"output": map[string]any{"title": "t", "summary": "s", "annotations": []any{n}}}
	}
	output := func(o map[string]any) map[string]any { return map[string]any{"output": o} }
	action := func(label, description, identifier string) map[string]any {
		return map[string]any{"label": label, "description": description, "identifier": identifier}
	}
	actions := func(list ...any) map[string]any { return map[string]any{"actions": list} }
	many := func(n int) []any {
		var list []any
		for range n {
			list = append(list, map[string]any{"path": "a", "start_line": 1, "end_line": 1, "annotation_level": "notice", "message": "m"})
		}
		return list
	}
	x := func(n int) string { return strings.Repeat("x", n) }
	for name, tc := range map[string]struct {
		change map[string]any
		want   string
	}{
		"fine":                   {note(nil), ""},
		"columns":                {note(map[string]any{"start_column": 1, "end_column": 3}), ""},
		"50 annotations":         {output(map[string]any{"title": "t", "summary": "s", "annotations": many(50)}), ""},
		"51 annotations":         {output(map[string]any{"title": "t", "summary": "s", "annotations": many(51)}), "maximum number of items is 50"},
		"summary full":           {output(map[string]any{"title": "t", "summary": x(65_535)}), ""},
		"summary too long":       {output(map[string]any{"title": "t", "summary": x(65_536)}), "/output/summary"},
		"summary bytes":          {output(map[string]any{"title": "t", "summary": strings.Repeat("é", 32_768)}), "65536 bytes"},
		"text bytes":             {output(map[string]any{"title": "t", "summary": "s", "text": strings.Repeat("é", 32_768)}), "output.text has 65536 bytes"},
		"no title":               {output(map[string]any{"summary": "s"}), `property "title" is missing`},
		"blank title":            {output(map[string]any{"title": "", "summary": "s"}), "output without a title"},
		"no summary":             {output(map[string]any{"title": "t"}), `property "summary" is missing`},
		"unknown head":           {map[string]any{"head_sha": unseen}, "No commit found"},
		"no conclusion":          {map[string]any{"status": "completed"}, "needs a conclusion"},
		"conclusion, running":    {map[string]any{"status": "in_progress", "conclusion": "success"}, "a conclusion with status"},
		"unknown status":         {map[string]any{"status": "running"}, "/status"},
		"GitHub's conclusion":    {map[string]any{"conclusion": "stale"}, "by GitHub alone"},
		"completed_at":           {map[string]any{"completed_at": "2025-01-01T00:00:00Z"}, "completed_at without"},
		"not a time":             {map[string]any{"started_at": "yesterday"}, "/started_at"},
		"empty name":             {map[string]any{"name": ""}, "name is empty"},
		"details_url":            {map[string]any{"details_url": "ftp://x"}, "http or https"},
		"absolute path":          {note(map[string]any{"path": "/a"}), "not relative"},
		"climbing path":          {note(map[string]any{"path": "a/../../b"}), "not relative"},
		"backslash":              {note(map[string]any{"path": `a\b`}), "not relative"},
		"line 0":                 {note(map[string]any{"start_line": 0}), "start_line is below 1"},
		"end before start":       {note(map[string]any{"end_line": 1}), "end_line is before"},
		"columns of two lines":   {note(map[string]any{"end_line": 3, "start_column": 1}), "more than one line"},
		"column 0":               {note(map[string]any{"start_column": 0}), "a column is below 1"},
		"end column before":      {note(map[string]any{"start_column": 5, "end_column": 4}), "end_column is before"},
		"no message":             {note(map[string]any{"message": ""}), "message has 0 bytes"},
		"long message":           {note(map[string]any{"message": x(65_537)}), "message has 65537 bytes"},
		"long annotation title":  {note(map[string]any{"title": x(256)}), "more than 255"},
		"long raw details":       {note(map[string]any{"raw_details": x(65_537)}), "raw_details has"},
		"level":                  {note(map[string]any{"annotation_level": "error"}), "/annotation_level"},
		"full action":            {actions(action(strings.Repeat("é", 20), x(40), x(20))), ""},
		"long label":             {actions(action(x(21), "d", "i")), "/actions/0/label"},
		"long description":       {actions(action("l", x(41), "i")), "/actions/0/description"},
		"long identifier":        {actions(action("l", "d", x(21))), "/actions/0/identifier"},
		"empty label":            {actions(action("", "d", "i")), "an action needs"},
		"four actions":           {actions(action("a", "a", "a"), action("b", "b", "b"), action("c", "c", "c"), action("d", "d", "d")), "/actions"},
		"misspelt":               {map[string]any{"detail_url": "https://x.test"}, "/detail_url: property is not described"},
		"misspelt, further down": {output(map[string]any{"title": "t", "summary": "s", "annotation": many(1)}), "/output/annotation: property"},
	} {
		t.Run(name, func(t *testing.T) {
			s, r, token := world(t)
			status, _, body := send(t, s, token, "POST", run, check(tc.change))
			wantStatus, wantRuns := http.StatusCreated, 1
			if tc.want != "" {
				wantStatus, wantRuns = http.StatusUnprocessableEntity, 0
			}
			if status != wantStatus || len(r.CheckRuns()) != wantRuns {
				t.Errorf("status %d with %d check runs, want %d: %s", status, len(r.CheckRuns()), wantStatus, body)
			}
			takeOne(t, s, tc.want)
		})
	}
}

func TestCheckRunUpdateRules(t *testing.T) {
	for name, tc := range map[string]struct{ first, body, want string }{
		"reopened":      {`{"conclusion":"success"}`, `{"status":"in_progress"}`, "may not be reopened"},
		"new summary":   {`{"conclusion":"success"}`, `{"output":{"title":"t","summary":"s"}}`, ""},
		"no conclusion": {"", `{"status":"completed"}`, "anyOf"},
		"no title":      {"", `{"output":{"summary":"s"}}`, "output without a title"},
		"reserved":      {"", `{"status":"waiting","conclusion":"success"}`, "anyOf"},
		"new head":      {"", `{"head_sha":"` + other + `"}`, "/head_sha: property is not described"},
	} {
		t.Run(name, func(t *testing.T) {
			s, r, token := world(t)
			send(t, s, token, "POST", run, check(nil))
			path := run + "/" + itoa(r.CheckRuns()[0].ID)
			if tc.first != "" {
				send(t, s, token, "PATCH", path, tc.first)
			}
			takeOne(t, s, "")
			status, _, body := send(t, s, token, "PATCH", path, tc.body)
			if (status == http.StatusOK) != (tc.want == "") {
				t.Errorf("status %d: %s", status, body)
			}
			takeOne(t, s, tc.want)
		})
	}
}

func TestSameNameCap(t *testing.T) {
	s, _, token := world(t)
	var status int
	for i := range 1001 {
		if i%80 == 0 { // below the minute's limit for creating content
			token = s.Token(githubtest.Token{App: true, Permissions: all()})
		}
		status, _, _ = send(t, s, token, "POST", run, check(nil))
	}
	if status != http.StatusUnprocessableEntity {
		t.Errorf("status %d", status)
	}
	takeOne(t, s, "more than 1000 check runs")
}

func TestCheckRunOfAnotherApp(t *testing.T) {
	s, r, token := world(t)
	send(t, s, token, "POST", run, check(nil))
	foreign := s.Token(githubtest.Token{App: true, User: "else[bot]", Permissions: all()})
	status, _, _ := send(t, s, foreign, "PATCH", run+"/"+itoa(r.CheckRuns()[0].ID), `{"conclusion":"success"}`)
	if status != http.StatusForbidden || r.CheckRuns()[0].Conclusion != "" {
		t.Errorf("status %d, %+v", status, r.CheckRuns())
	}
}
