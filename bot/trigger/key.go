package trigger

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A key says what a run answers. The same key twice is the same run. It is
// text of one line in ASCII: a kind and its parts with a colon between, each
// part escaped as in the path of a URL, so that no two causes have one key. It
// is kept in the database for as long as the run: its form never changes.

// CodeKey is of the run of a commit: a push and a pull request of one commit
// and one configuration are one run. digest is [Digest] of the jobs.yaml.
func CodeKey(repo, sha, digest string) string {
	return key("code", repoPart(repo), strings.ToLower(sha), digest)
}

// ForkKey is of the run of a commit of a fork in a pull request: apart from
// the commit's other runs, since it has no secrets, and is approved by itself.
func ForkKey(repo string, pull int, sha, digest string) string {
	return key("fork", repoPart(repo), strconv.Itoa(pull), strings.ToLower(sha), digest)
}

// MoreKey is of the run of what another event, or another pull request, selects
// at a commit whose run has begun without it. pull is 0 for a push.
func MoreKey(repo, sha, digest, event string, pull int, branch string) string {
	return key("more", repoPart(repo), strings.ToLower(sha), digest, event, strconv.Itoa(pull), branch)
}

// MergeGroupKey is of the run of a commit that a merge queue made.
func MergeGroupKey(repo, sha string) string {
	return key("merge", repoPart(repo), strings.ToLower(sha))
}

// CommentKey is of the run that a line of a comment asked for. event is
// GitHub's name, issue_comment: comments on lines of code count their ids
// separately.
func CommentKey(repo, event string, id int64, line int) string {
	return key("comment", repoPart(repo), event, strconv.FormatInt(id, 10), strconv.Itoa(line))
}

// CommentOf returns the id of the comment, on a pull request as a whole, that
// the run of a key was asked for in. Not ok: it was not.
func CommentOf(key string) (id int64, ok bool) {
	parts := strings.Split(key, ":")
	if len(parts) != 5 || parts[0] != "comment" || parts[2] != "issue_comment" {
		return 0, false
	}
	id, err := strconv.ParseInt(parts[3], 10, 64)
	return id, err == nil
}

// ScheduleKey is of the run of a project at a time that its crontab named.
func ScheduleKey(repo, project string, tick time.Time) string {
	return key("schedule", repoPart(repo), project, tick.UTC().Format(time.RFC3339))
}

// RerunKey is of the run that repeats another one. click tells one click from
// the next: the id of the check run and its button for buttons, which are gone
// after the click. The id of a delivery is not signed, so it cannot be that.
func RerunKey(run, click string) string { return key("rerun", run, click) }

// Digest identifies the text of a configuration file.
func Digest(config []byte) string {
	sum := sha256.Sum256(config)
	return hex.EncodeToString(sum[:])
}

// repoPart makes equal what GitHub takes for one repository.
func repoPart(repo string) string { return strings.ToLower(repo) }

func key(kind string, parts ...string) string {
	for _, part := range parts {
		// PathEscape leaves the colon as it is.
		kind += ":" + strings.ReplaceAll(url.PathEscape(part), ":", "%3A")
	}
	return kind
}
