package githubtest

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CheckRun is a check run as the server has it.
type CheckRun struct {
	ID                     int64
	Name                   string
	HeadSHA                string
	ExternalID             string
	DetailsURL             string
	Status, Conclusion     string // Conclusion "": not completed
	Title, Summary, Text   string
	Annotations            []Annotation // of all requests
	Actions                []Action
	StartedAt, CompletedAt time.Time
	Updates                int // how often it was changed after its creation

	suite *suite
}

// Annotation is one of a check run.
type Annotation struct {
	Path        string `json:"path"`
	StartLine   int    `json:"start_line"`
	EndLine     int    `json:"end_line"`
	StartColumn *int   `json:"start_column"`
	EndColumn   *int   `json:"end_column"`
	Level       string `json:"annotation_level"`
	Message     string `json:"message"`
	Title       string `json:"title"`
	RawDetails  string `json:"raw_details"`
}

// Action is a button of a check run.
type Action struct {
	Label       string `json:"label"`
	Description string `json:"description"`
	Identifier  string `json:"identifier"`
}

// suite holds the check runs of one App at one commit.
type suite struct {
	id   int64
	user string // the App's
	sha  string
	born time.Time
}

// checkBody is what a request may say about a check run.
type checkBody struct {
	Name        *string    `json:"name"`
	HeadSHA     string     `json:"head_sha"`
	DetailsURL  *string    `json:"details_url"`
	ExternalID  *string    `json:"external_id"`
	Status      string     `json:"status"`
	StartedAt   *time.Time `json:"started_at"`
	Conclusion  string     `json:"conclusion"`
	CompletedAt *time.Time `json:"completed_at"`
	Output      *struct {
		Title       string       `json:"title"`
		Summary     string       `json:"summary"`
		Text        *string      `json:"text"`
		Annotations []Annotation `json:"annotations"`
	} `json:"output"`
	Actions *[]Action `json:"actions"`
}

// CheckRuns are the check runs in the order of their creation.
func (r *Repo) CheckRuns() []CheckRun {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	out := make([]CheckRun, 0, len(r.checks))
	for _, c := range r.checks {
		run := *c
		run.Annotations, run.Actions = slices.Clone(c.Annotations), slices.Clone(c.Actions)
		out = append(out, run)
	}
	return out
}

func (c *call) createCheck() *answer {
	var b checkBody
	if wrong := c.decode(&b); wrong != nil {
		return wrong
	}
	if !c.repo.commits[b.HeadSHA] {
		return unprocessable("No commit found for SHA: %s", b.HeadSHA)
	}
	run := &CheckRun{ID: c.s.nextID(), HeadSHA: b.HeadSHA, Status: "queued", StartedAt: c.now, suite: c.repo.suite(c, b.HeadSHA)}
	if wrong := run.apply(c, &b); wrong != nil {
		return wrong
	}
	same := 1
	for _, other := range c.repo.checks {
		if other.suite == run.suite && other.Name == run.Name {
			same++
		}
	}
	if same > maxSameName {
		return unprocessable("more than %d check runs named %q in one suite", maxSameName, run.Name)
	}
	c.repo.checks = append(c.repo.checks, run)
	return created(c.check(run))
}

func (c *call) updateCheck() *answer {
	run := c.findCheck()
	if run == nil {
		return notFound()
	}
	if run.suite.user != c.tok.User {
		return refusal(http.StatusForbidden, "Invalid app_id - check run can only be modified by the GitHub App that created it.")
	}
	var b checkBody
	if wrong := c.decode(&b); wrong != nil {
		return wrong
	}
	if run.Status == "completed" && b.Status != "" && b.Status != "completed" {
		return unprocessable("check run %d is completed: it may not be reopened, create a new one", run.ID)
	}
	if wrong := run.apply(c, &b); wrong != nil {
		return wrong
	}
	run.Updates++
	return ok(c.check(run))
}

