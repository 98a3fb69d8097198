package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// checker collects the first thing that is wrong with a payload. Its methods
// return the value that they were given if it is good.
type checker struct {
	name string // of the event
	err  error
}

func (c *checker) fail(field, problem string) {
	if c.err == nil {
		c.err = fmt.Errorf("read %s payload: %s %s", c.name, field, problem)
	}
}

// decode reads payload into v and says whether that went well.
func (c *checker) decode(payload []byte, v any) bool {
	err := json.Unmarshal(payload, v)
	var typ *json.UnmarshalTypeError
	switch {
	case errors.As(err, &typ) && typ.Field != "":
		c.fail(strings.TrimPrefix(typ.Field, "common."), "has the wrong type: "+typ.Value)
	case errors.As(err, &typ):
		c.fail("the whole", "has the wrong type: "+typ.Value)
	case err != nil:
		c.err = fmt.Errorf("read %s payload: %w", c.name, err)
	}
	return c.err == nil
}

// sha takes the id of a commit that exists.
func (c *checker) sha(field, s string) string {
	if s = c.shaOrZero(field, s); strings.Trim(s, "0") == "" {
		c.fail(field, "is not a commit: all zeros")
	}
	return s
}

// shaOrZero takes 40 digits (SHA-1) or 64 (SHA-256).
func (c *checker) shaOrZero(field, s string) string {
	if (len(s) != 40 && len(s) != 64) || strings.Trim(s, "0123456789abcdef") != "" {
		c.fail(field, "is not the id of a commit: 40 or 64 hexadecimal digits")
	}
	return s
}

// ref takes a branch, a tag or a full ref by the rules of git check-ref-format,
// and none that a command could take for an option.
func (c *checker) ref(field, s string) string {
	bad := s == "" || len(s) > MaxRef || s == "@" || s[0] == '-' || s[len(s)-1] == '.' ||
		strings.ContainsAny(s, " ~^:?*[\\") || strings.ContainsFunc(s, unicode.IsControl) ||
		strings.Contains(s, "..") || strings.Contains(s, "@{")
	for part := range strings.SplitSeq(s, "/") {
		bad = bad || part == "" || part[0] == '.' || strings.HasSuffix(part, ".lock")
	}
	if bad {
		c.fail(field, "is not the name of a ref")
	}
	return s
}

// optionalRef takes a ref that may not be there.
func (c *checker) optionalRef(field, s string) string {
	if s == "" {
		return ""
	}
	return c.ref(field, s)
}

// line takes an identifier: one line of at most limit bytes.
func (c *checker) line(field, s string, limit int) string {
	if len(s) > limit {
		c.fail(field, fmt.Sprintf("is longer than %d bytes", limit))
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		c.fail(field, "has a control character")
	}
	return s
}

// number takes a number or an id that GitHub counts from 1.
func number[N int | int64](c *checker, field string, n N) N {
	if n <= 0 {
		c.fail(field, "is missing")
	}
	return n
}

// url takes an address that can be a link, or none.
func (c *checker) url(field, s string) string {
	if s == "" {
		return ""
	}
	c.line(field, s, MaxURL)
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil {
		c.fail(field, "is not an http address")
	}
	return s
}

func (c *checker) time(field, s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		c.fail(field, "is not a time")
	}
	return t
}

// user takes an account; null, which a deleted one is, is the zero User.
func (c *checker) user(field string, w *wireUser) User {
	if w == nil {
		return User{}
	}
	name, bot := strings.CutSuffix(w.Login, "[bot]")
	if name == "" || len(name) > MaxLogin || strings.ContainsFunc(name, func(r rune) bool { return !isNameRune(r) || r == '.' }) {
		c.fail(field+".login", "is not a login")
	}
	return User{
		Login: w.Login,
		ID:    number(c, field+".id", w.ID),
		Type:  c.line(field+".type", w.Type, MaxName),
		Bot:   bot || w.Type == "Bot",
	}
}

// repo takes a repository that must be there.
func (c *checker) repo(field string, w *wireRepo) Repo {
	if w == nil {
		c.fail(field, "is missing")
		return Repo{}
	}
	return Repo{
		FullName:      c.fullName(field+".full_name", w.FullName),
		ID:            number(c, field+".id", w.ID),
		Private:       w.Private,
		Fork:          w.Fork,
		DefaultBranch: c.optionalRef(field+".default_branch", w.DefaultBranch),
		CloneURL:      c.url(field+".clone_url", w.CloneURL),
		HTMLURL:       c.url(field+".html_url", w.HTMLURL),
	}
}

func (c *checker) repos(field string, list []wireRepo) []Repo {
	if len(list) > MaxRepos {
		c.fail(field, fmt.Sprintf("has more than %d entries", MaxRepos))
		return nil
	}
	var repos []Repo
	for i := range list {
		repos = append(repos, c.repo(field, &list[i]))
	}
	return repos
}

// fullName takes owner/name. Both end up in paths of files: neither may be
// one of the folder itself or above it.
func (c *checker) fullName(field, s string) string {
	owner, name, _ := strings.Cut(s, "/")
	bad := owner == "" || name == "" || len(s) > MaxRepoName || strings.ContainsAny(owner[:1], ".-") || name == "." || name == ".."
	if bad || strings.ContainsFunc(owner+name, func(r rune) bool { return !isNameRune(r) }) {
		c.fail(field, "is not owner/name")
	}
	return s
}

func isNameRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.'
}

// cut returns at most limit bytes of s, whole characters.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}
