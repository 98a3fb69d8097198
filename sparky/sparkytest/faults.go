package sparkytest

import (
	"io"
	"net/http"
	"net/http/httptest"
)

// Fault is something that goes wrong with one request.
type Fault int

// The faults.
const (
	NoFault     Fault = iota
	ResetBefore       // the connection breaks before the host has read the request
	ResetAfter        // the host does what it is asked for; the connection breaks before it answers
	Status500         // 500 without doing it
	After500          // 500 after doing it
	NotFound          // 404
	Hang              // no answer until the client gives up
	HangAfter         // the host does what it is asked for; no answer until the client gives up
	Garbage           // 200 with nonsense
	Truncated         // the answer breaks off in the middle
	ErrorIn200        // 200 with an error, without doing it
)

// WithFaults puts faults before h: decide is asked for each request, and may
// be called by several goroutines.
func WithFaults(h http.Handler, decide func(*http.Request) Fault) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch decide(r) {
		case NoFault:
			h.ServeHTTP(w, r)
		case ResetBefore:
			panic(http.ErrAbortHandler)
		case ResetAfter:
			h.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		case Status500:
			w.WriteHeader(http.StatusInternalServerError)
		case After500:
			h.ServeHTTP(httptest.NewRecorder(), r)
			w.WriteHeader(http.StatusInternalServerError)
		case ErrorIn200:
			sayError(w, "Error X::AdHoc, : , Failed to open file: No space left on device")
		case NotFound:
			w.WriteHeader(http.StatusNotFound)
		case Hang:
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		case HangAfter:
			h.ServeHTTP(httptest.NewRecorder(), r)
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		case Garbage:
			_, _ = io.WriteString(w, "1\n1<html>")
		case Truncated:
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, r)
			w.Header().Set("Content-Length", "1000000")
			_, _ = w.Write(rec.Body.Bytes())
			panic(http.ErrAbortHandler)
		}
	})
}
