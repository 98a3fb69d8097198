package githubtest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Token is what a token may do.
type Token struct {
	// Repos are the full names of the repositories that it sees: others do not
	// exist for it. Empty: all of the server.
	Repos []string
	// Permissions are by GitHub's names (checks, contents, issues,
	// pull_requests, statuses): read or write. metadata: read is always there.
	Permissions map[string]string
	// App says that it is an App's, as a workflow's GITHUB_TOKEN is: nobody
	// else writes checks.
	App bool
	// Expires is when it ends. Zero: never.
	Expires time.Time
	// User is who acts with it. Default: "cromt[bot]" for an App, else
	// "octocat". Tokens of one user are of one App.
	User string
	// HourLimit is how many requests an hour are allowed. Default:
	// DefaultHourLimit; see GitHubTokenHourLimit.
	HourLimit int
}

// token is one that was given out.
type token struct {
	Token
	secret string
	limits *limiter
	app    *app // whose JWT it is; nil: not a JWT
	client *app // that a person has signed in to with it; nil: nobody has
}

// Token makes a token and returns its secret.
func (s *Server) Token(tok Token) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if tok.HourLimit == 0 {
		tok.HourLimit = DefaultHourLimit
	}
	return s.addToken(tok, &limiter{perHour: tok.HourLimit}).secret
}

func (s *Server) addToken(tok Token, l *limiter) *token {
	if tok.User == "" {
		tok.User = "octocat"
		if tok.App {
			tok.User = "cromt[bot]"
		}
	}
	t := &token{Token: tok, secret: fmt.Sprintf("ghs_fake%d", s.nextID()), limits: l}
	s.tokens[t.secret] = t
	return t
}

// credential is the secret that a request carries, "" without any.
func credential(r *http.Request) string {
	scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "bearer") && !strings.EqualFold(scheme, "token") {
		return ""
	}
	return strings.TrimSpace(secret)
}

// authenticate returns the token of a request, or the refusal.
func (s *Server) authenticate(secret string, now time.Time) (*token, *answer) {
	if secret == "" {
		return nil, refusal(http.StatusUnauthorized, "Requires authentication")
	}
	if strings.Count(secret, ".") == 2 {
		return s.appToken(secret, now)
	}
	t := s.tokens[secret]
	if t == nil || !t.Expires.IsZero() && !now.Before(t.Expires) {
		return nil, refusal(http.StatusUnauthorized, "Bad credentials")
	}
	return t, nil
}

// sees reports whether a repository exists for a token.
func (t *token) sees(fullName string) bool {
	return len(t.Repos) == 0 && t.client == nil || slices.ContainsFunc(t.Repos, func(r string) bool { return strings.EqualFold(r, fullName) })
}

// need is what an operation asks of a token: one of the permissions, at a level.
type need struct {
	anyOf []string
	write bool
	app   bool // only an App may
	jwt   bool // only an App itself may, with its JWT
	any   bool // any token may
}

// allows returns the refusal where a token lacks what an operation needs.
func (t *token) allows(n need) *answer {
	switch {
	case n.any:
		return nil
	case n.jwt && t.app == nil:
		return refusal(http.StatusUnauthorized, "A JSON web token could not be decoded")
	case n.jwt:
		return nil
	case t.app != nil:
		return refusal(http.StatusForbidden, "Resource not accessible by integration")
	}
	if n.app && !t.App {
		return refusal(http.StatusForbidden, "You must authenticate via a GitHub App.")
	}
	if len(n.anyOf) == 0 {
		return nil
	}
	for _, p := range n.anyOf {
		if has := t.Permissions[p]; has == "write" || has == "admin" || has == "read" && !n.write {
			return nil
		}
	}
	who := "personal access token"
	if t.App {
		who = "integration"
	}
	return refusal(http.StatusForbidden, "Resource not accessible by "+who)
}
