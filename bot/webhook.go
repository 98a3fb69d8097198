package bot

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cromt/cromt/bot/event"
)

// Delivery is a webhook whose signature is right.
type Delivery struct {
	GUID       string // X-GitHub-Delivery: the same when GitHub sends it again
	Event      event.Event
	Payload    []byte
	ReceivedAt time.Time
}

// Webhook takes GitHub's deliveries: it verifies each, has it stored, and only
// then answers. Nothing else happens before the answer, for which GitHub waits
// 10 s. See
// https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries.
type Webhook struct {
	secret []byte
	accept func(ctx context.Context, d Delivery) (fresh bool, err error)
	log    *slog.Logger
	large  buffers
	// observe is told how each delivery ended; nil: nobody is.
	observe func(event, result string)
}

// NewWebhook returns a handler that gives deliveries to accept, which stores
// them durably and says whether they are new. An empty secret is refused:
// anybody could sign with it.
func NewWebhook(secret []byte, accept func(context.Context, Delivery) (bool, error), observe func(event, result string), log *slog.Logger) (*Webhook, error) {
	if len(bytes.TrimSpace(secret)) == 0 {
		return nil, errors.New("webhook secret is empty: anybody could send deliveries")
	}
	if observe == nil {
		observe = func(string, string) {}
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Webhook{secret: secret, accept: accept, observe: observe, log: log, large: newBuffers()}, nil
}

// refusal is an answer other than that the delivery was taken.
type refusal struct {
	status int
	result string // for metrics
	text   string // for whoever reads GitHub's list of deliveries
}

func (r *refusal) Error() string { return r.text }

// ServeHTTP implements [http.Handler].
func (h *Webhook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.Header.Get("X-GitHub-Event")
	d, err := h.read(w, r)
	switch {
	case err != nil:
	case name == "ping":
		err = &refusal{http.StatusOK, "ping", "pong"}
	case known(name) == "other":
		err = &refusal{http.StatusAccepted, "ignored", "nothing is done about this event"}
	}
	fresh := false
	if err == nil {
		ctx, cancel := context.WithTimeout(r.Context(), acceptTime)
		defer cancel()
		fresh, err = h.accept(ctx, d)
	}
	var no *refusal
	switch {
	case errors.As(err, &no):
		h.observe(known(name), no.result)
		http.Error(w, no.text, no.status)
	case err != nil: // GitHub lists it as failed, and it is asked for again
		h.observe(known(name), "failed")
		h.log.Error("delivery not stored", "delivery", d.GUID, "event", name, "error", err)
		http.Error(w, "not stored, try again", http.StatusServiceUnavailable)
	case !fresh:
		h.observe(name, "duplicate")
		w.WriteHeader(http.StatusOK)
		fmt.Fprintln(w, "duplicate")
	default:
		h.observe(name, "accepted")
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprintln(w, "accepted")
	}
}

// known is an event's name as a metric may have it: strangers choose others.
// The App subscribes to those that are here.
func known(name string) string {
	switch name {
	case "push", "pull_request", "issue_comment", "check_run", "check_suite", "merge_group", "installation", "installation_repositories", "ping":
		return name
	}
	return "other"
}

// read takes the body, if its signature is right, and what matters of it.
func (h *Webhook) read(w http.ResponseWriter, r *http.Request) (Delivery, error) {
	d := Delivery{GUID: r.Header.Get("X-GitHub-Delivery"), ReceivedAt: time.Now()}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return d, &refusal{http.StatusMethodNotAllowed, "refused", "webhooks are POSTed"}
	}
	signature, err := signatureOf(r)
	if err != nil {
		return d, err
	}
	if d.Payload, err = h.body(w, r, signature); err != nil {
		return d, err
	}
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		return d, &refusal{http.StatusUnsupportedMediaType, "refused", "set the webhook's content type to application/json"}
	}
	if d.GUID == "" || len(d.GUID) > maxGUID || strings.Trim(d.GUID, "0123456789abcdefABCDEF-") != "" {
		return d, &refusal{http.StatusBadRequest, "refused", "X-GitHub-Delivery is no GUID"}
	}
	d.Event, err = event.Parse(r.Header.Get("X-GitHub-Event"), d.Payload)
	if err != nil {
		return d, &refusal{http.StatusBadRequest, "refused", err.Error()}
	}
	return d, nil
}

