package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/cromt/cromt/bot/checks"
	"github.com/cromt/cromt/cmd/cromt/gitrepo"
	"github.com/cromt/cromt/cmd/cromt/hosts"
	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
)

// actionFlow is the flow of a workflow's step: the repository's at the commit
// that runs.
type actionFlow struct {
	repo   *gitrepo.Repo // nil: the workspace is no checkout
	remote string        // URL of the repository
	name   string        // of the flow file, below the repository's root, with slashes
	commit string
	file   *flow.File
	paths  map[string]bool // of the commit; nil: not known
}

// journalName is the file in a run's folder that cancel goes by.
const journalName = "journal"

// runsFolder is where the runs of this job keep what a later step may need.
func (s *actionStep) runsFolder() string {
	temp := s.step.Temp
	if temp == "" {
		temp = os.TempDir()
	}
	return filepath.Join(temp, "cromt")
}

// open reads the flow, plans it and finds what it needs.
func (s *actionStep) open(ctx context.Context) error {
	if s.folder == "" {
		if err := os.MkdirAll(s.runsFolder(), 0o700); err != nil {
			return err
		}
		dir, err := os.MkdirTemp(s.runsFolder(), "run-*")
		if err != nil {
			return err
		}
		s.folder = dir
	}
	f, err := s.readFlow(ctx)
	if err != nil {
		return err
	}
	s.flow = f
	book, err := hosts.Parse("input hosts", []byte(s.in.Hosts), "")
	if err != nil {
		return err
	}
	book.Secrets(func(name string) string { return s.in.Secrets[name] })
	plan, err := s.plan(book)
	if err != nil {
		return err
	}
	if err := s.checkTrust(plan, book); err != nil {
		return err
	}
	secrets, err := s.secrets(plan, book)
	if err != nil {
		return err
	}
	s.session = &session{program: s.program, settings: settings{
		plan: plan, book: book, secrets: secrets, own: f, clone: s.cloneCredentials(),
		local: s.in.Local, failFast: s.in.FailFast,
		report: s.in.Report, cancelWait: actionCancelWait, closeWait: quitTimeout,
	}}
	if s.session.report == "" {
		s.session.report = filepath.Join(s.folder, "report.json")
	} else if err := os.MkdirAll(filepath.Dir(s.session.report), 0o755); err != nil {
		return fmt.Errorf("input report: %w", err)
	}
	s.session.junit = strings.TrimSuffix(s.session.report, ".json") + ".junit.xml"
	if !s.in.Local { // hosts inside this process end with it
		s.session.journal = filepath.Join(s.folder, journalName)
	}
	return nil
}

