package event

import (
	"maps"
	"slices"
	"strings"
)

type wireCommit struct {
	Message  string   `json:"message"`
	Added    []string `json:"added"`
	Removed  []string `json:"removed"`
	Modified []string `json:"modified"`
}

func (e *Event) readPush(c *checker, payload []byte) {
	var w struct {
		common
		Ref        string       `json:"ref"`
		Before     string       `json:"before"`
		After      string       `json:"after"`
		Created    bool         `json:"created"`
		Deleted    bool         `json:"deleted"`
		Forced     bool         `json:"forced"`
		HeadCommit *wireCommit  `json:"head_commit"`
		Commits    []wireCommit `json:"commits"`
	}
	if !c.decode(payload, &w) {
		return
	}
	e.start(c, KindPush, w.common)
	p := &Push{
		Ref:     c.ref("ref", w.Ref),
		Before:  c.shaOrZero("before", w.Before),
		After:   c.shaOrZero("after", w.After),
		Created: w.Created,
		Deleted: w.Deleted,
		Forced:  w.Forced,
	}
	if branch, ok := strings.CutPrefix(w.Ref, "refs/heads/"); ok {
		p.Branch = c.ref("ref", branch)
	} else if tag, ok := strings.CutPrefix(w.Ref, "refs/tags/"); ok {
		p.Tag = c.ref("ref", tag)
	} else {
		c.fail("ref", "is neither a branch nor a tag")
	}
	if p.Deleted != (strings.Trim(w.After, "0") == "") {
		c.fail("after", "contradicts deleted")
	}
	if w.HeadCommit != nil {
		p.HeadMessage = cut(w.HeadCommit.Message, MaxMessage)
	}
	p.Paths, p.Truncated = changedPaths(w.Commits)
	p.Truncated = p.Truncated || p.Forced || len(w.Commits) == 0
	e.Push = p
}

// changedPaths returns the files of the commits and whether some may be missing.
func changedPaths(commits []wireCommit) ([]string, bool) {
	truncated := len(commits) >= MaxCommits
	seen := map[string]bool{}
	for _, commit := range commits {
		n := 0
		for _, list := range [][]string{commit.Added, commit.Removed, commit.Modified} {
			n += len(list)
			for _, path := range list {
				if len(path) > MaxPath || len(seen) >= MaxPaths {
					truncated = true
					continue
				}
				seen[path] = true
			}
		}
		truncated = truncated || n == 0 || n >= MaxFiles
	}
	return slices.Sorted(maps.Keys(seen)), truncated
}

type wirePull struct {
	Number  int    `json:"number"`
	Title   string `json:"title"`
	Body    string `json:"body"`
	State   string `json:"state"`
	Draft   bool   `json:"draft"`
	HTMLURL string `json:"html_url"`
	Head    struct {
		Ref  string    `json:"ref"`
		SHA  string    `json:"sha"`
		Repo *wireRepo `json:"repo"`
	} `json:"head"`
	Base struct {
		Ref string `json:"ref"`
		SHA string `json:"sha"`
	} `json:"base"`
	MergeSHA    string    `json:"merge_commit_sha"`
	User        *wireUser `json:"user"`
	Association string    `json:"author_association"`
	Labels      []struct {
		Name string `json:"name"`
	} `json:"labels"`
}

