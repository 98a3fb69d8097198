package trust

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/cromt/cromt/flow"
)

// Resolver knows which hosts a run may use. Its zero value knows none.
type Resolver struct {
	repo    string
	fork    bool
	allowed map[string]flow.HostEntry // by address
	forkOff map[string]bool           // addresses that are allowed, but not to forks
}

// Hosts returns the hosts, of those in the App's configuration, that a run of
// repo, owner/name, may use. fork says that the code is of a fork: then it is
// those with forks: true.
func Hosts(hosts []flow.HostEntry, repo string, fork bool) Resolver {
	r := Resolver{repo: repo, fork: fork, allowed: map[string]flow.HostEntry{}, forkOff: map[string]bool{}}
	for _, h := range hosts {
		address, err := Address(h.URL)
		switch {
		case err != nil || !mayUse(h.Repos, repo):
		case fork && !h.Forks:
			r.forkOff[address] = true
		default:
			r.allowed[address] = h
		}
	}
	return r
}

// MayUse reports whether a repository, owner/name, may use a host; see Hosts.
func MayUse(h flow.HostEntry, repo string) bool { return mayUse(h.Repos, repo) }

// mayUse reports whether one of the globs matches owner/name. As on GitHub,
// case does not matter.
func mayUse(globs []string, repo string) bool {
	if owner, name, ok := strings.Cut(repo, "/"); !ok || owner == "" || name == "" || strings.Contains(name, "/") {
		return false
	}
	for _, glob := range globs {
		if ok, err := path.Match(strings.ToLower(glob), strings.ToLower(repo)); ok && err == nil {
			return true
		}
	}
	return false
}

// Resolve returns the host that a URL of a jobs.yaml selects. Its token and
// certificates go with this entry alone, and to the entry's URL, not to the
// one of the file. The error is for an annotation at pos; its File is for the
// caller to set. It does not tell which hosts there are for others.
func (r Resolver) Resolve(rawURL string, pos flow.Pos) (flow.HostEntry, error) {
	address, err := Address(rawURL)
	if err != nil {
		return flow.HostEntry{}, &flow.Error{Pos: pos, Msg: fmt.Sprintf("host %s is refused: %v", shown(rawURL), err), Hint: "write it like https://hostA:4000"}
	}
	if h, ok := r.allowed[address]; ok {
		return h, nil
	}
	if r.forkOff[address] {
		return flow.HostEntry{}, &flow.Error{Pos: pos, Msg: fmt.Sprintf("host %s does not run code of forks", shown(rawURL)),
			Hint: "the operator of the App can set forks: true for it"}
	}
	return flow.HostEntry{}, &flow.Error{Pos: pos, Msg: fmt.Sprintf("host %s is not one that %s may use", shown(rawURL), r.repo),
		Hint: "the operator of the App can list it, with this repository in its repos"}
}

// Check resolves the hosts of all jobs of a plan, and the one that keeps its
// artifacts. The error is a [flow.ErrorList], each place and URL once, in the
// order of the file.
func (r Resolver) Check(plan *flow.Plan) error {
	var list flow.ErrorList
	seen := map[string]bool{}
	check := func(url string, pos flow.Pos) {
		id := fmt.Sprint(pos, url)
		if seen[id] {
			return
		}
		seen[id] = true
		if _, err := r.Resolve(url, pos); err != nil {
			problem := err.(*flow.Error) //nolint:errorlint // Resolve has no other
			problem.File = plan.File.Name
			list = append(list, problem)
		}
	}
	for _, job := range plan.Jobs {
		if job.Pool == "" { // its hosts are the configuration's
			check(job.Host, job.Pos)
		}
	}
	if s := plan.File.Storage; s.IsSet() {
		check(s.Value, s.Pos)
	}
	if len(list) == 0 {
		return nil
	}
	list.Sort()
	return list
}

// shown is a URL as an error may show it: in ASCII, short, and not at all
// when there may be a password in it.
func shown(rawURL string) string {
	if strings.Contains(rawURL, "@") {
		return "with a user or password"
	}
	if len(rawURL) > maxShown {
		rawURL = rawURL[:maxShown] + "..."
	}
	return strconv.QuoteToASCII(rawURL)
}