// readFlow reads the flow file as it is at the commit that runs: what is
// checked out may be another one.
func (s *actionStep) readFlow(ctx context.Context) (*actionFlow, error) {
	name, err := s.configName(ctx)
	if err != nil {
		return nil, err
	}
	f := &actionFlow{remote: s.step.RepositoryURL(), commit: s.target.SHA}
	full := filepath.Join(s.step.Workspace, name)
	if err := f.find(ctx, full); err != nil {
		return nil, err
	}
	if f.repo != nil && flow.NormalizeRepo(f.repo.Origin) != flow.NormalizeRepo(f.remote) && f.repo.Origin != "" {
		// Another repository that the workflow has checked out, at its own commit.
		if s.target.OwnOnly {
			return nil, fmt.Errorf("event %s came from a fork and gives this workflow secrets and write access, so nothing but %s runs, and %s is of %s",
				s.step.EventName, s.step.Repository, name, f.repo.Origin)
		}
		f.remote, f.commit = f.repo.Origin, f.repo.Head
	}
	var data []byte
	switch {
	case f.repo == nil || f.repo.Head == f.commit:
		data, err = readFlowFile(full)
	default:
		if err = s.fetch(ctx, f); err == nil {
			data, err = f.repo.File(ctx, f.commit, f.name)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("flow file: %w", err)
	}
	f.file, err = flow.Parse(filepath.ToSlash(name), data)
	return f, err
}

// configName is the flow file's name below the workspace.
func (s *actionStep) configName(ctx context.Context) (string, error) {
	if s.in.Config != "" {
		name := filepath.FromSlash(s.in.Config)
		if !filepath.IsLocal(name) {
			return "", fmt.Errorf("input config: %s is not a path below the workspace", s.in.Config)
		}
		return name, nil
	}
	for _, name := range []string{"jobs.yaml", "cromtit.yaml"} {
		if _, err := os.Stat(filepath.Join(s.step.Workspace, name)); err == nil {
			return name, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("flow file: %w", err)
		}
	}
	if repo, err := gitrepo.FindTrusted(ctx, s.step.Workspace); err == nil && repo != nil && repo.Head != s.target.SHA {
		return "jobs.yaml", nil // the commit that runs may have it
	}
	return "", errors.New("no flow file: the workspace has neither jobs.yaml nor cromtit.yaml; is there a step with actions/checkout before this one? The input config names another file")
}

// find finds the repository around the flow file, whose folder may be in
// another commit than the one that is checked out. The runner says that the
// workspace is ours, whoever owns it.
func (f *actionFlow) find(ctx context.Context, full string) (err error) {
	dir := filepath.Dir(full)
	for !isFolder(dir) && filepath.Dir(dir) != dir {
		dir = filepath.Dir(dir)
	}
	if f.repo, err = gitrepo.FindTrusted(ctx, dir); err != nil || f.repo == nil {
		return err
	}
	rest, err := filepath.Rel(dir, full)
	f.name = path.Join(f.repo.Folder, filepath.ToSlash(rest))
	return err
}

func isFolder(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// fetch makes sure that the commit is in the checkout: that of a pull request
// has the merge commit alone.
func (s *actionStep) fetch(ctx context.Context, f *actionFlow) error {
	if !gitrepo.IsHash(f.commit) {
		return fmt.Errorf("commit %q is no full hash", f.commit)
	}
	if f.repo.Has(ctx, f.commit) {
		return nil
	}
	err := f.repo.Fetch(ctx, "origin", f.commit, gitrepo.Auth{}) // with the checkout's own credentials
	if err != nil && s.in.GitHubToken != "" {
		err = f.repo.Fetch(ctx, f.remote, f.commit, gitrepo.Auth{Token: s.in.GitHubToken})
	}
	if err != nil {
		return fmt.Errorf("fetch commit %.12s: %w; have actions/checkout check it out, with ref: ${{ github.event.pull_request.head.sha }}", f.commit, err)
	}
	return nil
}

// plan plans the flow with the variables of the inputs and of the event.
func (s *actionStep) plan(book *hosts.Book) (*flow.Plan, error) {
	o := flow.PlanOptions{
		Roots: s.in.Projects, Repo: s.flow.remote, Folder: s.flow.folder(), HostName: book.Name,
		Vars: maps.Clone(s.in.Vars), AnyPool: s.in.Local,
	}
	if len(s.target.Projects) > 0 {
		o.Roots = s.target.Projects
	}
	vars := s.target.Vars
	if s.target.LooseVars && len(vars) > 0 {
		plan, err := flow.NewPlan(s.flow.file, o)
		if err != nil {
			return nil, err
		}
		vars = declared(plan, vars)
	}
	maps.Copy(o.Vars, vars)
	return flow.NewPlan(s.flow.file, o)
}

// declared returns those of the variables that a job of the plan has.
func declared(plan *flow.Plan, vars map[string]string) map[string]string {
	found := map[string]string{}
	for _, j := range plan.Jobs {
		for _, v := range j.Vars {
			if value, ok := vars[v.Name]; ok && !j.Worker(v.Name) {
				found[v.Name] = value
			}
		}
	}
	return found
}

// checkTrust refuses hosts that are not for this repository or, if it is
// that of a fork, this code. The one that keeps the artifacts is a host too.
func (s *actionStep) checkTrust(plan *flow.Plan, book *hosts.Book) error {
	if s.in.Local {
		return nil
	}
	var list flow.ErrorList
	seen := map[string]bool{}
	check := func(host string, pos flow.Pos) {
		if host == "" || seen[host] {
			return
		}
		seen[host] = true
		e, known := book.Entry(host)
		fail := func(msg, hint string) {
			list = append(list, &flow.Error{File: plan.File.Name, Pos: pos, Msg: msg, Hint: hint})
		}
		if s.target.Fork != "" && !e.Forks {
			fail(fmt.Sprintf("host %s is not for the code of %s, a fork", host, s.target.Fork),
				"set forks: true on it in the input hosts, or run forks with local: true")
		}
		if known && len(e.Repos) > 0 && !matchesAny(e.Repos, s.step.Repository) {
			fail(fmt.Sprintf("host %s is not for %s", host, s.step.Repository), "see its repos in the input hosts")
		}
	}
	check(plan.File.Storage.Value, plan.File.Storage.Pos)
	for _, j := range plan.Jobs {
		check(j.Host, j.Pos)
	}
	for _, pool := range plan.Pools {
		for _, h := range pool.Hosts {
			check(h.URL, h.Pos)
		}
	}
	list.Sort()
	if len(list) > 0 {
		return list
	}
	return nil
}

func matchesAny(patterns []string, repo string) bool {
	for _, p := range patterns {
		if ok, err := path.Match(strings.ToLower(p), strings.ToLower(repo)); err == nil && ok {
			return true
		}
	}
	return false
}

// secrets are those of the input that jobs ask for. Code of a fork gets none;
// a token of a host is no secret of a job.
func (s *actionStep) secrets(plan *flow.Plan, book *hosts.Book) (map[string]string, error) {
	if s.target.Fork != "" {
		for _, j := range plan.Jobs {
			j.Secrets = nil
		}
		return nil, nil
	}
	return readSecrets(plan,
		func(name string) (string, error) {
			if book.IsToken(name) {
				return "", fmt.Errorf("secret %s is the token of a host, and not for jobs", name)
			}
			return s.in.Secrets[name], nil
		},
		func(name string) string {
			return fmt.Sprintf("add the line %s=${{ secrets.%s }} to the input secrets", name, name)
		})
}

// cloneCredentials is the input clone-token, for repositories of this server.
// A fork's flow could name any of them, and so has none.
func (s *actionStep) cloneCredentials() []sparky.CloneCredential {
	if s.in.CloneToken == "" || s.target.Fork != "" {
		return nil
	}
	return []sparky.CloneCredential{{Prefix: s.step.ServerURL + "/", Token: s.in.CloneToken}}
}

// folder implements ownCode.
func (f *actionFlow) folder() string {
	if dir := path.Dir(f.name); dir != "." {
		return dir
	}
	return ""
}

// url implements ownCode.
func (f *actionFlow) url() string { return f.remote }

// resume implements ownCode: the commit is the event's, in every process.
func (f *actionFlow) resume(string) {}

// settle implements ownCode: hosts get the commit as an archive.
func (f *actionFlow) settle(ctx context.Context, needed bool, archive string) (settled, error) {
	own := settled{commit: f.commit}
	if !needed {
		return own, nil
	}
	if f.repo == nil {
		return own, errors.New("a job is from this repository (path: .), but the workspace is no git checkout; add a step with actions/checkout before this one")
	}
	a, err := f.repo.PackCommit(ctx, f.commit, archive)
	if err != nil {
		return own, err
	}
	f.paths = a.Names
	own.source = sparky.OwnSource{URL: f.remote, Commit: f.commit, Archive: a.Path, ArchiveSHA256: a.SHA256}
	own.notes = a.Notes
	return own, nil
}

// scan says how the log of a job is searched for places in the repository.
func (f *actionFlow) scan(j *flow.Job) *checks.ScanOptions {
	if j.Source.Kind != flow.SourceOwn || f.paths == nil {
		return nil
	}
	return &checks.ScanOptions{Dir: j.Source.Dir, Exists: func(p string) bool { return f.paths[p] }}
}
