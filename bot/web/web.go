package web

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cromt/cromt/bot/githubapp"
	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/flow"
)

//go:embed static/* templates/*
var files embed.FS

// Config is what the pages show, and to whom.
type Config struct {
	Store *store.Store
	// GitHub is where readers sign in and where it is known who may read what.
	// Without a client ID nobody can sign in.
	GitHub *githubapp.App
	// Plan returns what a run will do, from what was pinned when it was
	// created.
	Plan  func(*store.Run) (*flow.Plan, error)
	Hosts []Host
	// Pools returns the hosts of the pools as they stand, pool by pool. Nil:
	// there are none.
	Pools func(ctx context.Context) ([]PoolHost, error)
	// PublicURL is where browsers reach the pages, without a slash at its end.
	PublicURL string
	// Secret is known to all replicas: what keeps sessions is derived from it.
	Secret  []byte
	Version string       // of this program
	Logger  *slog.Logger // nil: no logging
}

// Host is a host of the App's configuration.
type Host struct {
	URL   string
	Name  string // "" when it has none
	Slots int    // jobs at a time; 0: as the host decides
	// MayUse reports whether a repository, owner/name, may use it.
	MayUse func(repo string) bool
}

// PoolHost is a host of a pool as it stands.
type PoolHost struct {
	Pool, Name string
	Labels     []string
	Slots      int // jobs at a time
	Used       int // by runs of this process
	Version    string
	Connected  bool      // false: it has announced itself, and is not heard of now
	Draining   bool      // it gets no more jobs
	Out        bool      // it was taken out after failures, and is looked at until it is well
	Reason     string    // why it was taken out
	SeenAt     time.Time // zero for one that the configuration names
	// MayUse reports whether a repository, owner/name, may use the pool.
	MayUse func(repo string) bool `json:"-"`
}

// pages is the handler's state.
type pages struct {
	Config
	templates *template.Template
	assets    map[string]asset  // by path
	names     map[string]string // paths of assets by their files' names
	policy    string            // Content-Security-Policy
	seal      *seal
	access    *accessCache
	plans     *cache[string, *flow.Plan]
	snapshots *cache[string, *snapshot]
	badges    *cache[string, badgeFacts]
	streams   *streams
	scans     chan struct{}
}

// asset is a file that pages name.
type asset struct {
	kind string
	data []byte
}

// New returns the handler for all pages. It is for the root of a host: the
// paths in pages begin with a slash.
func New(c Config) (http.Handler, error) {
	if c.Store == nil || c.GitHub == nil || c.Plan == nil {
		return nil, errors.New("pages: Store, GitHub and Plan are needed")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	p := &pages{
		Config: c, access: newAccessCache(), streams: newStreams(), scans: make(chan struct{}, maxScans),
		plans: newCache[string, *flow.Plan](maxPlans), snapshots: newCache[string, *snapshot](maxSnapshots), badges: newCache[string, badgeFacts](maxBadges),
	}
	var err error
	if p.seal, err = newSeal(c.Secret); err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	if err := p.loadAssets(); err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	if p.templates, err = template.New("").Funcs(p.funcs()).ParseFS(files, "templates/*.html"); err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	p.policy = policy()
	return p.routes(), nil
}

func (p *pages) routes() http.Handler {
	mux := http.NewServeMux()
	read := func(pattern string, h func(http.ResponseWriter, *http.Request, *reader) error) {
		mux.Handle("GET "+pattern, p.page(h))
	}
	read("/{$}", p.runs)
	read("/runs/{id}", p.run)
	read("/runs/{id}/events", p.runEvents)
	read("/runs/{id}/jobs/{job}", p.job)
	read("/runs/{id}/jobs/{job}/events", p.jobEvents)
	read("/runs/{id}/jobs/{job}/log", p.download)
	read("/hosts", p.hosts)
	read("/repos/{owner}/{repo}/flaky", p.flaky)
	read("/", func(http.ResponseWriter, *http.Request, *reader) error { return errNotFound })
	mux.HandleFunc("GET /badge/{owner}/{repo}", p.badge)
	mux.HandleFunc("GET /static/{file}", p.static)
	mux.HandleFunc("GET /signin", p.signIn)
	mux.HandleFunc("GET "+callbackPath, p.signedIn)
	mux.HandleFunc("POST /signout", p.signOut)
	// Browsers say where a request comes from: nobody is signed out, or
	// anything else that is not a GET, by another site.
	return p.headers(http.NewCrossOriginProtection().Handler(mux))
}

// headers are on all answers.
func (p *pages) headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", p.policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin") // others need not know what is looked at
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "private, no-cache")
		h.Add("Vary", "Accept, Cookie")
		next.ServeHTTP(w, r)
	})
}

