package sparky_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/sparkytest"
)

func TestNewClientRefuses(t *testing.T) {
	for _, c := range []sparky.HostConfig{
		{URL: ""}, {URL: "host:4000"}, {URL: "ftp://host"}, {URL: "http://"}, {URL: "http://user:hunter2@host:4000"}, {URL: "http://host?token=hunter2"},
		{URL: "http://host", Token: "hunter2\n"}, {URL: "https://host", CA: []byte("no certificate")},
	} {
		_, err := sparky.NewClient(c)
		if err == nil {
			t.Errorf("%+v was taken", c)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("a secret is in %q", err)
		}
	}
}

// answering is a host that gives the same answer to everything.
func answering(t *testing.T, status int, body string) *sparky.Client {
	t.Helper()
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if status/100 == 3 {
			w.Header().Set("Location", "http://elsewhere/")
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
	return client(t, h)
}

func client(t *testing.T, h http.Handler) *sparky.Client {
	t.Helper()
	c, err := sparky.NewClient(sparky.HostConfig{URL: testHost, Token: "hunter2", Dial: sparkytest.Serve(t, h)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdle)
	return c
}

func TestStatusIsStrict(t *testing.T) {
	for body, want := range map[string]sparky.Code{"-2": -2, "0": 0, "1": 1, "-1": -1, "-11": -11} {
		if got, err := answering(t, 200, body).Status(t.Context(), "p", "j"); err != nil || got != want {
			t.Errorf("%q: %d, %v", body, got, err)
		}
	}
	for _, body := range []string{"", "1\n", "1\n1", " 1", "+1", "01", "2", "-3", "1.0", "ok", "<html>", strings.Repeat("1", 1<<20)} {
		if got, err := answering(t, 200, body).Status(t.Context(), "p", "j"); sparky.KindOf(err) != sparky.KindAmbiguous {
			t.Errorf("%.20q: %d, %v", body, got, err)
		}
	}
}

func TestAnswersByStatus(t *testing.T) {
	for status, want := range map[int]sparky.Kind{
		302: sparky.KindRefused, 400: sparky.KindRefused, 401: sparky.KindRefused, 403: sparky.KindRefused, 404: sparky.KindNotFound, 409: sparky.KindRefused,
		413: sparky.KindRefused, 429: sparky.KindServer, 500: sparky.KindServer, 503: sparky.KindServer, 204: sparky.KindAmbiguous,
	} {
		body := "said hunter\x1b[31m"
		if status == 204 {
			body = ""
		}
		_, err := answering(t, status, body).Status(t.Context(), "p", "j")
		if sparky.KindOf(err) != want {
			t.Errorf("%d: %v is %d, want %d", status, err, sparky.KindOf(err), want)
		}
		if strings.ContainsAny(err.Error(), "\x1b\n") {
			t.Errorf("control characters in %q", err)
		}
	}
}

func TestQueueIsStrict(t *testing.T) {
	req := sparky.QueueRequest{Config: sparky.QueueConfig{Project: "p", JobID: "j"}, Trigger: []byte("{}"), SparrowdoConfig: []byte("{}")}
	if _, err := answering(t, 200, `{"job-id":"j","project":"p"}`).Queue(t.Context(), req); err != nil {
		t.Error(err)
	}
	for body, want := range map[string]sparky.Kind{
		`{"error":"Error X::AdHoc, : , no space left on device"}`: sparky.KindServer,
		`{"project":"p","job-id":"other"}`:                        sparky.KindAmbiguous,
		`{"project":null,"job-id":"j"}`:                           sparky.KindAmbiguous,
		`{"project":"p"}`:                                         sparky.KindAmbiguous,
		`[]`:                                                      sparky.KindAmbiguous,
		``:                                                        sparky.KindAmbiguous,
		`{"project":"p","job-id":"j"`:                             sparky.KindAmbiguous,
		`{"project":"p","job-id":"` + strings.Repeat("j", 2<<20): sparky.KindAmbiguous,
	} {
		if _, err := answering(t, 200, body).Queue(t.Context(), req); sparky.KindOf(err) != want {
			t.Errorf("%.60s: %v", body, err)
		}
	}
	bad := req
	bad.Config.Project = "../evil"
	if _, err := answering(t, 200, `{"job-id":"j","project":"../evil"}`).Queue(t.Context(), bad); sparky.KindOf(err) != sparky.KindRefused {
		t.Errorf("a bad name: %v", err)
	}
}

func TestWaitIsStrict(t *testing.T) {
	for _, body := range []string{
		`{}`, `{"state":7}`, `{"state":"0"}`, `{"state":0,"log":"AAAA","offset":1,"log_size":3}`, `{"state":0,"offset":9,"log_size":3}`, `{"state":0,"log":"!"}`, `null`, `1`,
	} {
		if js, err := answering(t, 200, body).Wait(t.Context(), "p", "j", 0, 5, time.Second); sparky.KindOf(err) != sparky.KindAmbiguous {
			t.Errorf("%s: %+v, %v", body, js, err)
		}
	}
}

func TestHello(t *testing.T) {
	if h, err := answering(t, 404, "").Hello(t.Context()); h != nil || err != nil {
		t.Errorf("a real Sparky: %v, %v", h, err)
	}
	if h, err := answering(t, 200, "<html>a web server</html>").Hello(t.Context()); err == nil {
		t.Errorf("a web server: %v", h)
	}
}

// expired returns a host whose certificate, its own CA, was good until yesterday.
func expired(t *testing.T) (*httptest.Server, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().AddDate(0, 0, -2), NotAfter: time.Now().AddDate(0, 0, -1),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestTLS(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "1") }))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.TLS = &tls.Config{MaxVersion: tls.VersionTLS12, NextProtos: []string{}} // as a real Sparky
	srv.StartTLS()
	t.Cleanup(srv.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	past, pastCA := expired(t)
	plain := strings.Replace(srv.URL, "https:", "http:", 1)
	clear := httptest.NewServer(srv.Config.Handler)
	t.Cleanup(clear.Close)
	tests := []struct {
		name string
		host sparky.HostConfig
		kind sparky.Kind // 0: no error
		text string
	}{
		{"unknown certificate", sparky.HostConfig{URL: srv.URL}, sparky.KindUntrusted, "insecure_skip_verify"},
		{"own CA", sparky.HostConfig{URL: srv.URL, CA: ca}, 0, ""},
		{"not verified", sparky.HostConfig{URL: srv.URL, InsecureSkipVerify: true}, 0, ""},
		{"expired", sparky.HostConfig{URL: past.URL, CA: pastCA}, sparky.KindUntrusted, "expired"},
		{"another name", sparky.HostConfig{URL: strings.Replace(srv.URL, "127.0.0.1", "localhost", 1), CA: ca}, sparky.KindUntrusted, ""},
		{"http to a TLS port", sparky.HostConfig{URL: plain}, sparky.KindRefused, ""},
		{"https to a plain port", sparky.HostConfig{URL: strings.Replace(clear.URL, "http:", "https:", 1)}, sparky.KindUntrusted, "http://"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := sparky.NewClient(tt.host)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.CloseIdle)
			_, err = c.Status(t.Context(), "p", "j")
			if sparky.KindOf(err) != tt.kind || err != nil && !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%v, kind %d, want %d", err, sparky.KindOf(err), tt.kind)
			}
		})
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	c := client(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/followed" {
			t.Error("the redirect was followed, token and all")
		}
		http.Redirect(w, r, "/followed", http.StatusTemporaryRedirect)
	}))
	if _, err := c.Status(t.Context(), "p", "j"); sparky.KindOf(err) != sparky.KindRefused || !strings.Contains(err.Error(), "redirect") {
		t.Error(err)
	}
}

