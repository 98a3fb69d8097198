package config

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
	"unicode"
)

func takeListen(l *loader, v value) (problem, hint string) {
	_, port, err := net.SplitHostPort(v.text)
	if _, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil {
		return "listen must be an address and a port", "write " + DefaultListen + ", or :8080 for all addresses"
	}
	l.c.Listen = v.text
	return "", ""
}

func takePublicURL(l *loader, v value) (problem, hint string) {
	u, problem := webURL("public_url", v.text)
	switch {
	case problem != "":
		return problem, "write it like https://cromt.example.com"
	case u.Path != "":
		return "public_url must not have a path", "write " + u.Scheme + "://" + u.Host
	}
	l.c.PublicURL = u.String()
	return "", ""
}

func takeAPIURL(l *loader, v value) (problem, hint string) {
	u, problem := webURL("api_url", v.text)
	if problem != "" {
		return problem, "write " + DefaultAPIURL + ", or https://github.example.com/api/v3 for GitHub Enterprise"
	}
	l.c.GitHub.APIURL = u.String()
	return "", ""
}

// webURL parses an https URL without a slash at the end. http is for this
// machine alone: what is sent there are cookies and tokens.
func webURL(name, text string) (u *url.URL, problem string) {
	u, err := url.Parse(strings.TrimRight(text, "/"))
	switch {
	case strings.Contains(text, "@"):
		return nil, name + " must not have a user or a password"
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return nil, name + " must be an https URL"
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(text, "#"):
		return nil, name + " must not have a query or a fragment"
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return nil, name + " must be https: with http, others can read what is sent there"
	}
	return u, ""
}

func takeDatabase(l *loader, v value) (problem, hint string) {
	if name, ok := strings.CutPrefix(v.text, "sqlite:"); ok {
		v.text = name
		if name == "" || strings.ContainsAny(name, "?#") {
			return "database names no file", "write " + DefaultDatabase
		}
		l.c.Database = Database{"sqlite", NewSecret(l.path(v))}
		return "", ""
	}
	const example = "write sqlite:FILE or postgres://user@host/database"
	u, err := url.Parse(v.text)
	switch {
	case err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql":
		return "database must be sqlite:FILE or a postgres:// URL", example
	case u.Opaque != "" || strings.Trim(u.Path, "/") == "":
		return "database names no database", example
	}
	if _, password := u.User.Password(); v.inYAML && (password || u.Query().Has("password")) {
		return "database has a password, and this file is no secret", "write the URL to a file and database_file: FILE here, or set CROMT_DATABASE"
	}
	l.c.Database = Database{"postgres", NewSecret(v.text)}
	return "", ""
}

func takeConfigPath(l *loader, v value) (problem, hint string) {
	const example = "write jobs.yaml, or ci/jobs.yaml"
	switch {
	case path.IsAbs(v.text) || path.Clean(v.text) != v.text || v.text == "." || v.text == ".." || strings.HasPrefix(v.text, "../"):
		return "config_path must be the path of a file in a repository", example
	case strings.HasPrefix(v.text, "-") || strings.ContainsFunc(v.text, unicode.IsControl) || strings.Contains(v.text, `\`):
		return "config_path has a character that paths should not have", example
	}
	l.c.ConfigPath = v.text
	return "", ""
}

func takeSecretsDir(l *loader, v value) (problem, hint string) {
	dir, err := filepath.Abs(l.path(v))
	if err != nil {
		return "secrets_dir: " + err.Error(), ""
	}
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return fmt.Sprintf("secrets_dir: %v", bare(err)), "make it, with a file OWNER/REPO/NAME for each secret"
	case !info.IsDir():
		return "secrets_dir is not a folder", ""
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o007 != 0:
		l.warn("%s can be read by every user of this machine; chmod 700 it", dir)
	}
	l.c.SecretsDir = dir
	return "", ""
}

func takeRetention(l *loader, v value) (problem, hint string) {
	d, err := time.ParseDuration(v.text)
	if days, ok := strings.CutSuffix(v.text, "d"); ok {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 16)
		d = time.Duration(n) * 24 * time.Hour
	}
	switch {
	case err != nil:
		return "retention must be days or a duration", "write 90d or 2160h"
	case d < MinRetention || d > MaxRetention:
		return "retention must be between 1h and 3650d", ""
	}
	l.c.Retention = d
	return "", ""
}
