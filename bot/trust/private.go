package trust

import (
	"path"
	"strings"

	"github.com/cromt/cromt/flow"
)

// Private decides whether a job that has secrets, or whose code is private,
// may be sent to a host. agent says that the host is our agent, which shows
// nothing without its token. A real Sparky shows the data of its jobs to
// anyone on its port, so the operator must have said that this is fine.
func Private(host flow.HostEntry, agent, secrets, code bool) Decision {
	if agent || host.PublicPort || !secrets && !code {
		return yes()
	}
	what := "secrets"
	if !secrets {
		what = "private code"
	} else if code {
		what = "secrets and private code"
	}
	return no(what+" may not go to a Sparky, which shows the data of its jobs to anyone on its port",
		"run cromt agent there, or write public_port: ok in its hosts entry if you trust all who can reach that port")
}

// Secrets decides whether a run may have the values of secrets: none of a
// fork has any, an approved one included.
func Secrets(fork bool) Decision {
	if fork {
		return no("runs of forks get no secrets", "")
	}
	return yes()
}

// CloneRule lets runs of the repository To clone the private repository From.
// Both are owner/name; that of To may have * for any, as in repos of hosts.
type CloneRule struct{ From, To string }

// Clone decides whether a run of repo may have a token to clone target, both
// owner/name. Its own repository it may, others by a rule. A run of a fork gets
// no token at all: its code is sent as an archive.
func Clone(rules []CloneRule, repo, target string, fork bool) Decision {
	if fork {
		return no("runs of forks get no tokens", "")
	}
	if !isRepo(repo) || !isRepo(target) {
		return no("a repository is owner/name", "")
	}
	if strings.EqualFold(repo, target) {
		return yes()
	}
	for _, rule := range rules {
		if strings.EqualFold(rule.From, target) && mayUse([]string{rule.To}, repo) {
			return yes()
		}
	}
	return no("this repository may not clone that one", "the operator of the App can list both under clone")
}

// isRepo reports whether s is owner/name of two proper path segments.
func isRepo(s string) bool {
	owner, name, ok := strings.Cut(s, "/")
	return ok && owner != "" && name != "" && owner[0] != '.' && path.Clean(s) == s && !strings.Contains(name, "/")
}
