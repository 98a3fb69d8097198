package setup

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/cromt/cromt/bot/config"
	"github.com/cromt/cromt/bot/githubapp"
)

// Config says what the App is to be, as far as it is known before.
type Config struct {
	GitHub    githubapp.Config // APIURL, HTTP and UserAgent
	PublicURL string           // of the App; "": the page asks for it
	Listen    string           // for bot.yaml
	File      string           // the bot.yaml to write; the other files go beside it
	// CallbackPath is where GitHub sends people who sign in to the App's pages.
	CallbackPath string
}

// Flow is one set-up, from the first page to the files. Its handler may be
// used by several requests at once.
type Flow struct {
	c    Config
	key  string
	done chan struct{} // closed once the files are there

	mu     sync.Mutex
	state  string          // of the manifest that was sent last; "": none
	public string          // what that said
	made   *githubapp.Made // nil: not yet
}

// New returns a Flow. It is an error if one of the files that it is to write
// is there, or cannot be written.
func New(c Config) (*Flow, error) {
	if c.PublicURL != "" {
		var err error
		if c.PublicURL, err = config.PublicURL(c.PublicURL); err != nil {
			return nil, err
		}
	}
	var err error
	if c.GitHub.APIURL, err = config.APIURL(c.GitHub.APIURL); err != nil {
		return nil, err
	}
	if err := checkFiles(c.File); err != nil {
		return nil, err
	}
	return &Flow{c: c, key: rand.Text(), done: make(chan struct{})}, nil
}

// Path is where it begins, with the key.
func (f *Flow) Path() string { return "/setup?key=" + f.key }

// Done is closed when the files are written; see Made.
func (f *Flow) Done() <-chan struct{} { return f.done }

// Made is the App that was made. It is only valid after Done.
func (f *Flow) Made() githubapp.Made {
	f.mu.Lock()
	defer f.mu.Unlock()
	return *f.made
}

// Handler serves the pages.
func (f *Flow) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /setup", f.keyed(f.begin))
	mux.HandleFunc("POST /setup", f.keyed(f.send))
	mux.HandleFunc("GET /setup/done", f.back)
	return mux
}

// keyed lets in who has the key. Others do not learn that there is something.
func (f *Flow) keyed(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.URL.Query().Get("key")), []byte(f.key)) != 1 {
			http.NotFound(w, r)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		h(w, r)
	}
}

func (f *Flow) begin(w http.ResponseWriter, _ *http.Request) {
	f.render(w, http.StatusOK, page{Form: &form{Action: f.Path(), PublicURL: f.c.PublicURL, Name: "cromt", MergeQueues: true}})
}

// send shows what will be asked of GitHub, and the button that asks.
func (f *Flow) send(w http.ResponseWriter, r *http.Request) {
	in := form{
		Action: f.Path(), PublicURL: strings.TrimSpace(r.FormValue("public_url")), Name: strings.TrimSpace(r.FormValue("name")),
		Organization: strings.TrimSpace(r.FormValue("organization")), MergeQueues: r.FormValue("merge_queues") != "",
	}
	m, err := f.manifest(&in, base(r, f.c.PublicURL))
	var target string
	if err == nil {
		target, err = githubapp.NewAppPage(f.c.GitHub, in.Organization)
	}
	if err != nil {
		in.Problem = err.Error()
		f.render(w, http.StatusUnprocessableEntity, page{Form: &in})
		return
	}
	text, err := json.Marshal(m)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	state := rand.Text()
	f.mu.Lock()
	f.state, f.public = state, in.PublicURL
	f.mu.Unlock()
	f.render(w, http.StatusOK, page{Confirm: &confirm{
		Target: target + "?state=" + state, Manifest: string(text), Name: m.Name, Account: in.Organization, Hook: m.Hook.URL,
		Permissions: lines(m.Permissions), Events: m.Events,
	}})
}

// base is where the browser has reached this server.
func base(r *http.Request, public string) string {
	if u, err := url.Parse(public); err == nil && u.Host == r.Host {
		return public
	}
	return "http://" + r.Host
}

// manifest is what GitHub is asked for. It completes the form.
func (f *Flow) manifest(in *form, base string) (githubapp.Manifest, error) {
	public, err := config.PublicURL(in.PublicURL)
	if err != nil {
		return githubapp.Manifest{}, err
	}
	in.PublicURL = public
	if n := len([]rune(in.Name)); n == 0 || n > maxName {
		return githubapp.Manifest{}, fmt.Errorf("the name of an App has up to %d characters, and no other App on this GitHub has it", maxName)
	}
	permissions, optional := githubapp.Needed()
	if in.MergeQueues {
		permissions["merge_queues"] = optional["merge_queues"]
	}
	var events []string
	for event, needs := range githubapp.Events() {
		if permissions[needs] != "" { // GitHub refuses a manifest with an event without its permission
			events = append(events, event)
		}
	}
	slices.Sort(events)
	m := githubapp.Manifest{
		Name: in.Name, URL: in.PublicURL, Hook: githubapp.ManifestHook{URL: in.PublicURL + "/webhook", Active: true},
		RedirectURL: base + "/setup/done", Description: "Runs the jobs of a repository's jobs.yaml on Sparky hosts.",
		Permissions: permissions, Events: events,
	}
	if f.c.CallbackPath != "" {
		m.CallbackURLs = []string{in.PublicURL + f.c.CallbackPath}
	}
	return m, nil
}

// lines are the permissions as people read them.
func lines(permissions map[string]string) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(permissions)) {
		out = append(out, name+": "+permissions[name])
	}
	return out
}

// back is where GitHub sends the browser. The state is the proof that it is
// the browser that was shown the manifest.
func (f *Flow) back(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state == "" || subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(f.state)) != 1 {
		http.NotFound(w, r)
		return
	}
	if err := f.finish(r.Context(), q.Get("code")); err != nil {
		p := page{Problem: err.Error()}
		if f.made != nil {
			p.Page = f.made.Page
		}
		f.render(w, http.StatusBadGateway, p)
		return
	}
	f.state = ""
	f.render(w, http.StatusOK, page{Done: &done{Name: f.made.Name, Page: f.made.Page, Install: f.made.Page + "/installations/new", File: f.c.File}})
	close(f.done)
}

// finish gets the keys and writes the files. When only the files fail, it may
// be called again without a code. The lock is held.
func (f *Flow) finish(ctx context.Context, code string) error {
	if f.made == nil {
		// What GitHub hands out, it does once: the browser may go away.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), exchangeTime)
		defer cancel()
		made, err := githubapp.Exchange(ctx, f.c.GitHub, code)
		if err != nil {
			return err
		}
		f.made = &made
	}
	if err := writeFiles(f.c, f.public, f.made); err != nil {
		return errors.Join(err, errors.New("the App is made; make room for the files and reload this page: its keys are kept until this program ends"))
	}
	return nil
}
