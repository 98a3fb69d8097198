package tunnel

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// JoinPath is where an agent joins a pool.
const JoinPath = "/agents/join"

// JoinRequest is what an agent sends to join a pool, with a token of that pool
// as its bearer. Sent twice it is one: the answer may get lost.
type JoinRequest struct {
	Pool string `json:"pool"`
	Name string `json:"name"`
	// CredentialSHA256, in hex, is the sum of what the agent will prove with
	// that it is the one that has joined. The agent has made it itself.
	CredentialSHA256 string `json:"credential_sha256"`
}

// Check says what is wrong with j.
func (j *JoinRequest) Check() error {
	h := Hello{Pool: j.Pool, Name: j.Name, Slots: 1}
	if err := h.Check(); err != nil {
		return err
	}
	if len(j.CredentialSHA256) != 64 {
		return errors.New("credential_sha256: must have 64 hexadecimal digits")
	}
	for _, c := range []byte(j.CredentialSHA256) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return errors.New("credential_sha256: must have 64 hexadecimal digits")
		}
	}
	return nil
}

// Join joins a pool of the orchestrator at the URL with a token. The error is
// an ErrRefused when another try with that token cannot help.
func Join(ctx context.Context, url string, ca *x509.CertPool, token string, j JoinRequest) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	body, err := json.Marshal(j)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+JoinPath, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "cromt")
	client := &http.Client{
		// A redirect would carry the token elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: ca},
			DisableKeepAlives: true, MaxResponseHeaderBytes: maxAnswer,
		},
	}
	resp, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("join: %w", err)
	}
	defer resp.Body.Close()
	switch {
	case readReplicas(resp.Header).Self == "":
		return fmt.Errorf("join: %s answered %d, and is no cromt, or one that has no pools to join", url, resp.StatusCode)
	case resp.StatusCode == http.StatusNoContent:
		return nil
	}
	why, _ := io.ReadAll(io.LimitReader(resp.Body, 500)) // a part will do
	err = fmt.Errorf("join: HTTP %d: %s", resp.StatusCode, printable(why))
	if resp.StatusCode >= 400 && resp.StatusCode < 500 && resp.StatusCode != http.StatusConflict {
		err = fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return err
}
