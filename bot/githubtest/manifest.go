package githubtest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"net/http"
	"slices"
	"time"
)

// MadeApp is what GitHub says of an App that was made from a manifest.
type MadeApp struct {
	ID            int64
	Slug          string
	PEM           string
	WebhookSecret string
	ClientID      string
	ClientSecret  string
}

// madeApp is one whose code was given out.
type madeApp struct {
	MadeApp
	born time.Time
	used bool
}

// MakeApp makes an App as a person does who sends a manifest to GitHub's page,
// and returns it with the code that GitHub redirects back with: it is good for
// an hour, and once.
func (s *Server) MakeApp(slug string) (code string, made MadeApp) {
	s.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		s.t.Fatal(err)
	}
	made = MadeApp{
		ID: s.AddApp(slug, &key.PublicKey), Slug: slug, WebhookSecret: rand.Text(), ClientID: "Iv1." + rand.Text(), ClientSecret: rand.Text(),
		PEM: string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})),
	}
	code = rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made[code] = &madeApp{MadeApp: made, born: time.Now()}
	return code, made
}

// anonymous is who sends no token.
func (s *Server) anonymous() *token {
	return &token{Token: Token{User: "ghost", Repos: []string{"none/none"}}, limits: s.nobody}
}

func (c *call) convertManifest() *answer {
	m := c.s.made[c.params["code"]]
	if m == nil || m.used || c.now.Sub(m.born) > manifestLife {
		return notFound()
	}
	m.used = true
	o := c.app(m.Slug + "[bot]")
	maps.Copy(o, object{"pem": m.PEM, "webhook_secret": m.WebhookSecret, "client_id": m.ClientID, "client_secret": m.ClientSecret})
	return created(o)
}

// AppSettings are what is set on an App's page.
type AppSettings struct {
	Permissions map[string]string
	Events      []string // those of installations come anyway
	HookURL     string
	ContentType string // of the webhook: json (default) or form
	InsecureSSL bool
}

// SetApp sets what an App asks for, and its webhook. New installations get the
// App's events.
func (s *Server) SetApp(id int64, set AppSettings) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.apps {
		if a.id == id {
			a.set = set
		}
	}
}

// SetEvents sets the events that an installation is sent.
func (s *Server) SetEvents(installation int64, events ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, in := range s.installations {
		if in.id == installation {
			in.events = events
		}
	}
}

// SetRepos sets the repositories of an installation, which are none of those
// that are left out any more.
func (s *Server) SetRepos(installation int64, repos ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, in := range s.installations {
		if in.id == installation {
			in.repos = slices.Clone(repos)
		}
	}
}

// Uninstall removes an installation.
func (s *Server) Uninstall(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.installations = slices.DeleteFunc(s.installations, func(in *installation) bool { return in.id == id })
}

func (c *call) getHookConfig() *answer {
	set := c.tok.app.set
	insecure := "0"
	if set.InsecureSSL {
		insecure = "1"
	}
	return &answer{status: http.StatusOK, body: object{
		"url": set.HookURL, "content_type": orDefault(set.ContentType, "json"), "insecure_ssl": insecure, "secret": "********",
	}}
}
