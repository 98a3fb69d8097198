package flow

import (
	"fmt"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
	"gopkg.in/yaml.v3"
)

// checkURL accepts the URL of a host: http or https, a host, perhaps a port.
func checkURL(p *parser, k *yaml.Node, t Text) bool {
	what := quote(k.Value) + " "
	u, err := url.Parse(t.Value)
	switch {
	case strings.Contains(t.Value, "@") && strings.Contains(t.Value, "://"):
		p.fail(t.Pos, what+"must not contain a user or a password", "write https://host:4000, and give the host's token where the run is started")
	case err != nil || u.Scheme != "http" && u.Scheme != "https":
		hint := "write http://host:4000 or https://host:4000"
		if !strings.Contains(t.Value, "/") && !strings.Contains(t.Value, " ") {
			hint = "write https://" + t.Value
		}
		p.fail(t.Pos, what+fmt.Sprintf("must be an http or https URL, not %s", quote(t.Value)), hint)
	case u.Hostname() == "" || strings.ContainsAny(u.Hostname(), " \t\\\"'<>`{}"):
		p.fail(t.Pos, what+fmt.Sprintf("names no host: %s", quote(t.Value)), "write https://host:4000")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(t.Value, "#"):
		p.fail(t.Pos, what+`must not have a query or a fragment`, "write "+u.Scheme+"://"+u.Host)
	case u.Path != "" && u.Path != "/":
		p.fail(t.Pos, what+"must not have a path", "write "+u.Scheme+"://"+u.Host)
	case !validPort(u.Port()) || strings.HasSuffix(u.Host, ":"):
		p.fail(t.Pos, what+fmt.Sprintf("has no valid port: %s", quote(t.Value)), "ports are 1 to 65535")
	default:
		return true
	}
	return false
}

func validPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return s == "" || err == nil && n > 0
}

// checkPath accepts what path may be: a git URL, a directory on the host, or
// a folder of the run's own repository.
func checkPath(p *parser, _ *yaml.Node, t Text) bool {
	s := t.Value
	msg, hint := "", ""
	switch {
	case strings.HasPrefix(s, "-"):
		msg = fmt.Sprintf(`path %s begins with "-"`, quote(s))
	case s == "~" || strings.HasPrefix(s, "~/") || strings.HasPrefix(s, "/"):
	case strings.HasPrefix(s, "~"):
		msg, hint = fmt.Sprintf("path %s names another user's home", quote(s)), "write ~/x or /home/user/x"
	case s == "." || strings.HasPrefix(s, "./") || s == ".." || strings.HasPrefix(s, "../"):
		if clean := path.Clean(s); clean == ".." || strings.HasPrefix(clean, "../") {
			msg, hint = fmt.Sprintf("path %s leads out of the repository", quote(s)), "only the folder of this file and those below it can be named: . or ./x"
		}
	case strings.Contains(s, "::"):
		msg, hint = fmt.Sprintf("path %s names a git transport helper, which could run any command", quote(s)), "use https://, ssh:// or git@host:repo"
	case strings.Contains(s, "://"):
		msg, hint = gitURLProblem(s)
	case strings.Contains(s, "@") && strings.Contains(s, ":"):
		msg, hint = scpProblem(s)
	case len(s) > 2 && s[1] == ':' && (s[2] == '\\' || s[2] == '/'):
		msg, hint = fmt.Sprintf("path %s is a Windows path", quote(s)), "write ~/x or /x for a directory on the host, or ./x for a folder of this repository"
	default:
		msg, hint = fmt.Sprintf("path %s is relative", quote(s)), "write "+flowText("./"+s)
		if host, repo, ok := strings.Cut(s, ":"); ok && len(host) > 1 && repo != "" {
			hint = fmt.Sprintf("write git@%s for a repository, or ./%s for a folder", s, s)
		} else if host, repo, ok := strings.Cut(s, "/"); ok && strings.Contains(host, ".") && repo != "" {
			hint = fmt.Sprintf("write https://%s for a repository, or ./%s for a folder", s, s)
		}
	}
	if msg != "" {
		p.fail(t.Pos, msg, hint)
	}
	return msg == ""
}

// gitURLProblem says what is wrong with the URL of a repository.
func gitURLProblem(s string) (msg, hint string) {
	u, err := url.Parse(s)
	if err != nil || strings.ContainsAny(s, " \t") {
		return "path is not a valid URL", "write it like https://github.com/owner/repo.git"
	}
	switch u.Scheme {
	case "http", "https", "ssh":
	case "file":
		if u.Path == "" || u.Path == "/" {
			return fmt.Sprintf("path %s names no repository", quote(s)), "write file:///path/to/repo"
		}
		return "", ""
	default:
		return fmt.Sprintf("path must not be a %s:// URL", u.Scheme), "use https://, ssh:// or file://"
	}
	_, password := u.User.Password()
	switch {
	case password || u.Scheme != "ssh" && looksSecret(u.User.Username()):
		return "path contains a password or a token", "remove it: the credentials of the host are used, and this file can be read by many"
	case u.Hostname() == "" || strings.HasPrefix(u.Hostname(), "-") || strings.HasPrefix(u.User.Username(), "-"):
		return fmt.Sprintf("path %s names no valid host", quote(s)), "write it like https://github.com/owner/repo.git"
	case strings.Trim(u.Path, "/") == "" || strings.HasPrefix(u.Path, "/-"):
		return fmt.Sprintf("path %s names no repository", quote(s)), "write it like https://github.com/owner/repo.git"
	case !validPort(u.Port()):
		return fmt.Sprintf("path %s has no valid port", quote(s)), "ports are 1 to 65535"
	}
	return "", ""
}

