package sparky_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
)

// hostUnderPaths answers as our agent does, below any path; every job has
// ended, and has printed the token that it was posted with.
func hostUnderPaths(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch {
	case strings.HasSuffix(r.URL.Path, "/cromt"):
		_ = json.NewEncoder(w).Encode(sparky.Hello{Agent: "test", Version: 1, MaxJobs: 4})
	case strings.HasSuffix(r.URL.Path, "/queue"):
		var q sparky.QueueRequest
		_ = json.NewDecoder(r.Body).Decode(&q)
		_ = json.NewEncoder(w).Encode(sparky.QueueAnswer{Project: q.Config.Project, JobID: q.Config.JobID})
	default:
		text := "token " + r.Header.Get("Token") + "\n"
		n := int64(len(text))
		_ = json.NewEncoder(w).Encode(sparky.JobStatus{State: sparky.CodeOK, StartedAt: time.Now(), CompletedAt: time.Now(), Log: []byte(text), Offset: n, LogSize: n})
	}
}

// Hosts share what they have in common, and not whom they trust.
func TestHostsShareNoTrust(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(hostUnderPaths))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	for _, order := range []string{"ca none unverified", "unverified none ca", "none unverified none"} {
		e := sparky.NewExecutor(sparky.ExecutorConfig{Host: func(url string) (sparky.HostConfig, error) {
			c := sparky.HostConfig{URL: url, InsecureSkipVerify: strings.HasSuffix(url, "unverified")}
			if strings.HasSuffix(url, "ca") {
				c.CA = ca
			}
			return c, nil
		}})
		for name := range strings.FieldsSeq(order) {
			err := e.Probe(t.Context(), srv.URL+"/"+name)
			if untrusted := sparky.KindOf(err) == sparky.KindUntrusted; untrusted != (name == "none") || !untrusted && err != nil {
				t.Errorf("%s of %s: %v", name, order, err)
			}
		}
		e.Close()
	}
}

// The token of each host is masked in what comes from there.
func TestHostsShareNoMask(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(hostUnderPaths))
	t.Cleanup(srv.Close)
	e := sparky.NewExecutor(sparky.ExecutorConfig{Host: func(url string) (sparky.HostConfig, error) {
		return sparky.HostConfig{URL: url, Token: "t0ken-of-" + url[strings.LastIndexByte(url, '/')+1:]}, nil
	}})
	defer e.Close()
	for _, name := range []string{"host-a", "host-b", "host-a"} {
		a := attempt("j-"+name, "hello")
		a.Job.Host, a.Job.Source = srv.URL+"/"+name, flow.Source{Kind: flow.SourceDir, Dir: "/"}
		var text strings.Builder
		if res, err := e.Exec(t.Context(), a, &text); err != nil || res.Conclusion != flow.Success || text.String() != "token ***\n" {
			t.Errorf("%s: %+v, %v, log %q", name, res, err, &text)
		}
	}
}

// What is given up by the last who waits at the moment at which it ends is
// either kept or done anew.
func TestSharedGivenUpAtItsEnd(t *testing.T) {
	for range 1000 {
		var s sparky.Shared
		ctx, cancel := context.WithCancel(t.Context())
		if n, err := s.Do(ctx, func(context.Context) (int, error) { cancel(); return 1, nil }); n != 1 && !errors.Is(err, context.Canceled) {
			t.Fatalf("%d, %v", n, err)
		}
		if n, err := s.Do(t.Context(), func(context.Context) (int, error) { return 1, nil }); n != 1 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
}