// signatureOf is the signature of a request in the one form that GitHub has.
func signatureOf(r *http.Request) ([]byte, error) {
	text, ok := strings.CutPrefix(r.Header.Get("X-Hub-Signature-256"), "sha256=")
	signature, err := hex.DecodeString(text)
	if !ok || err != nil || len(signature) != sha256.Size || strings.ToLower(text) != text {
		return nil, &refusal{http.StatusUnauthorized, "forged", "X-Hub-Signature-256 is missing or malformed"}
	}
	return signature, nil
}

// body reads the body within limits of size, time and memory, and returns it
// if the signature is its own.
func (h *Webhook) body(w http.ResponseWriter, r *http.Request, signature []byte) ([]byte, error) {
	if r.ContentLength > MaxWebhook {
		return nil, errWebhookLarge
	}
	if enc := r.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return nil, &refusal{http.StatusUnsupportedMediaType, "refused", "the body is encoded"}
	}
	// A test's recorder has no connection to set a deadline of.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(webhookTime))
	body := http.MaxBytesReader(w, r.Body, MaxWebhook)
	if 0 <= r.ContentLength && r.ContentLength <= smallWebhook {
		data := make([]byte, r.ContentLength)
		if _, err := io.ReadFull(body, data); err != nil {
			return nil, errWebhookCut
		}
		return data, h.verify(data, signature)
	}
	buffer, release := h.large.take(r.Context())
	if buffer == nil {
		return nil, &refusal{http.StatusServiceUnavailable, "failed", "too many large deliveries at once"}
	}
	defer release()
	data, err := readInto(buffer[:], body)
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		return nil, errWebhookLarge
	case err != nil || r.ContentLength >= 0 && int64(len(data)) != r.ContentLength:
		return nil, errWebhookCut
	}
	if err := h.verify(data, signature); err != nil {
		return nil, err
	}
	return bytes.Clone(data), nil
}

var (
	errWebhookLarge = &refusal{http.StatusRequestEntityTooLarge, "refused", "the body is larger than 25 MB"}
	errWebhookCut   = &refusal{http.StatusBadRequest, "refused", "the body is incomplete"}
)

// buffers are what large bodies are read into, largeWebhooks in all: whoever
// sends them costs no more memory before the signature was found right.
type buffers struct {
	free    chan *[MaxWebhook]byte // nil: to be made
	waiting *atomic.Int32
}

func newBuffers() buffers {
	b := buffers{free: make(chan *[MaxWebhook]byte, largeWebhooks), waiting: new(atomic.Int32)}
	for range largeWebhooks {
		b.free <- nil
	}
	return b
}

// take returns a buffer and how to give it back, or nil when there was none
// for too long. One that nobody waits for is let go of.
func (b buffers) take(ctx context.Context) (buffer *[MaxWebhook]byte, release func()) {
	b.waiting.Add(1)
	defer b.waiting.Add(-1)
	select {
	case buffer = <-b.free:
	case <-ctx.Done():
		return nil, nil
	case <-time.After(webhookTime / 2):
		return nil, nil
	}
	if buffer == nil {
		buffer = new([MaxWebhook]byte)
	}
	return buffer, func() {
		if b.waiting.Load() == 0 {
			buffer = nil
		}
		b.free <- buffer
	}
}

// readInto reads all of r, which ends or fails before the buffer is too small.
func readInto(buffer []byte, r io.Reader) ([]byte, error) {
	for n := 0; ; {
		if n == len(buffer) { // full to the last byte: the next read says that it has ended, or that it is too large
			var one [1]byte
			if _, err := io.ReadFull(r, one[:]); !errors.Is(err, io.EOF) {
				return nil, err
			}
			return buffer, nil
		}
		k, err := r.Read(buffer[n:])
		if n += k; errors.Is(err, io.EOF) {
			return buffer[:n], nil
		} else if err != nil {
			return nil, err
		}
	}
}

// verify returns an error unless the signature is that of the data.
func (h *Webhook) verify(data, signature []byte) error {
	mac := hmac.New(sha256.New, h.secret)
	mac.Write(data)
	if !hmac.Equal(mac.Sum(nil), signature) {
		return &refusal{http.StatusUnauthorized, "forged", "the signature is wrong: is the secret the App's?"}
	}
	return nil
}
