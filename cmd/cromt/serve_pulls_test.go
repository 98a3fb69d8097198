//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/bot/githubtest"
)

// newPullSite is a site whose user octo may write, with the files on main and
// at the head of pull request 1, which is not of a fork.
func newPullSite(t *testing.T, config func(*appSite) string) (s *appSite, sha string) {
	t.Helper()
	s = newAppSite(t, "")
	s.repo.SetPermission("octo", "write")
	s.base(map[string]string{"jobs.yaml": config(s)})
	sha = strings.Repeat("e", 40)
	s.movePull(1, sha, map[string]string{"jobs.yaml": config(s)})
	return s, sha
}

var baseSHA = strings.Repeat("0a", 20)

// base sets the files of the branch main, of which nobody is told.
func (s *appSite) base(files map[string]string) {
	for name, text := range files {
		s.repo.SetFile(baseSHA, name, text)
	}
	s.repo.SetBranch("main", baseSHA)
}

// work makes folders with one scenario each, of which files are the contents
// by name.
func (s *appSite) work(files map[string]string) {
	s.t.Helper()
	for name, text := range files {
		if err := os.MkdirAll(filepath.Join(s.dir, name, ".tom"), 0o755); err != nil {
			s.t.Fatal(err)
		}
		s.file(filepath.Join(name, ".tom", "step.bash"), text)
	}
}

// onPulls is a flow that runs a script on both hosts for pull requests.
func (s *appSite) onPulls(script string) string {
	return strings.Replace(s.onHosts(script, ""), "trigger: true", "trigger: [pull_request]", 1)
}

// project is one of work's, on a host.
func (s *appSite) project(name, host, extra string) string {
	return fmt.Sprintf("  %s:\n    path: %s\n    action: step\n    url: %s\n%s", name, filepath.Join(s.dir, name), host, extra)
}

// ran is what the scenarios have appended to the file log, sorted.
func (s *appSite) ran() string {
	data, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	lines := strings.Fields(string(data))
	slices.Sort(lines)
	return strings.Join(lines, " ")
}

// movePull moves the head of a pull request of this repository and tells of it.
func (s *appSite) movePull(number int, sha string, files map[string]string) {
	s.t.Helper()
	s.pushPull("synchronize", githubtest.Pull{Number: number, Title: "A change", HeadSHA: sha, HeadRef: fmt.Sprintf("branch-%d", number), BaseSHA: baseSHA}, files)
}

// forkPull does so for one of a fork.
func (s *appSite) forkPull(number int, sha string, files map[string]string) {
	s.t.Helper()
	s.pushPull("synchronize", githubtest.Pull{
		Number: number, Title: "From a stranger", HeadSHA: sha, HeadRef: "main", HeadRepo: "stranger/app", BaseSHA: baseSHA, User: "stranger",
	}, files)
}

func (s *appSite) pushPull(action string, p githubtest.Pull, files map[string]string) {
	s.t.Helper()
	s.repo.AddPull(p)
	for name, text := range files {
		s.repo.SetFile(p.HeadSHA, name, text)
	}
	s.tellPull(action, p)
}

// tellPull tells of a pull request as if it were at that commit.
func (s *appSite) tellPull(action string, p githubtest.Pull) {
	s.t.Helper()
	head, id, user, state := actionRepo, 1, "octo", "open"
	if p.HeadRepo != "" {
		head, id, user = p.HeadRepo, 2, p.User
	}
	if action == "closed" {
		state = "closed"
	}
	code := s.deliver("pull_request", map[string]any{
		"action": action, "number": p.Number, "sender": map[string]any{"login": user, "id": 7, "type": "User"},
		"pull_request": map[string]any{
			"number": p.Number, "title": p.Title, "state": state, "updated_at": time.Now().Format(time.RFC3339Nano), // GitHub sends no two that are alike
			"user": map[string]any{"login": user, "id": 7, "type": "User"},
			"head": map[string]any{"ref": p.HeadRef, "sha": p.HeadSHA, "repo": map[string]any{"id": id, "full_name": head}},
			"base": map[string]any{"ref": "main", "sha": p.BaseSHA},
		},
	})
	if code != http.StatusAccepted {
		s.t.Errorf("pull_request: %d", code)
	}
}

// said is a comment.
type said struct {
	pull   int
	by     string // default octo
	body   string
	at     time.Time // default now
	action string    // default created
	bot    bool
	issue  bool // not on a pull request
}

// comment writes a comment of octo on pull request 1 and tells of it.
func (s *appSite) comment(body string) int64 { return s.say(said{body: body}) }

func (s *appSite) say(c said) int64 {
	s.t.Helper()
	c.pull = max(c.pull, 1)
	if c.by == "" {
		c.by = "octo"
	}
	id := s.repo.AddComment(c.pull, c.by, c.body)
	s.tellComment(id, c)
	return id
}

