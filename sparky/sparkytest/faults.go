package sparkytest

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"time"
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
	HalfClose         // the host does what it is asked for, answers by half and sends no more on a connection that stays
	Trickle           // the answer comes a byte at a time
	Twice             // the request reaches the host twice; the second answer is given
)

var faultNames = [...]string{
	"none", "reset before", "reset after", "500", "500 after", "404", "hang", "hang after", "garbage", "truncated",
	"error in a 200", "half-close", "trickle", "twice",
}

func (f Fault) String() string { return faultNames[f] }

// tricklePause is between two bytes of an answer that trickles.
const tricklePause = time.Millisecond

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
		case HalfClose:
			halfClose(w, wireAnswer(h, r))
		case Trickle:
			trickle(w, wireAnswer(h, r))
		case Twice:
			body, _ := io.ReadAll(r.Body)
			first := r.Clone(r.Context())
			first.Body = io.NopCloser(bytes.NewReader(body))
			r.Body = io.NopCloser(bytes.NewReader(body))
			h.ServeHTTP(httptest.NewRecorder(), first)
			h.ServeHTTP(w, r)
		}
	})
}

// wireAnswer is the answer of h as it goes over the wire.
func wireAnswer(h http.Handler, r *http.Request) []byte {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	var wire bytes.Buffer
	fmt.Fprintf(&wire, "HTTP/1.1 %d %s\r\nContent-Length: %d\r\nConnection: close\r\n", rec.Code, http.StatusText(rec.Code), rec.Body.Len())
	_ = rec.Header().Write(&wire) // a Buffer takes everything
	wire.WriteString("\r\n")
	_, _ = rec.Body.WriteTo(&wire)
	return wire.Bytes()
}

// hijack takes the connection from the server.
func hijack(w http.ResponseWriter) net.Conn {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	return conn
}

func halfClose(w http.ResponseWriter, wire []byte) {
	conn := hijack(w)
	defer conn.Close()
	_, _ = conn.Write(wire[:len(wire)/2])
	if c, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
		_, _ = io.Copy(io.Discard, conn) // until the client closes, too
	}
}

func trickle(w http.ResponseWriter, wire []byte) {
	conn := hijack(w)
	defer conn.Close()
	for i := range wire {
		time.Sleep(tricklePause)
		if _, err := conn.Write(wire[i : i+1]); err != nil {
			return
		}
	}
}
