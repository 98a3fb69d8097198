package gitrepo

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// Auth is what the server of a private repository is shown. Its zero value is
// nothing. It is shown to the server of an https URL alone, never to one that
// this redirects to: redirects fail, since git would repeat it there. It takes
// git 2.31 or later.
type Auth struct {
	Username string // "" is x-access-token, as GitHub has it for its tokens
	Token    string
}

// setting is one of git's, for one command. It is passed by the environment:
// arguments can be seen by every user of the machine.
type setting struct{ key, value string }

// at is Auth as settings for the repository at that URL.
func (a Auth) at(repo string) []setting {
	u, err := url.Parse(repo)
	if strings.TrimSpace(a.Token) == "" || err != nil || u.Scheme != "https" || u.Host == "" {
		return nil
	}
	u.User = nil // matches any user
	key := "http." + u.String() + "."
	return []setting{
		// The empty one drops those set elsewhere. The checkout of a workflow
		// has one, and GitHub does not take two.
		{key + "extraHeader", ""},
		{key + "extraHeader", "Authorization: Basic " + a.basic()},
		{key + "followRedirects", "false"},
	}
}

func (a Auth) basic() string {
	return base64.StdEncoding.EncodeToString([]byte(cmp.Or(a.Username, "x-access-token") + ":" + strings.TrimSpace(a.Token)))
}

// mask removes what the server was shown from an error: it may repeat it.
func (a Auth) mask(err error) error {
	if strings.TrimSpace(a.Token) == "" {
		return err
	}
	text := strings.NewReplacer(strings.TrimSpace(a.Token), "***", a.basic(), "***").Replace(err.Error())
	if text == err.Error() {
		return err
	}
	return &maskedError{err, text}
}

// maskedError is an error whose text had a token in it.
type maskedError struct {
	error
	text string
}

func (m *maskedError) Error() string { return m.text }
func (m *maskedError) Unwrap() error { return m.error }

// withSettings adds settings to those that the environment has.
func withSettings(env []string, settings []setting) []string {
	if len(settings) == 0 {
		return env
	}
	n := 0
	for _, kv := range env {
		if count, ok := strings.CutPrefix(kv, "GIT_CONFIG_COUNT="); ok {
			n, _ = strconv.Atoi(count) // git refuses one that is not a number
		}
	}
	for _, s := range settings {
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", n, s.key), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", n, s.value))
		n++
	}
	return append(env, fmt.Sprintf("GIT_CONFIG_COUNT=%d", n))
}
