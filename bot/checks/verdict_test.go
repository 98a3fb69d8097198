package checks_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/cromt/cromt/bot/checks"
	"github.com/cromt/cromt/bot/githubtest"
	"github.com/cromt/cromt/flow"
)

func TestPostVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gh := githubtest.New(t)
		repo := gh.AddRepo("octo/app")
		sha := strings.Repeat("a", 40)
		repo.AddCommit(sha)
		token := gh.Token(githubtest.Token{Repos: []string{"octo/app"}, App: true, Permissions: map[string]string{"checks": "write", "metadata": "read"}})
		c, err := checks.NewClient(checks.ClientConfig{Token: token, HTTP: &http.Client{Transport: gh.Transport()}})
		if err != nil {
			t.Fatal(err)
		}
		v := checks.Verdict{Repo: "octo/app", SHA: sha, Name: "cromt", ExternalID: "run-1", Title: "waits for an approval", Summary: "of a fork", Conclusion: checks.ActionRequired, Approve: true}
		// The answer to the create is lost: it is not repeated.
		gh.Fault(func(r *http.Request, _ int) *githubtest.Fault {
			if r.Method == http.MethodPost && len(repo.CheckRuns()) == 0 {
				return &githubtest.Fault{DropAfter: true}
			}
			return nil
		})
		for range 2 {
			if err := c.Post(t.Context(), v); err != nil {
				t.Fatal(err)
			}
		}
		runs := repo.CheckRuns()
		if len(runs) != 1 || runs[0].Conclusion != "action_required" || len(runs[0].Actions) != 1 || runs[0].Updates != 0 {
			t.Fatalf("%+v", runs)
		}
		gh.Fault(nil)
		wrong := checks.Verdict{Repo: "octo/app", SHA: sha, Name: "cromt", ExternalID: "run-2", Title: "jobs.yaml is wrong", Summary: "x", Conclusion: flow.Failure}
		for i := range 120 {
			wrong.Annotations = append(wrong.Annotations, checks.Annotation{Path: "jobs.yaml", StartLine: i + 1, EndLine: i + 1, Level: checks.LevelFailure, Message: fmt.Sprint("problem ", i)})
		}
		if err := c.Post(t.Context(), wrong); err != nil {
			t.Fatal(err)
		}
		if runs = repo.CheckRuns(); len(runs) != 2 || len(runs[1].Annotations) != 120 || runs[1].Conclusion != "failure" {
			t.Errorf("%d check runs, %d annotations", len(runs), len(runs[1].Annotations))
		}
		if err := c.Post(t.Context(), checks.Verdict{Repo: "octo/app", SHA: strings.Repeat("b", 40), Name: "cromt", ExternalID: "x", Title: "x", Summary: "x", Conclusion: flow.Success}); err == nil {
			t.Error("posted at an unknown commit")
		}
		if v := gh.Violations(); len(v) != 1 { // that one
			t.Errorf("%v", v)
		}
	})
}

// Whatever a check run is to hold, it is within GitHub's limits: what is
// refused would leave it pending for ever.
func TestPostTooMuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gh := githubtest.New(t)
		repo := gh.AddRepo("octo/app")
		sha := strings.Repeat("a", 40)
		repo.AddCommit(sha)
		c := newClient(t, gh, map[string]string{"checks": "write"})
		for i, text := range []string{strings.Repeat("é", 70_000), strings.Repeat("\xffx", 30_000), strings.Repeat("x", 65_536)} {
			v := checks.Verdict{
				Repo: "octo/app", SHA: sha, Name: text, ExternalID: fmt.Sprint(i), Title: text, Summary: text, Conclusion: flow.Failure,
				Annotations: []checks.Annotation{{Path: "jobs.yaml", StartLine: 1, EndLine: 1, Level: checks.LevelFailure, Title: text, Message: text}},
			}
			if err := c.Post(t.Context(), v); err != nil {
				t.Errorf("%.10q: %v", text, err)
			}
		}
		runs := repo.CheckRuns()
		if len(runs) != 3 {
			t.Fatalf("%d check runs", len(runs))
		}
		for _, k := range runs {
			if n := len(k.Summary); n > 65_535 || n < 65_530 || len(k.Annotations) != 1 || len(k.Name) > 255 || len(k.Title) > 255 {
				t.Errorf("%d bytes of summary, %d annotations, name of %d bytes, title of %d", n, len(k.Annotations), len(k.Name), len(k.Title))
			}
		}
	})
}
