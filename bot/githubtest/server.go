package githubtest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Server is a fake of GitHub's REST API. Its methods may be called at any time
// from any goroutine.
type Server struct {
	t   testing.TB
	api *description
	ops map[string]operation

	listen  sync.Once
	url     string
	faultMu sync.Mutex
	fault   func(r *http.Request, n int) *Fault

	mu         sync.Mutex // guards all below, and what it leads to
	lastID     int64
	repos      map[string]*Repo // by full name in lower case
	tokens     map[string]*token
	users      map[string]int64 // ids by login
	sums       map[string]string
	requests   []*Request
	violations []Violation
	banned     bool

	apps          []*app
	installations []*installation
	deliveries    []Delivery
	person        *Person // who sits at the browser; nil: nobody
	codes         map[string]*grant
	redelivered   []int64
	unlimited     bool
	made          map[string]*madeApp // by code
	nobody        *limiter            // of requests without a token
}

// New returns a server that knows nothing yet. Violations that are left when
// the test ends fail it.
func New(t testing.TB) *Server {
	t.Helper()
	api, err := loadDescription()
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, api: api, ops: operations(), repos: map[string]*Repo{}, tokens: map[string]*token{}, users: map[string]int64{}, sums: map[string]string{}, codes: map[string]*grant{}, made: map[string]*madeApp{}, nobody: &limiter{perHour: anonymousHourLimit}}
	t.Cleanup(func() {
		for _, v := range s.Violations() {
			t.Errorf("github: %s", v)
		}
	})
	return s
}

// URL starts the server on a loopback port at the first call, until the test
// ends, and returns its address without a slash at the end. For processes; in a
// synctest bubble use Transport.
func (s *Server) URL() string {
	s.listen.Do(func() {
		h := httptest.NewServer(s)
		s.url = h.URL
		s.t.Cleanup(h.Close)
	})
	return s.url
}

// NoLimits gives the limits up, for a test that has the restarts of a year in a
// minute: each process that starts wants tokens of its own.
func (s *Server) NoLimits() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unlimited = true
}

// Transport serves requests to any host in the goroutine that sends them: no
// network, no goroutine.
func (s *Server) Transport() http.RoundTripper { return transport{s} }

type transport struct{ s *Server }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(r.Context())
	in.Body, in.Host, in.RequestURI = http.NoBody, r.URL.Host, r.URL.RequestURI()
	if r.Body != nil {
		in.Body = r.Body
		defer r.Body.Close()
	}
	if _, given := in.Header["User-Agent"]; !given {
		in.Header.Set("User-Agent", "Go-http-client/1.1") // as net/http does
	}
	w := httptest.NewRecorder()
	if err := t.s.serve(w, in); err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.Method, r.URL.Path, err)
	}
	res := w.Result()
	res.Request = r
	return res, nil
}

// ServeHTTP serves the API below / and, as GitHub Enterprise does, /api/v3/.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := s.serve(w, r); err != nil {
		panic(http.ErrAbortHandler) // ends the connection without an answer
	}
}

// serve answers a request, or says why it is not answered.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequestBodySize))
	if err != nil {
		return fmt.Errorf("request body read: %w", err)
	}
	if strings.TrimSpace(string(body)) == "null" {
		body = nil // some clients send no body so
	}
	r = below(r)
	if strings.HasPrefix(r.URL.Path, "/login/oauth/") {
		return s.serveSignIn(w, r, body)
	}
	rec, n := s.record(r, body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	f := s.faultOf(r, n)
	if f.DropBefore {
		return errDropped
	}
	tok, refused := s.admit(rec, r)
	if tok != nil {
		defer s.leave(tok)
	}
	if err := f.wait(r.Context()); err != nil {
		return err
	}
	a := refused
	if a == nil && f.Status == 0 {
		a = s.handle(rec, tok, r, body)
	}
	return s.reply(w, rec, tok, a, f)
}

// below is r with the path that the API has on its own host.
func below(r *http.Request) *http.Request {
	const enterprise = "/api/v3"
	r = r.Clone(r.Context())
	u := *r.URL
	if strings.HasPrefix(u.Path, enterprise+"/") {
		u.Path, u.RawPath = strings.TrimPrefix(u.Path, enterprise), strings.TrimPrefix(u.RawPath, enterprise)
	}
	if u.Host == "" {
		u.Scheme, u.Host = "http", r.Host
	}
	r.URL = &u
	return r
}

func (s *Server) record(r *http.Request, body []byte) (*Request, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	query, _ := url.ParseQuery(r.URL.RawQuery)
	rec := &Request{Time: time.Now(), Method: r.Method, Path: r.URL.Path, Query: query, Body: string(body), Token: credential(r)}
	s.requests = append(s.requests, rec)
	return rec, len(s.requests)
}

// admit authenticates a request and counts it. An answer: it is refused.
func (s *Server) admit(rec *Request, r *http.Request) (*token, *answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tok, refused := s.authenticate(rec.Token, rec.Time)
	if rec.Token == "" && strings.HasPrefix(rec.Path, "/app-manifests/") {
		tok, refused = s.anonymous(), nil // the code is what signs in
	}
	if refused != nil {
		s.violate(rec, refused.broken...)
		return nil, refused
	}
	if s.unlimited {
		tok.limits.running++
		return tok, nil
	}
	if tok.limits.inForce(rec.Time) {
		s.banned = true
		s.violate(rec, fmt.Sprintf("sent while the last answer says to wait until %s", tok.limits.until.UTC().Format(time.RFC3339)))
	}
	refused = tok.limits.admit(rec.Time, r)
	tok.limits.running++
	return tok, refused
}

func (s *Server) leave(tok *token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tok.limits.running--
}

// reply sends an answer, or the fault that takes its place.
func (s *Server) reply(w http.ResponseWriter, rec *Request, tok *token, a *answer, f Fault) error {
	body, contentType := []byte(f.Body), "application/json; charset=utf-8"
	if a == nil {
		a = &answer{status: f.Status}
	} else {
		body = a.bytes()
	}
	if a.raw != nil {
		contentType = "application/vnd.github.raw+json; charset=utf-8"
	}
	if f.Garbage {
		body, contentType = []byte(garbage), "text/html"
	}
	h := w.Header()
	if len(body) > 0 || a.raw != nil {
		h.Set("Content-Type", contentType)
	}
	for _, add := range []http.Header{a.header, f.Header} {
		for name, values := range add {
			h[http.CanonicalHeaderKey(name)] = values
		}
	}
	s.mu.Lock()
	if tok != nil {
		tok.limits.headers(h)
		tok.limits.obey(time.Now(), a.status, h)
	}
	if !f.DropAfter {
		rec.Status = a.status
	}
	s.mu.Unlock()
	if f.DropAfter {
		return errDropped
	}
	if f.Truncated {
		h.Set("Content-Length", strconv.Itoa(len(body)+1))
		body = body[:len(body)/2]
	}
	w.WriteHeader(a.status)
	if len(body) == 0 {
		return nil
	}
	_, err := w.Write(body)
	if err == nil && f.Truncated {
		err = errDropped
		_ = http.NewResponseController(w).Flush() // what there is arrives
	}
	return err
}

// nextID numbers everything that has an id. The caller holds the lock.
func (s *Server) nextID() int64 {
	s.lastID++
	return s.lastID
}
