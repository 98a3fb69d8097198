package flow

import (
	"path"
	"strings"
)

// NormalizeRepo returns what two URLs of one repository have in common: the
// host in lower case and the path, without scheme, user, default port, ".git"
// and trailing slash. The short form of SSH, git@host:path, counts as a URL. A
// local directory is its path, a file URL as well.
func NormalizeRepo(url string) string {
	host, dir := splitRepo(strings.TrimSpace(url))
	dir = strings.TrimRight(dir, "/")
	dir = strings.TrimRight(strings.TrimSuffix(dir, ".git"), "/")
	if host == "" {
		return dir
	}
	return host + "/" + strings.TrimLeft(dir, "/")
}

// splitRepo splits a repository's URL into its host, in lower case, and the rest.
func splitRepo(url string) (host, dir string) {
	if scheme, rest, ok := strings.Cut(url, "://"); ok {
		i := strings.IndexByte(rest, '/')
		if i < 0 {
			i = len(rest)
		}
		host := strings.ToLower(withoutUser(rest[:i]))
		ports := map[string]string{"https": ":443", "http": ":80", "ssh": ":22", "git": ":9418"}
		return strings.TrimSuffix(host, ports[strings.ToLower(scheme)]), rest[i:]
	}
	if i := scpColon(url); i > 0 {
		return strings.ToLower(withoutUser(url[:i])), url[i+1:]
	}
	return "", url
}

func withoutUser(host string) string { return host[strings.LastIndexByte(host, '@')+1:] }

// scpColon returns where the host ends in SSH's short form, or -1: it has a
// colon, and no slash before that.
func scpColon(url string) int {
	from := 0
	if i := strings.Index(url, "]:"); i > 0 && !strings.Contains(url[:i], "/") {
		from = i // an IPv6 address
	}
	i := strings.IndexByte(url[from:], ':')
	if i < 0 || strings.Contains(url[:from+i], "/") {
		return -1
	}
	return from + i
}

// isRepoURL reports whether a path names a git repository elsewhere.
func isRepoURL(at string) bool { return strings.Contains(at, "://") || scpColon(at) > 0 }

// ownFolder returns the folder of the repository that "./x" means in a
// jobs.yaml in folder; not ok when it is outside.
func ownFolder(folder, at string) (dir string, ok bool) {
	dir = path.Join(folder, at)
	switch {
	case dir == ".." || strings.HasPrefix(dir, "../"):
		return "", false
	case dir == ".":
		return "", true
	}
	return dir, true
}
