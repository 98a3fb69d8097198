package githubtest

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Person is somebody with a browser.
type Person struct {
	Login string
	// Repos are the full names of the repositories that the person has been
	// given access to; public ones can be read by everybody.
	Repos []string
}

// grant is a code that a person was sent back to the App with.
type grant struct {
	app                 *app
	person              Person
	redirect, challenge string
}

// personTokenLife is how long a token of a person lives, as at GitHub.
const personTokenLife = 8 * time.Hour

// SetClient sets the client ID and secret of an App, by its id, and the URL
// that people are sent back to.
func (s *Server) SetClient(appID int64, id, secret, callback string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.apps {
		if a.id == appID {
			a.clientID, a.clientSecret, a.callback = id, secret, callback
			return
		}
	}
	s.t.Fatalf("githubtest: no App has the id %d: AddApp returns it", appID)
}

// SetPerson says who sits at the browser and agrees to every sign-in; nil: it
// is refused.
func (s *Server) SetPerson(p *Person) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.person = p
}

// Withdraw ends all tokens of people.
func (s *Server) Withdraw() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for secret, t := range s.tokens {
		if t.client != nil {
			delete(s.tokens, secret)
		}
	}
}

// serveSignIn serves the two addresses of the web application flow, which are
// no part of the API's description.
func (s *Server) serveSignIn(w http.ResponseWriter, r *http.Request, body []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case r.Method == http.MethodGet && r.URL.Path == "/login/oauth/authorize":
		s.authorize(w, r)
	case r.Method == http.MethodPost && r.URL.Path == "/login/oauth/access_token":
		form, err := url.ParseQuery(string(body))
		if err != nil || r.Header.Get("Accept") != "application/json" {
			s.violations = append(s.violations, Violation{Method: r.Method, Path: r.URL.Path, Problem: "no form, or another answer than JSON is wanted"})
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		return json.NewEncoder(w).Encode(s.exchange(form)) // with 200 whatever it says
	default:
		http.NotFound(w, r)
	}
	return nil
}

// authorize sends the person back with a code, as if they had agreed.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	i := slices.IndexFunc(s.apps, func(a *app) bool { return a.clientID != "" && a.clientID == q.Get("client_id") })
	if i < 0 {
		http.NotFound(w, r)
		return
	}
	a, redirect := s.apps[i], q.Get("redirect_uri")
	if redirect != a.callback {
		http.Error(w, "The redirect_uri is not associated with this application.", http.StatusBadRequest)
		return
	}
	if q.Get("code_challenge") != "" && q.Get("code_challenge_method") != "S256" {
		http.Error(w, "The code_challenge_method is not supported.", http.StatusBadRequest)
		return
	}
	back := url.Values{"state": {q.Get("state")}}
	if s.person == nil {
		back.Set("error", "access_denied")
	} else {
		code := fmt.Sprintf("code%d", s.nextID())
		s.codes[code] = &grant{app: a, person: *s.person, redirect: redirect, challenge: q.Get("code_challenge")}
		back.Set("code", code)
	}
	http.Redirect(w, r, redirect+"?"+back.Encode(), http.StatusFound)
}

// exchange makes a token of a code, which works once.
func (s *Server) exchange(form url.Values) object {
	refused := func(name, about string) object { return object{"error": name, "error_description": about} }
	g := s.codes[form.Get("code")]
	delete(s.codes, form.Get("code"))
	i := slices.IndexFunc(s.apps, func(a *app) bool { return a.clientID != "" && a.clientID == form.Get("client_id") })
	if i < 0 || subtle.ConstantTimeCompare([]byte(s.apps[i].clientSecret), []byte(form.Get("client_secret"))) == 0 {
		return refused("incorrect_client_credentials", "The client_id and/or client_secret passed are incorrect.")
	}
	if g == nil || g.app != s.apps[i] {
		return refused("bad_verification_code", "The code passed is incorrect or expired.")
	}
	if form.Get("redirect_uri") != g.redirect {
		return refused("redirect_uri_mismatch", "The redirect_uri MUST match the registered callback URL for this application.")
	}
	sum := sha256.Sum256([]byte(form.Get("code_verifier")))
	if g.challenge != "" && g.challenge != base64.RawURLEncoding.EncodeToString(sum[:]) {
		return refused("bad_verification_code", "The code passed is incorrect or expired.")
	}
	t := s.addToken(Token{User: g.person.Login, Repos: slices.Clone(g.person.Repos), Expires: time.Now().Add(personTokenLife)}, &limiter{perHour: DefaultHourLimit})
	delete(s.tokens, t.secret)
	t.secret, t.client = strings.Replace(t.secret, "ghs_", "ghu_", 1), g.app
	s.tokens[t.secret] = t
	return object{"access_token": t.secret, "expires_in": int(personTokenLife / time.Second), "token_type": "bearer", "scope": ""}
}

func (c *call) getUser() *answer {
	o := c.s.api.fill("public-user", c.s.userFields(c.tok.User))
	o["user_view_type"] = "public"
	return ok(o)
}

// listUserInstallations are those of the App that the person can see something
// of.
func (c *call) listUserInstallations() *answer {
	list := slices.DeleteFunc(slices.Clone(c.s.installations), func(in *installation) bool {
		return in.app != c.tok.client || len(c.seen(in)) == 0
	})
	total := len(list)
	list, header := page(c, list)
	a := ok(object{"total_count": total, "installations": mapped(list, c.installation)})
	a.header = header
	return a
}

// seen are the repositories of an installation that the person has been given
// access to.
func (c *call) seen(in *installation) []string {
	return slices.DeleteFunc(slices.Clone(in.repos), func(full string) bool { return !c.tok.sees(full) })
}

func (c *call) listUserRepos() *answer {
	i := slices.IndexFunc(c.s.installations, func(in *installation) bool {
		return in.id == c.id("installation_id") && in.app == c.tok.client && len(c.seen(in)) > 0
	})
	if i < 0 {
		return notFound()
	}
	list := mapped(c.seen(c.s.installations[i]), func(full string) object { return c.s.addRepo(full).json(c, "repository") })
	total := len(list)
	list, header := page(c, list)
	a := ok(object{"total_count": total, "repositories": list})
	a.header = header
	return a
}