func (e *Event) readPullRequest(c *checker, payload []byte) {
	var w struct {
		common
		Number      int       `json:"number"` // reviews and their comments have none
		PullRequest *wirePull `json:"pull_request"`
	}
	if !c.decode(payload, &w) {
		return
	}
	e.start(c, KindPullRequest, w.common)
	if c.need("pull_request", w.PullRequest != nil); c.err != nil {
		return
	}
	pull := w.PullRequest
	p := &PullRequest{
		Number:            number(c, "number", w.Number),
		Title:             cut(pull.Title, MaxTitle),
		Body:              cut(pull.Body, MaxBody),
		State:             pull.State,
		Draft:             pull.Draft,
		HeadSHA:           c.sha("pull_request.head.sha", pull.Head.SHA),
		HeadRef:           c.ref("pull_request.head.ref", pull.Head.Ref),
		BaseRef:           c.ref("pull_request.base.ref", pull.Base.Ref),
		BaseSHA:           c.sha("pull_request.base.sha", pull.Base.SHA),
		Fork:              isFork(e.Repo, pull.Head.Repo),
		Author:            c.user("pull_request.user", pull.User),
		AuthorAssociation: c.line("pull_request.author_association", pull.Association, MaxName),
		HTMLURL:           c.url("pull_request.html_url", pull.HTMLURL),
	}
	if pull.Number != p.Number {
		c.fail("number", "is not that of pull_request")
	}
	if p.State != "open" && p.State != "closed" {
		c.fail("pull_request.state", "is neither open nor closed")
	}
	if pull.Head.Repo != nil {
		p.HeadRepo = c.repo("pull_request.head.repo", pull.Head.Repo).FullName
	}
	if pull.MergeSHA != "" {
		p.MergeSHA = c.sha("pull_request.merge_commit_sha", pull.MergeSHA)
	}
	for _, label := range pull.Labels[:min(len(pull.Labels), MaxLabels)] {
		p.Labels = append(p.Labels, cut(label.Name, MaxTitle))
	}
	e.PullRequest = p
}

func (e *Event) readMergeGroup(c *checker, payload []byte) {
	var w struct {
		common
		MergeGroup *struct {
			HeadSHA string `json:"head_sha"`
			HeadRef string `json:"head_ref"`
			BaseSHA string `json:"base_sha"`
			BaseRef string `json:"base_ref"`
		} `json:"merge_group"`
	}
	if !c.decode(payload, &w) {
		return
	}
	e.start(c, KindMergeGroup, w.common)
	if c.need("merge_group", w.MergeGroup != nil); c.err != nil {
		return
	}
	e.MergeGroup = &MergeGroup{
		HeadSHA: c.sha("merge_group.head_sha", w.MergeGroup.HeadSHA),
		HeadRef: c.ref("merge_group.head_ref", w.MergeGroup.HeadRef),
		BaseSHA: c.sha("merge_group.base_sha", w.MergeGroup.BaseSHA),
		BaseRef: c.ref("merge_group.base_ref", w.MergeGroup.BaseRef),
	}
}

func (e *Event) readWorkflowRun(c *checker, payload []byte) {
	var w struct {
		common
		WorkflowRun *struct {
			ID         int64     `json:"id"`
			HeadSHA    string    `json:"head_sha"`
			HeadBranch string    `json:"head_branch"`
			HeadRepo   *wireRepo `json:"head_repository"`
			Event      string    `json:"event"`
			Conclusion string    `json:"conclusion"`
		} `json:"workflow_run"`
		Deployment *struct{} `json:"deployment"`
	}
	if !c.decode(payload, &w) {
		return
	}
	e.start(c, KindWorkflowRun, w.common)
	c.foreign("deployment", w.Deployment != nil)
	if c.need("workflow_run", w.WorkflowRun != nil); c.err != nil {
		return
	}
	run := w.WorkflowRun
	e.WorkflowRun = &WorkflowRun{
		ID:         number(c, "workflow_run.id", run.ID),
		HeadSHA:    c.sha("workflow_run.head_sha", run.HeadSHA),
		HeadBranch: c.optionalRef("workflow_run.head_branch", run.HeadBranch),
		Event:      c.line("workflow_run.event", run.Event, MaxName),
		Conclusion: c.line("workflow_run.conclusion", run.Conclusion, MaxName),
		Fork:       isFork(e.Repo, run.HeadRepo),
	}
	c.need("workflow_run.event", run.Event != "")
	if run.HeadRepo != nil {
		e.WorkflowRun.HeadRepo = c.repo("workflow_run.head_repository", run.HeadRepo).FullName
	}
}