// tellComment tells of a comment.
func (s *appSite) tellComment(id int64, c said) {
	s.t.Helper()
	if c.at.IsZero() {
		c.at = time.Now()
	}
	kind, action := "User", "created"
	if c.bot {
		kind = "Bot"
	}
	if c.action != "" {
		action = c.action
	}
	issue := map[string]any{"number": max(c.pull, 1)}
	if !c.issue {
		issue["pull_request"] = map[string]any{}
	}
	user := map[string]any{"login": c.by, "id": 9, "type": kind}
	code := s.deliver("issue_comment", map[string]any{
		"action": action, "issue": issue, "sender": user,
		"comment": map[string]any{
			"id": id, "body": c.body, "user": user, "author_association": "NONE", "created_at": c.at.UTC().Format(time.RFC3339),
			"html_url": fmt.Sprintf("https://github.com/%s/pull/1#issuecomment-%d", actionRepo, id),
		},
	})
	if code != http.StatusAccepted && code != http.StatusOK {
		s.t.Errorf("issue_comment: %d", code)
	}
}

// reactions are those on a comment.
func (s *appSite) reactions(pull int, id int64) string {
	for _, c := range s.repo.Comments(pull) {
		if c.ID == id {
			var all []string
			for _, r := range c.Reactions {
				all = append(all, r.Content)
			}
			return strings.Join(all, " ")
		}
	}
	return ""
}

// reacted waits for the reactions on a comment.
func (s *appSite) reacted(pull int, id int64, want string) {
	s.t.Helper()
	s.eventually(fmt.Sprintf("comment %d has %q", id, want), func() bool { return s.reactions(pull, id) == want })
}

// reply waits until our one comment on a pull request says something.
func (s *appSite) reply(pull int, want ...string) string {
	s.t.Helper()
	var body string
	s.t.Cleanup(func() {
		if s.t.Failed() {
			s.t.Logf("reply with %q: %s", want, body)
		}
	})
	s.eventually(fmt.Sprintf("a reply with %q", want), func() bool {
		body = ""
		for _, c := range s.repo.Comments(pull) {
			if c.User == "cromt[bot]" {
				if body != "" {
					s.t.Fatalf("more than one comment: %q, %q", body, c.Body)
				}
				body = c.Body
			}
		}
		return !slices.ContainsFunc(want, func(w string) bool { return !strings.Contains(body, w) })
	})
	return body
}

// settled waits until all deliveries so far are worked.
func (s *appSite) settled() {
	s.t.Helper()
	s.eventually("the deliveries are worked", func() bool {
		resp, err := http.Get("http://" + s.addr + "/metrics")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		var b strings.Builder
		buf := make([]byte, 4096)
		for {
			n, err := resp.Body.Read(buf)
			b.Write(buf[:n])
			if err != nil {
				break
			}
		}
		return strings.Contains(b.String(), "\ncromt_queue_depth 0\n")
	})
}

// checks are the check runs of that name at a commit, the oldest first.
func (s *appSite) checks(name, sha string) []githubtest.CheckRun {
	return slices.DeleteFunc(s.repo.CheckRuns(), func(k githubtest.CheckRun) bool { return k.Name != name || k.HeadSHA != sha })
}

// concludedTimes waits until there are so many check runs of that name at a
// commit, all of them completed, and returns the newest.
func (s *appSite) concludedTimes(n int, name, sha string) githubtest.CheckRun {
	s.t.Helper()
	var all []githubtest.CheckRun
	s.eventually(fmt.Sprintf("%d check runs %s are concluded", n, name), func() bool {
		all = s.checks(name, sha)
		return len(all) == n && !slices.ContainsFunc(all, func(k githubtest.CheckRun) bool { return k.Status != "completed" })
	})
	return all[n-1]
}

// click tells of a click by octo on one of our buttons, or, without one, on
// GitHub's own.
func (s *appSite) click(k githubtest.CheckRun, button string) { s.clickBy("octo", k, button, nil) }

func (s *appSite) clickBy(login string, k githubtest.CheckRun, button string, change map[string]any) {
	s.t.Helper()
	run := map[string]any{
		"id": k.ID, "name": k.Name, "external_id": k.ExternalID, "head_sha": k.HeadSHA, "status": k.Status, "conclusion": k.Conclusion,
		"app": map[string]any{"id": s.app}, "check_suite": map[string]any{"id": 5}, "pull_requests": []any{},
	}
	maps.Copy(run, change)
	p := map[string]any{"action": "rerequested", "check_run": run, "sender": map[string]any{"login": login, "id": 9, "type": "User"}}
	if button != "" {
		p["action"], p["requested_action"] = "requested_action", map[string]any{"identifier": button}
	}
	if code := s.deliver("check_run", p); code != http.StatusAccepted && code != http.StatusOK {
		s.t.Errorf("check_run: %d", code)
	}
}

// has reports whether a check run has a button.
func has(k githubtest.CheckRun, button string) bool {
	return slices.ContainsFunc(k.Actions, func(a githubtest.Action) bool { return a.Identifier == button })
}

func jsonOf(v any) string {
	data, _ := json.Marshal(v)
	return string(data)
}