// policy allows what is served from here, and the one style sheet that is part
// of the graphs.
func policy() string {
	style := graphStyle()
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self'; style-src 'self' 'sha256-" +
		base64.StdEncoding.EncodeToString(sum[:]) + "'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
}

// graphStyle is the content of the style element of every graph.
func graphStyle() string {
	_, rest, _ := strings.Cut(string((&flow.Plan{}).SVG(nil)), "<style>")
	style, _, _ := strings.Cut(rest, "</style>")
	return style
}

// loadAssets gives each file a path that changes with its content, so that it
// can be kept for ever.
func (p *pages) loadAssets() error {
	p.assets, p.names = map[string]asset{}, map[string]string{}
	for name, kind := range map[string]string{
		"cromt.css": "text/css; charset=utf-8", "cromt.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml",
	} {
		data, err := files.ReadFile("static/" + name)
		if err != nil {
			return err
		}
		if name == "cromt.css" {
			data = append(data, palette()...)
		}
		sum := sha256.Sum256(data)
		base, ext, _ := strings.Cut(name, ".")
		hashed := base + "." + hex.EncodeToString(sum[:6]) + "." + ext
		p.assets[hashed], p.names[name] = asset{kind, data}, "/static/"+hashed
	}
	return nil
}

// palette are the 256 colours of terminals, by the classes that the library
// gives them.
func palette() []byte {
	var b []byte
	rule := func(n, r, g, bl int) {
		b = fmt.Appendf(b, ".term-fgx%d{color:#%02x%02x%02x}.term-bgx%d{background:#%02x%02x%02x}\n", n, r, g, bl, n, r, g, bl)
	}
	for n, c := range []int{
		0x484f58, 0xff7b72, 0x3fb950, 0xd29922, 0x58a6ff, 0xbc8cff, 0x39c5cf, 0xb1bac4,
		0x6e7681, 0xffa198, 0x56d364, 0xe3b341, 0x79c0ff, 0xd2a8ff, 0x56d4dd, 0xffffff,
	} {
		rule(n, c>>16, c>>8&255, c&255)
	}
	level := func(n int) int { return min(n, 1)*55 + n*40 }
	for n := range 216 {
		rule(16+n, level(n/36), level(n/6%6), level(n%6))
	}
	for n := range 24 {
		rule(232+n, 8+n*10, 8+n*10, 8+n*10)
	}
	return b
}

func (p *pages) static(w http.ResponseWriter, r *http.Request) {
	a, ok := p.assets[r.PathValue("file")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", a.kind)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(a.data) // who does not take it is gone
}

// secure reports whether browsers reach the pages by https.
func (p *pages) secure() bool { return strings.HasPrefix(p.PublicURL, "https:") }

// repoURL is a page of GitHub about a repository, whose name is a stranger's.
func (p *pages) repoURL(repo string, more ...string) string {
	parts := strings.Split(repo, "/")
	parts = append(parts, more...)
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return p.GitHub.WebURL() + "/" + strings.Join(parts, "/")
}

func runURL(run string) string { return "/runs/" + url.PathEscape(run) }

func jobURL(run, job string) string { return runURL(run) + "/jobs/" + url.PathEscape(job) }
