package githubtest

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Pull is a pull request.
type Pull struct {
	Number   int
	Title    string
	HeadSHA  string
	HeadRef  string
	HeadRepo string // full name of the fork; "": the same repository
	// HeadRepoGone is a pull request from a fork that was deleted: it has no
	// head repository any more.
	HeadRepoGone bool
	BaseRef      string // default: main
	BaseSHA      string
	User         string    // default: octocat
	State        string    // open (default) or closed
	Files        []string  // paths that it changes; "old => new": renamed
	UpdatedAt    time.Time // default: when it was added last

	id   int64
	born time.Time
}

// AddPull adds a pull request, or replaces the one of that number, with its
// head and base commits; a fork's head commit can be reached here as well.
// Branches of this repository move to them.
func (r *Repo) AddPull(p Pull) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	p.BaseRef, p.User, p.State = orDefault(p.BaseRef, defaultBranch), orDefault(p.User, "octocat"), orDefault(p.State, "open")
	p.id, p.born = r.s.nextID(), time.Now()
	if old := r.pulls[p.Number]; old != nil {
		p.id, p.born = old.id, old.born
	}
	if p.BaseSHA != "" {
		r.commits[p.BaseSHA], r.branches[p.BaseRef] = true, p.BaseSHA
	}
	r.commits[p.HeadSHA] = true
	switch {
	case p.fromFork(r) && p.HeadRepo != "":
		fork := r.s.addRepo(p.HeadRepo)
		fork.commits[p.HeadSHA], fork.branches[p.HeadRef] = true, p.HeadSHA
	case !p.fromFork(r):
		r.branches[p.HeadRef] = p.HeadSHA
	}
	if p.UpdatedAt.IsZero() {
		p.UpdatedAt = time.Now()
	}
	r.pulls[p.Number] = &p
}

func orDefault(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func (p *Pull) fromFork(r *Repo) bool {
	return p.HeadRepoGone || p.HeadRepo != "" && !strings.EqualFold(p.HeadRepo, r.fullName)
}

func (c *call) getPull() *answer {
	p := c.repo.pulls[c.number("pull_number")]
	if p == nil {
		return notFound()
	}
	return ok(c.pull(p, "pull-request"))
}

// pull is a pull request by a schema: pull-request or pull-request-simple.
func (c *call) pull(p *Pull, schema string) object {
	full := schema == "pull-request"
	name := "/pulls/" + itoa(p.Number)
	o := c.s.api.fill(schema, object{
		"id": p.id, "number": p.Number, "title": p.Title, "state": p.State, "user": c.s.user(p.User),
		"url": c.url(c.repo, name), "html_url": c.repo.web("/pull/" + itoa(p.Number)),
		"head": c.head(p), "base": c.side(c.repo, p.BaseRef, p.BaseSHA), "draft": false,
		"created_at": stamp(p.born), "updated_at": stamp(p.UpdatedAt),
	})
	if full {
		o["changed_files"], o["commits"] = len(p.Files), 1
	}
	return o
}

func (c *call) head(p *Pull) object {
	switch {
	case p.HeadRepoGone:
		return object{"label": "ghost:" + p.HeadRef, "ref": p.HeadRef, "sha": p.HeadSHA, "repo": nil, "user": c.s.user(p.User)}
	case p.fromFork(c.repo):
		return c.side(c.s.addRepo(p.HeadRepo), p.HeadRef, p.HeadSHA)
	}
	return c.side(c.repo, p.HeadRef, p.HeadSHA)
}

func (c *call) side(r *Repo, ref, sha string) object {
	return object{"label": r.owner() + ":" + ref, "ref": ref, "sha": sha, "repo": r.json(c, "repository"), "user": c.s.user(r.owner())}
}

func (c *call) listPulls() *answer {
	list := c.repo.sortedPulls()
	if c.query("sort") == "updated" {
		slices.SortStableFunc(list, func(a, b *Pull) int { return b.UpdatedAt.Compare(a.UpdatedAt) })
	}
	if c.query("direction") == "asc" {
		slices.Reverse(list)
	}
	state, head, base := orDefault(c.query("state"), "open"), c.query("head"), c.query("base")
	list = slices.DeleteFunc(list, func(p *Pull) bool {
		return state != "all" && p.State != state || base != "" && p.BaseRef != base ||
			head != "" && c.head(p)["label"] != head
	})
	return c.pullPage(list)
}

func (c *call) pullPage(list []*Pull) *answer {
	list, header := page(c, list)
	a := ok(mapped(list, func(p *Pull) object { return c.pull(p, "pull-request-simple") }))
	a.header = header
	return a
}

func (c *call) listPullFiles() *answer {
	p := c.repo.pulls[c.number("pull_number")]
	if p == nil {
		return notFound()
	}
	files, header := page(c, p.Files[:min(len(p.Files), maxPullFiles)])
	a := ok(mapped(files, c.changed))
	a.header = header
	return a
}

// pullsOf are the open pull requests within the repository whose head is a
// commit: those of forks are not listed with a check run.
func (c *call) pullsOf(sha string) []object {
	list := slices.DeleteFunc(c.repo.sortedPulls(), func(p *Pull) bool {
		return p.HeadSHA != sha || p.State != "open" || p.fromFork(c.repo)
	})
	return mapped(list, func(p *Pull) object {
		repo := object{"id": c.repo.id, "url": c.url(c.repo, ""), "name": c.repo.name()}
		return object{
			"id": p.id, "number": p.Number, "url": c.url(c.repo, "/pulls/"+itoa(p.Number)),
			"head": object{"ref": p.HeadRef, "sha": p.HeadSHA, "repo": repo},
			"base": object{"ref": p.BaseRef, "sha": p.BaseSHA, "repo": repo},
		}
	})
}

func itoa(n int) string { return strconv.Itoa(n) }
