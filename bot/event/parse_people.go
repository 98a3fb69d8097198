package event

import "encoding/json"

type wireComment struct {
	ID          int64     `json:"id"`
	Body        string    `json:"body"`
	User        *wireUser `json:"user"`
	Association string    `json:"author_association"`
	App         *wireApp  `json:"performed_via_github_app"`
	CreatedAt   string    `json:"created_at"`
	HTMLURL     string    `json:"html_url"`
}

func (e *Event) readIssueComment(c *checker, payload []byte) {
	var w struct {
		common
		Issue *struct {
			Number      int       `json:"number"`
			PullRequest *struct{} `json:"pull_request"`
		} `json:"issue"`
		Comment *wireComment `json:"comment"`
	}
	if !c.decode(payload, &w) {
		return
	}
	e.start(c, KindComment, w.common)
	c.need("issue", w.Issue != nil)
	if c.need("comment", w.Comment != nil); c.err != nil {
		return
	}
	e.readComment(c, w.Comment)
	e.Comment.IssueNumber = number(c, "issue.number", w.Issue.Number)
	e.Comment.OnPull = w.Issue.PullRequest != nil
}

func (e *Event) readReviewComment(c *checker, payload []byte) {
	var w struct {
		common
		PullRequest *struct {
			Number int `json:"number"`
		} `json:"pull_request"`
		Comment *wireComment `json:"comment"`
	}
	if !c.decode(payload, &w) {
		return
	}
	e.start(c, KindComment, w.common)
	c.need("pull_request", w.PullRequest != nil)
	if c.need("comment", w.Comment != nil); c.err != nil {
		return
	}
	e.readComment(c, w.Comment)
	e.Comment.IssueNumber = number(c, "pull_request.number", w.PullRequest.Number)
	e.Comment.OnPull = true
}

func (e *Event) readComment(c *checker, w *wireComment) {
	e.Comment = &Comment{
		ID:                number(c, "comment.id", w.ID),
		Body:              cut(w.Body, MaxBody),
		Author:            c.user("comment.user", w.User),
		AuthorAssociation: c.line("comment.author_association", w.Association, MaxName),
		AppID:             c.app("comment.performed_via_github_app", w.App),
		CreatedAt:         c.time("comment.created_at", w.CreatedAt),
		Edited:            e.Action == "edited",
		HTMLURL:           c.url("comment.html_url", w.HTMLURL),
	}
}

func (e *Event) readWorkflowDispatch(c *checker, payload []byte) {
	var w struct {
		common
		Ref      string                     `json:"ref"`
		Workflow string                     `json:"workflow"` // tells it from others with a ref
		Inputs   map[string]json.RawMessage `json:"inputs"`
	}
	if !c.decode(payload, &w) {
		return
	}
	e.start(c, KindDispatch, w.common)
	c.need("workflow", w.Workflow != "")
	e.Dispatch = &Dispatch{Ref: c.ref("ref", w.Ref), Inputs: c.values("inputs", w.Inputs)}
	if len(e.Dispatch.Inputs) != len(w.Inputs) {
		c.fail("inputs", "has a list or an object")
	}
}

func (e *Event) readRepositoryDispatch(c *checker, payload []byte) {
	var w struct {
		common
		Branch  string          `json:"branch"`
		Payload json.RawMessage `json:"client_payload"` // may be null, but is there
	}
	if !c.decode(payload, &w) {
		return
	}
	e.start(c, KindDispatch, w.common)
	c.need("client_payload", w.Payload != nil)
	var values map[string]json.RawMessage
	if w.Payload != nil && json.Unmarshal(w.Payload, &values) != nil {
		c.fail("client_payload", "is not an object")
	}
	e.Dispatch = &Dispatch{
		Type:    e.Action,
		Ref:     c.ref("branch", "refs/heads/"+c.ref("branch", w.Branch)),
		Payload: c.values("client_payload", values),
	}
}

// values returns the scalars among those given as texts.
func (c *checker) values(field string, given map[string]json.RawMessage) map[string]string {
	if len(given) > MaxValues {
		c.fail(field, "has too many entries")
		return nil
	}
	values := map[string]string{}
	for name, raw := range given {
		c.line(field+" name", name, MaxName)
		text := string(raw)
		switch text[0] {
		case '{', '[':
			continue
		case '"':
			if err := json.Unmarshal(raw, &text); err != nil {
				c.fail(field, "has a text that cannot be read")
			}
		case 'n': // null
			text = ""
		}
		if len(text) > MaxValue {
			c.fail(field, "has a value that is too long")
		}
		values[name] = text
	}
	return values
}

func (e *Event) readSchedule(c *checker, payload []byte) {
	var w struct {
		common
		Schedule string `json:"schedule"`
	}
	if !c.decode(payload, &w) {
		return
	}
	e.start(c, KindSchedule, w.common)
	c.need("schedule", w.Schedule != "")
	e.Schedule = c.line("schedule", w.Schedule, MaxName)
}

// startInstallation takes what both events about installations have.
func (e *Event) startInstallation(c *checker, w common) {
	e.Kind = KindInstallation
	e.readCommon(c, w)
	c.need("action", w.Action != "")
	// Every payload for an App names the installation, these its account too.
	if c.need("installation.account", w.Installation != nil && w.Installation.Account != nil); c.err == nil {
		e.Change = &InstallationChange{Account: c.user("installation.account", w.Installation.Account)}
	}
}

func (e *Event) readInstallation(c *checker, payload []byte) {
	var w struct {
		common
		Repositories []wireRepo      `json:"repositories"`
		Added        json.RawMessage `json:"repositories_added"`
	}
	if !c.decode(payload, &w) {
		return
	}
	e.startInstallation(c, w.common)
	c.foreign("repositories_added", w.Added != nil)
	if repos := c.repos("repositories", w.Repositories); c.err == nil {
		e.Change.Repos = repos
	}
}

func (e *Event) readInstallationRepositories(c *checker, payload []byte) {
	var w struct {
		common
		Added   *[]wireRepo `json:"repositories_added"`
		Removed *[]wireRepo `json:"repositories_removed"`
	}
	if !c.decode(payload, &w) {
		return
	}
	e.startInstallation(c, w.common)
	c.need("repositories_added", w.Added != nil)
	if c.need("repositories_removed", w.Removed != nil); c.err != nil {
		return
	}
	e.Change.Added = c.repos("repositories_added", *w.Added)
	e.Change.Removed = c.repos("repositories_removed", *w.Removed)
}