// looksSecret recognises access tokens written as a user name.
func looksSecret(user string) bool {
	for _, prefix := range []string{"ghp_", "gho_", "ghs_", "ghu_", "github_pat_", "glpat-"} {
		if strings.HasPrefix(user, prefix) {
			return true
		}
	}
	return len(user) >= 32
}

// scpProblem says what is wrong with user@host:repo.
func scpProblem(s string) (msg, hint string) {
	user, rest, _ := strings.Cut(s, "@")
	host, repo, _ := strings.Cut(rest, ":")
	plain := func(s string) bool {
		return s != "" && !strings.HasPrefix(s, "-") && !strings.ContainsFunc(s, func(r rune) bool {
			return r > 0x7f || !isAlnum(byte(r)) && !strings.ContainsRune("._-", r)
		})
	}
	switch {
	case strings.Contains(user, ":"):
		return "path contains a password or a token", "write user@host:repo"
	case !plain(user) || !plain(host):
		return fmt.Sprintf("path %s names no valid host", quote(s)), "write git@github.com:owner/repo.git"
	case repo == "" || strings.HasPrefix(repo, "-") || strings.ContainsAny(repo, " \t"):
		return fmt.Sprintf("path %s names no repository", quote(s)), "write git@github.com:owner/repo.git"
	}
	return "", ""
}

// checkRef accepts the names that git does: what begins with a dash would be
// an option of git.
func checkRef(p *parser, k *yaml.Node, t Text) bool {
	s := t.Value
	if strings.HasPrefix(s, "-") {
		p.fail(t.Pos, fmt.Sprintf(`%s must not begin with "-": %s`, quote(k.Value), quote(s)), "")
		return false
	}
	if strings.ContainsAny(s, " ~^:?*[\\") || strings.Contains(s, "..") || strings.Contains(s, "@{") || strings.Contains(s, "//") ||
		strings.Contains(s, "/.") || strings.HasPrefix(s, ".") || strings.HasPrefix(s, "/") ||
		strings.HasSuffix(s, "/") || strings.HasSuffix(s, ".") || strings.HasSuffix(s, ".lock") || s == "@" {
		p.fail(t.Pos, fmt.Sprintf("%s is not a branch, tag or commit: %s", quote(k.Value), quote(s)), "")
		return false
	}
	return true
}

// checkAction accepts scenario names: they become file names and arguments.
func checkAction(p *parser, _ *yaml.Node, t Text) bool {
	for _, word := range strings.Fields(t.Value) {
		switch {
		case strings.HasPrefix(word, "-"):
			p.fail(t.Pos, fmt.Sprintf("action %s is an option, not a scenario", quote(word)), "write it under options")
			return false
		case strings.HasPrefix(word, "/") || word == ".." || strings.HasPrefix(word, "../") || strings.Contains(word, "/../") || strings.HasSuffix(word, "/.."):
			p.fail(t.Pos, fmt.Sprintf("action %s is a path, not a scenario", quote(word)), "name a file of .tom without its ending")
			return false
		}
	}
	return true
}

func checkOptions(p *parser, _ *yaml.Node, t Text) bool {
	if _, err := SplitWords(t.Value); err != nil {
		p.fail(t.Pos, "options cannot be split into words: "+err.Error(), "close the quote, or escape it with a backslash")
		return false
	}
	return true
}

// checkCrontab accepts five fields that come true within five years.
func checkCrontab(p *parser, _ *yaml.Node, t Text) bool {
	const example = `minute, hour, day, month, weekday, as in "30 6 * * 1-5"`
	fields := strings.Fields(t.Value)
	switch known := map[string]string{"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *"}[t.Value]; {
	case known != "":
		p.fail(t.Pos, "crontab must have 5 fields", fmt.Sprintf("write %q", known))
		return false
	case len(fields) != 5:
		p.fail(t.Pos, fmt.Sprintf("crontab must have 5 fields, not %d", len(fields)), example)
		return false
	}
	if strings.Contains(t.Value, "=") {
		p.fail(t.Pos, "crontab cannot set a time zone", example)
		return false
	}
	schedule, err := cron.NewParser(cronFields).Parse(t.Value)
	if err != nil {
		cause, _, _ := strings.Cut(err.Error(), ": strconv.")
		p.fail(t.Pos, "crontab is not valid: "+cause, example)
		return false
	}
	if schedule.Next(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		p.fail(t.Pos, fmt.Sprintf("crontab %s never comes", quote(t.Value)), "")
		return false
	}
	return true
}
