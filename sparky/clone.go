package sparky

import (
	"cmp"
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// CloneCredential lets hosts clone private repositories. It goes to no other
// server than that of its Prefix, and never over http.
type CloneCredential struct {
	// Prefix is the https URL of a server, an owner or one repository, like
	// https://github.com/ or https://github.com/owner/repo. It matches whole
	// segments of a path; ".git" at the end makes no difference.
	Prefix   string
	Username string // has no colon; "" is x-access-token, as GitHub has it for its tokens
	Token    string // "": the credential is not used
}

// Basic returns the credential in the form of [SpecSource.Auth].
func (c CloneCredential) Basic() string {
	user := cmp.Or(c.Username, "x-access-token")
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + strings.TrimSpace(c.Token)))
}

// CredentialFor returns the credential whose prefix matches the URL of a
// repository, the longest if there are several. A URL that is not https, or
// that has a password of its own, has none.
func CredentialFor(list []CloneCredential, repo string) (c CloneCredential, ok bool) {
	at, valid := parseHTTPS(repo)
	if !valid {
		return c, false
	}
	longest := -1
	for _, candidate := range list {
		prefix, valid := parseHTTPS(candidate.Prefix)
		if valid && strings.TrimSpace(candidate.Token) != "" && at.isBelow(prefix) && len(prefix.path) > longest {
			c, ok, longest = candidate, true, len(prefix.path)
		}
	}
	return c, ok
}

// GitAuth returns the variables by which git, 2.31 or later, shows auth (a
// [SpecSource.Auth]) to the server of the https repository at that URL, and to
// no other: redirects fail, since git would repeat the header wherever they
// lead. What the machine's own settings make git send there is left out. It is
// nil when there is nothing to show.
func GitAuth(repo, auth string) []string {
	if _, ok := parseHTTPS(repo); !ok || auth == "" {
		return nil
	}
	u, err := url.Parse(repo)
	if err != nil {
		return nil
	}
	u.User = nil // matches any user
	key := "http." + u.String() + "."
	return []string{
		"GIT_CONFIG_COUNT=3",
		"GIT_CONFIG_KEY_0=" + key + "extraHeader", "GIT_CONFIG_VALUE_0=", // the empty one drops those set elsewhere
		"GIT_CONFIG_KEY_1=" + key + "extraHeader", "GIT_CONFIG_VALUE_1=Authorization: Basic " + auth,
		"GIT_CONFIG_KEY_2=" + key + "followRedirects", "GIT_CONFIG_VALUE_2=false",
	}
}

// httpsPlace is where an https URL leads.
type httpsPlace struct {
	host string // in lower case, with the port
	path []string
}

// parseHTTPS takes apart a URL that means the same to everybody who reads it.
func parseHTTPS(s string) (p httpsPlace, ok bool) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.RawQuery != "" || u.ForceQuery || strings.Contains(s, "#") {
		return p, false
	}
	_, password := u.User.Password()
	if password || u.RawPath != "" || strings.ContainsFunc(u.Path, unicode.IsControl) || strings.Contains(u.Path, `\`) {
		return p, false
	}
	p.host = strings.ToLower(u.Hostname()) + ":" + cmp.Or(u.Port(), "443")
	if path := strings.Trim(u.Path, "/"); path != "" {
		p.path = strings.Split(strings.TrimSuffix(path, ".git"), "/")
	}
	for _, segment := range p.path {
		if segment == "" || segment == "." || segment == ".." {
			return p, false
		}
	}
	return p, true
}

// isBelow reports whether p is prefix or below it.
func (p httpsPlace) isBelow(prefix httpsPlace) bool {
	return p.host == prefix.host && len(p.path) >= len(prefix.path) && slices.Equal(p.path[:len(prefix.path)], prefix.path)
}
