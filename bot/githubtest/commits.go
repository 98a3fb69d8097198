package githubtest

import (
	"fmt"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Status is a commit status.
type Status struct {
	ID          int64
	SHA         string
	State       string // error, failure, pending or success
	Context     string
	Description string
	TargetURL   string
	User        string
	created     time.Time
}

// Statuses are the commit statuses in the order of their creation.
func (r *Repo) Statuses() []Status {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return slices.Clone(r.statuses)
}

// resolved is the SHA of the ref in the path, or the refusal.
func (c *call) resolved(param string) (string, *answer) {
	sha := c.repo.resolve(c.params[param])
	if sha == "" {
		return "", refusal(http.StatusUnprocessableEntity, "No commit found for SHA: "+c.params[param])
	}
	return sha, nil
}

func (c *call) getCommit() *answer {
	sha, refused := c.resolved("ref")
	if refused != nil {
		return refused
	}
	return ok(c.commit(sha))
}

// commit is a commit as JSON.
func (c *call) commit(sha string) object {
	url := c.url(c.repo, "/commits/"+sha)
	o := c.s.api.fill("commit", object{
		"sha": sha, "url": url, "html_url": c.repo.web("/commit/" + sha), "comments_url": url + "/comments",
	})
	if m, ok := c.repo.messages[sha]; ok {
		inner := o["commit"].(object)
		inner["message"], inner["author"] = m.Text, object{"name": m.Name, "email": "author@github.test", "date": stamp(c.repo.born)}
		if m.Author != "" {
			o["author"] = c.s.user(m.Author)
		}
	}
	return o
}

// compare says what SetCompare has set: up to 300 files, with the first page.
func (c *call) compare() *answer {
	base, head, found := strings.Cut(c.params["basehead"], "...")
	if !found || c.repo.resolve(base) == "" || c.repo.resolve(head) == "" {
		return notFound()
	}
	files := c.repo.compared[base+"..."+head]
	files = files[:min(len(files), maxCompareFiles)]
	if c.query("page") != "" && c.query("page") != "1" {
		files = nil
	}
	at := c.commit(c.repo.resolve(base))
	return ok(c.s.api.fill("commit-comparison", object{
		"base_commit": at, "merge_base_commit": at, "status": "ahead", "files": mapped(files, c.changed),
	}))
}

// changed is a file of a pull request or a comparison; "old => new" is one
// that was renamed.
func (c *call) changed(name string) object {
	o := object{"filename": path.Clean(name), "status": "modified", "additions": 1, "changes": 1}
	if from, to, renamed := strings.Cut(name, " => "); renamed {
		o["filename"], o["previous_filename"], o["status"] = to, from, "renamed"
	}
	o["sha"] = blobSHA(o["filename"].(string))
	return c.s.api.fill("diff-entry", o)
}

func (c *call) listCommitPulls() *answer {
	sha, refused := c.resolved("commit_sha")
	if refused != nil {
		return refused
	}
	return c.pullPage(slices.DeleteFunc(c.repo.sortedPulls(), func(p *Pull) bool { return p.HeadSHA != sha }))
}

func (c *call) listSuites() *answer {
	sha, refused := c.resolved("ref")
	if refused != nil {
		return refused
	}
	name, appID := c.query("check_name"), c.query("app_id")
	list := slices.DeleteFunc(slices.Clone(c.repo.suites), func(s *suite) bool {
		has := slices.ContainsFunc(c.repo.checks, func(run *CheckRun) bool { return run.suite == s && run.Name == name })
		return s.sha != sha || name != "" && !has || appID != "" && appID != strconv.FormatInt(c.s.appID(s.user), 10)
	})
	total := len(list)
	list, header := page(c, list)
	a := ok(object{"total_count": total, "check_suites": mapped(list, c.suite)})
	a.header = header
	return a
}

func (c *call) findSuite() *suite {
	i := slices.IndexFunc(c.repo.suites, func(s *suite) bool { return s.id == c.id("check_suite_id") })
	if i < 0 {
		return nil
	}
	return c.repo.suites[i]
}

func (c *call) getSuite() *answer {
	s := c.findSuite()
	if s == nil {
		return notFound()
	}
	return ok(c.suite(s))
}

func (c *call) listSuiteChecks() *answer {
	s := c.findSuite()
	if s == nil {
		return notFound()
	}
	return c.checkPage(func(run *CheckRun) bool { return run.suite == s })
}

// suite is a check suite as JSON: completed once all its check runs are, with
// failure where one did not succeed.
func (c *call) suite(s *suite) object {
	url := c.url(c.repo, "/check-suites/"+strconv.FormatInt(s.id, 10))
	status, conclusion, n := "completed", "success", 0
	for _, run := range c.repo.checks {
		if run.suite != s {
			continue
		}
		n++
		if run.Status != "completed" {
			status = "in_progress"
		}
		if !slices.Contains([]string{"success", "neutral", "skipped"}, run.Conclusion) {
			conclusion = "failure"
		}
	}
	o := object{
		"id": s.id, "head_sha": s.sha, "status": status, "conclusion": conclusion, "url": url, "check_runs_url": url + "/check-runs",
		"after": s.sha, "app": c.app(s.user), "repository": c.repo.json(c, "minimal-repository"), "pull_requests": c.pullsOf(s.sha),
		"created_at": stamp(s.born), "updated_at": stamp(s.born), "latest_check_runs_count": n,
		"head_commit": c.s.api.fill("simple-commit", object{"id": s.sha}),
	}
	if status != "completed" {
		o["conclusion"] = nil
	}
	return c.s.api.fill("check-suite", o)
}

func (c *call) createStatus() *answer {
	var b struct {
		State       string  `json:"state"`
		TargetURL   *string `json:"target_url"`
		Description *string `json:"description"`
		Context     *string `json:"context"`
	}
	if wrong := c.decode(&b); wrong != nil {
		return wrong
	}
	if !c.repo.commits[c.params["sha"]] {
		return unprocessable("No commit found for SHA: %s", c.params["sha"])
	}
	st := Status{ID: c.s.nextID(), SHA: c.params["sha"], State: b.State, Context: "default", User: c.tok.User, created: c.now}
	set(&st.Context, b.Context)
	set(&st.Description, b.Description)
	set(&st.TargetURL, b.TargetURL)
	if n := utf8.RuneCountInString(st.Description); n > maxStatusDescription {
		return unprocessable("description is too long (maximum is %d characters)", maxStatusDescription)
	}
	same := 0
	for _, o := range c.repo.statuses {
		if o.SHA == st.SHA && o.Context == st.Context {
			same++
		}
	}
	if same >= maxStatuses {
		return unprocessable("more than %d statuses for the same SHA and context", maxStatuses)
	}
	c.repo.statuses = append(c.repo.statuses, st)
	return created(c.status(st, "status"))
}

// status is a commit status by a schema: status or simple-commit-status.
func (c *call) status(st Status, schema string) object {
	o := object{
		"id": st.ID, "state": st.State, "context": st.Context, "description": orNull(st.Description), "target_url": orNull(st.TargetURL),
		"url": c.url(c.repo, fmt.Sprintf("/statuses/%s", st.SHA)), "created_at": stamp(st.created), "updated_at": stamp(st.created),
	}
	if schema == "status" {
		o["creator"] = c.s.user(st.User)
	}
	return c.s.api.fill(schema, o)
}

func (c *call) listStatuses() *answer {
	sha, refused := c.resolved("ref")
	if refused != nil {
		return refused
	}
	list, header := page(c, c.repo.statusesOf(sha))
	a := ok(mapped(list, func(st Status) object { return c.status(st, "status") }))
	a.header = header
	return a
}

// statusesOf are the statuses of a commit, newest first.
func (r *Repo) statusesOf(sha string) []Status {
	list := slices.DeleteFunc(slices.Clone(r.statuses), func(st Status) bool { return st.SHA != sha })
	slices.Reverse(list)
	return list
}

func (c *call) getCombinedStatus() *answer {
	sha, refused := c.resolved("ref")
	if refused != nil {
		return refused
	}
	seen := map[string]bool{}
	list := slices.DeleteFunc(c.repo.statusesOf(sha), func(st Status) bool {
		old := seen[st.Context]
		seen[st.Context] = true
		return old
	})
	states := map[string]bool{}
	for _, st := range list {
		states[st.State] = true
	}
	state := "success"
	switch {
	case states["error"] || states["failure"]:
		state = "failure"
	case states["pending"] || len(list) == 0:
		state = "pending"
	}
	total := len(list)
	list, header := page(c, list)
	a := ok(object{
		"state": state, "sha": sha, "total_count": total, "repository": c.repo.json(c, "minimal-repository"),
		"statuses":   mapped(list, func(st Status) object { return c.status(st, "simple-commit-status") }),
		"commit_url": c.url(c.repo, "/commits/"+sha), "url": c.url(c.repo, "/commits/"+sha+"/status"),
	})
	a.header = header
	return a
}