func TestRequestsAreWhatSparkyTakes(t *testing.T) {
	c := client(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the one that breaks off
		}
		if r.Header.Get("Expect") != "" || r.Header.Get("Token") != "hunter2" || r.ContentLength != int64(len(body)) {
			t.Errorf("%s %s: %v, length %d of %d", r.Method, r.URL, r.Header, r.ContentLength, len(body))
		}
		_, _ = io.WriteString(w, `{"path":"/x"}`)
	}))
	for _, size := range []int{0, 1, 3 << 20} {
		if err := c.PutFile(t.Context(), "p", "j", "f", bytes.NewReader(make([]byte, size)), int64(size)); err != nil {
			t.Error(err)
		}
	}
	if err := c.PutFile(t.Context(), "p", "j", "f", strings.NewReader("short"), 100); err == nil {
		t.Error("a file that is shorter than announced was put")
	}
}

// TestHangingHosts: every call ends, and says so.
func TestHangingHosts(t *testing.T) {
	calls := map[string]func(*testing.T, *sparky.Client) error{
		"status": func(t *testing.T, c *sparky.Client) error { _, err := c.Status(t.Context(), "p", "j"); return err },
		"hello":  func(t *testing.T, c *sparky.Client) error { _, err := c.Hello(t.Context()); return err },
		"wait": func(t *testing.T, c *sparky.Client) error {
			_, err := c.Wait(t.Context(), "p", "j", 0, 0, sparky.MaxWait)
			return err
		},
		"report": func(t *testing.T, c *sparky.Client) error { return drain(c.Report(t.Context(), "p", "j")) },
		"get": func(t *testing.T, c *sparky.Client) error {
			body, _, err := c.GetFile(t.Context(), "p", "j", "f")
			return drain(body, err)
		},
		"put": func(t *testing.T, c *sparky.Client) error {
			return c.PutFile(t.Context(), "p", "j", "f", bytes.NewReader(make([]byte, 1<<20)), 1<<20)
		},
		"stash":  func(t *testing.T, c *sparky.Client) error { return c.PutStash(t.Context(), "p", "j", map[string]int{}) },
		"cancel": func(t *testing.T, c *sparky.Client) error { return c.Cancel(t.Context(), "p", "j") },
	}
	hosts := map[string]http.HandlerFunc{
		"no answer": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		},
		"half an answer": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, "0")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
	}
	for hostName, h := range hosts {
		for name, call := range calls {
			t.Run(hostName+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					begun := time.Now()
					err := call(t, client(t, h))
					if sparky.KindOf(err) != sparky.KindAmbiguous {
						t.Errorf("%v", err)
					}
					if took := time.Since(begun); took < time.Second || took > 2*time.Minute {
						t.Errorf("it took %v", took)
					}
				})
			})
		}
	}
}

func drain(r io.ReadCloser, err error) error {
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(io.Discard, r)
	return err
}

// TestSlowFileGoesOn: a transfer may take as long as it moves.
func TestSlowFileGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := client(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for i := range 20 {
				fmt.Fprintf(w, "part %d\n", i)
				w.(http.Flusher).Flush()
				time.Sleep(30 * time.Second) // virtual
			}
		}))
		body, _, err := c.GetFile(t.Context(), "p", "j", "f")
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
		text, err := io.ReadAll(body)
		if err != nil || !strings.HasSuffix(string(text), "part 19\n") {
			t.Errorf("%q, %v", text, err)
		}
	})
}
