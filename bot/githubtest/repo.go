package githubtest

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Repo is a repository of the server.
type Repo struct {
	s        *Server
	id       int64
	fullName string
	born     time.Time
	private  bool

	commits     map[string]bool              // by SHA
	branches    map[string]string            // SHA by name
	files       map[string]map[string]string // content by path, by ref
	modes       map[string]string            // of paths that are no plain file
	messages    map[string]Message           // by SHA
	compared    map[string][]string          // files by base...head
	pulls       map[int]*Pull
	permissions map[string]string // by login in lower case
	suites      []*suite
	checks      []*CheckRun
	comments    []*comment
	statuses    []Status
}

// AddRepo adds a repository, e.g. "octo/app", or returns the one that is there.
// Its default branch is main.
func (s *Server) AddRepo(fullName string) *Repo {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addRepo(fullName)
}

func (s *Server) addRepo(fullName string) *Repo {
	key := strings.ToLower(fullName)
	if s.repos[key] == nil {
		s.repos[key] = &Repo{
			s: s, id: int64(len(s.repos) + 1), fullName: fullName, born: time.Now(),
			commits: map[string]bool{}, branches: map[string]string{}, files: map[string]map[string]string{},
			pulls: map[int]*Pull{}, permissions: map[string]string{}, modes: map[string]string{}, messages: map[string]Message{}, compared: map[string][]string{},
		}
	}
	return s.repos[key]
}

// Remade makes it another repository of the same name: the old one was deleted.
func (r *Repo) Remade() {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.id = r.s.nextID() + 1_000_000
}

// AddCommit adds a commit, on no branch.
func (r *Repo) AddCommit(sha string) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.commits[sha] = true
}

// SetBranch adds or moves a branch, and its commit.
func (r *Repo) SetBranch(name, sha string) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.commits[sha], r.branches[name] = true, sha
}

// SetPrivate makes the repository one that not everybody can read.
func (r *Repo) SetPrivate() {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.private = true
}

// SetPermission sets what a user may do: admin, maintain, write, triage, read
// or none. GitHub tells maintain and triage apart in role_name only. Without it
// a user may read, as anyone may in a public repository.
func (r *Repo) SetPermission(user, permission string) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.permissions[strings.ToLower(user)] = permission
}

// SetFile sets a file's content at a ref: a branch, a tag or a commit.
func (r *Repo) SetFile(ref, path, content string) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	if r.files[ref] == nil {
		r.files[ref] = map[string]string{}
	}
	r.files[ref][path] = content
}

// SetMode makes a path something else than a plain file at every ref: "100755"
// executable, "120000" a symbolic link to its content, "160000" a repository of
// its own at the commit that is its content. The contents API shows all of them
// as files.
func (r *Repo) SetMode(path, mode string) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.modes[path] = mode
}

// Message is what a commit says.
type Message struct {
	Text   string
	Author string // login; "": GitHub knows none for it
	Name   string
}

// SetMessage adds a commit that says something.
func (r *Repo) SetMessage(sha string, m Message) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.commits[sha], r.messages[sha] = true, m
}

// SetCompare sets the files that differ between two refs.
func (r *Repo) SetCompare(base, head string, files ...string) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.compared[base+"..."+head] = files
}

const defaultBranch = "main"

// resolve is the SHA that a ref names, "" when it names none.
func (r *Repo) resolve(ref string) string {
	if r.commits[ref] {
		return ref
	}
	ref = strings.TrimPrefix(strings.TrimPrefix(ref, "refs/"), "heads/")
	return r.branches[ref]
}

func (r *Repo) owner() string {
	owner, _, _ := strings.Cut(r.fullName, "/")
	return owner
}

func (r *Repo) name() string {
	_, name, _ := strings.Cut(r.fullName, "/")
	return name
}

// url is the repository's address in the API, web its page.
func (c *call) url(r *Repo, path string) string { return c.base() + "/repos/" + r.fullName + path }
func (r *Repo) web(path string) string          { return webURL + "/" + r.fullName + path }

// json is the repository by a schema: full-repository, repository or minimal-repository.
func (r *Repo) json(c *call, schema string) object {
	return c.s.api.fill(schema, object{
		"id": r.id, "name": r.name(), "full_name": r.fullName, "owner": c.s.user(r.owner()),
		"html_url": r.web(""), "url": c.url(r, ""), "clone_url": r.web(".git"), "default_branch": defaultBranch,
		"created_at": stamp(r.born), "updated_at": stamp(r.born), "pushed_at": stamp(r.born),
		"private": r.private, "visibility": map[bool]string{true: "private", false: "public"}[r.private],
	})
}

func (c *call) getRepo() *answer { return ok(c.repo.json(c, "full-repository")) }

// user is a user, whom the server gets to know by this.
func (s *Server) user(login string) object {
	return s.api.fill("simple-user", s.userFields(login))
}

func (s *Server) userFields(login string) object {
	if s.users[login] == 0 {
		s.users[login] = s.nextID()
	}
	kind := "User"
	if strings.HasSuffix(login, "[bot]") {
		kind = "Bot"
	}
	return object{"login": login, "id": s.users[login], "type": kind, "html_url": webURL + "/" + login}
}

func (c *call) getPermission() *answer {
	login := c.params["username"]
	role, known := c.repo.permissions[strings.ToLower(login)]
	if !known {
		role = "read"
	}
	permission := role
	switch role {
	case "maintain":
		permission = "write"
	case "triage":
		permission = "read"
	}
	fields := c.s.userFields(login)
	fields["role_name"] = role
	return ok(object{"permission": permission, "role_name": role, "user": c.s.api.fill("nullable-collaborator", fields)})
}

func (c *call) getRateLimit() *answer {
	l := c.tok.limits
	core := object{"limit": l.perHour, "remaining": l.perHour - l.used, "reset": l.reset(), "used": l.used}
	other := maps.Clone(core)
	return &answer{status: http.StatusOK, body: object{"resources": object{"core": core, "search": other}, "rate": core}}
}

// stamp is a time as GitHub writes it.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// stampOrNull is null for the zero time.
func stampOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return stamp(t)
}

// orNull is null for "".
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// sortedPulls are the pull requests, newest first.
func (r *Repo) sortedPulls() []*Pull {
	return slices.SortedFunc(maps.Values(r.pulls), func(a, b *Pull) int { return b.Number - a.Number })
}
