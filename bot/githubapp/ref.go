package githubapp

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"sync"
)

var shaForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`) })

// checkSHA refuses what is not the full name of a commit.
func checkSHA(sha string) error {
	if !shaForm().MatchString(sha) || strings.Trim(sha, "0") == "" {
		return fmt.Errorf("commit %.80q: it is written as 40 or 64 hexadecimal digits", sha)
	}
	return nil
}

// checkRef refuses what git takes for no ref's name, and what would mean
// something else in a URL or to git: the source is git-check-ref-format(1).
func checkRef(ref string) error {
	bad := ref == "" || len(ref) > maxRef || strings.Trim(ref, "0") == "" || strings.ContainsAny(ref, " ~^:?*[\\\x7f") ||
		strings.Contains(ref, "@{") || ref == "@" || strings.HasPrefix(ref, "-")
	for _, r := range ref {
		bad = bad || r < ' ' || r == '\uFFFD'
	}
	for part := range strings.SplitSeq(ref, "/") {
		bad = bad || part == "" || strings.HasPrefix(part, ".") || strings.HasSuffix(part, ".") || strings.Contains(part, "..") || strings.HasSuffix(part, ".lock")
	}
	if bad {
		return fmt.Errorf("ref %.80q: it is no name of a branch, tag or commit", ref)
	}
	return nil
}

// splitPath returns the parts of a file's path below the repository's root.
func splitPath(path string) ([]string, error) {
	parts := strings.Split(path, "/")
	bad := path == "" || len(path) > maxPath || len(parts) > maxDepth || strings.ContainsRune(path, 0)
	for _, p := range parts {
		bad = bad || p == "" || p == "." || p == ".."
	}
	if bad {
		return nil, fmt.Errorf("path %.80q: it is that of a file below the repository's root, at most %d folders deep", path, maxDepth)
	}
	return parts, nil
}

// escapePath is a ref as a part of a URL's path, its slashes kept.
func escapePath(ref string) string {
	parts := strings.Split(ref, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return strings.Join(parts, "/")
}