// apply changes run by what a request says, or not at all.
func (run *CheckRun) apply(c *call, b *checkBody) *answer {
	if wrong := b.check(); wrong != "" {
		return unprocessable("%s", wrong)
	}
	set(&run.Name, b.Name)
	set(&run.DetailsURL, b.DetailsURL)
	set(&run.ExternalID, b.ExternalID)
	set(&run.StartedAt, b.StartedAt)
	set(&run.Actions, b.Actions)
	if b.Status != "" {
		run.Status = b.Status
	}
	if b.Conclusion != "" {
		run.Status, run.Conclusion = "completed", b.Conclusion
		run.CompletedAt = c.now
	}
	set(&run.CompletedAt, b.CompletedAt)
	if o := b.Output; o != nil {
		run.Title, run.Summary = o.Title, o.Summary
		set(&run.Text, o.Text)
		run.Annotations = append(run.Annotations, o.Annotations...)
	}
	return nil
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// suite is the one of the caller's App at a commit.
func (r *Repo) suite(c *call, sha string) *suite {
	for _, s := range r.suites {
		if s.user == c.tok.User && s.sha == sha {
			return s
		}
	}
	s := &suite{id: c.s.nextID(), user: c.tok.User, sha: sha, born: c.now}
	r.suites = append(r.suites, s)
	return s
}

func (c *call) findCheck() *CheckRun {
	i := slices.IndexFunc(c.repo.checks, func(run *CheckRun) bool { return run.ID == c.id("check_run_id") })
	if i < 0 {
		return nil
	}
	return c.repo.checks[i]
}

func (c *call) getCheck() *answer {
	run := c.findCheck()
	if run == nil {
		return notFound()
	}
	return ok(c.check(run))
}

// check is a check run as JSON.
func (c *call) check(run *CheckRun) object {
	self := c.url(c.repo, "/check-runs/"+strconv.FormatInt(run.ID, 10))
	html := c.repo.web("/runs/" + strconv.FormatInt(run.ID, 10))
	return c.s.api.fill("check-run", object{
		"id": run.ID, "name": run.Name, "head_sha": run.HeadSHA, "external_id": run.ExternalID,
		"url": self, "html_url": html, "details_url": orDefault(run.DetailsURL, html),
		"status": run.Status, "conclusion": orNull(run.Conclusion),
		"started_at": stampOrNull(run.StartedAt), "completed_at": stampOrNull(run.CompletedAt),
		"output": object{
			"title": orNull(run.Title), "summary": orNull(run.Summary), "text": orNull(run.Text),
			"annotations_count": len(run.Annotations), "annotations_url": self + "/annotations",
		},
		"check_suite": object{"id": run.suite.id}, "app": c.app(run.suite.user), "pull_requests": c.pullsOf(run.HeadSHA),
	})
}

// app is the App that a bot user belongs to.
func (c *call) app(user string) object {
	slug := strings.TrimSuffix(user, "[bot]")
	return c.s.api.fill("integration", object{
		"id": c.s.appID(user), "slug": slug, "name": slug, "html_url": webURL + "/apps/" + slug, "owner": c.s.user("octo"),
	})
}

// appID is the id of the App whose user is given.
func (s *Server) appID(user string) int64 {
	for _, a := range s.apps {
		if a.slug+"[bot]" == user {
			return a.id
		}
	}
	s.user(user) // now it has an id
	return s.users[user]
}

func (c *call) listAnnotations() *answer {
	run := c.findCheck()
	if run == nil {
		return notFound()
	}
	list, header := page(c, run.Annotations)
	a := ok(mapped(list, func(n Annotation) object {
		o := object{
			"path": n.Path, "start_line": n.StartLine, "end_line": n.EndLine, "start_column": nil, "end_column": nil,
			"annotation_level": n.Level, "message": n.Message, "title": orNull(n.Title), "raw_details": orNull(n.RawDetails),
			"blob_href": c.repo.web("/blob/" + run.HeadSHA + "/" + n.Path),
		}
		if n.StartColumn != nil {
			o["start_column"] = *n.StartColumn
		}
		if n.EndColumn != nil {
			o["end_column"] = *n.EndColumn
		}
		return o
	}))
	a.header = header
	return a
}

func (c *call) listChecks() *answer {
	sha, refused := c.resolved("ref")
	if refused != nil {
		return refused
	}
	return c.checkPage(func(run *CheckRun) bool { return run.HeadSHA == sha })
}

// checkPage is a page of the check runs that are wanted and that the query
// asks for, newest first.
func (c *call) checkPage(wanted func(*CheckRun) bool) *answer {
	name, status, appID := c.query("check_name"), c.query("status"), c.query("app_id")
	latest := orDefault(c.query("filter"), "latest") == "latest"
	type key struct {
		suite *suite
		name  string
	}
	seen := map[key]bool{}
	var list []*CheckRun
	for _, run := range slices.Backward(c.repo.checks) {
		k := key{run.suite, run.Name}
		if !wanted(run) || latest && seen[k] {
			continue
		}
		seen[k] = true
		if name != "" && run.Name != name || status != "" && run.Status != status ||
			appID != "" && appID != strconv.FormatInt(c.s.appID(run.suite.user), 10) {
			continue
		}
		list = append(list, run)
	}
	slices.SortStableFunc(list, func(a, b *CheckRun) int { return cmp.Compare(b.ID, a.ID) })
	total := len(list)
	list, header := page(c, list)
	a := ok(object{"total_count": total, "check_runs": mapped(list, c.check)})
	a.header = header
	return a
}
