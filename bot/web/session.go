package web

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"time"
)

// seal encrypts what browsers keep for us: they can neither read nor change
// it, and every replica can open it.
type seal struct{ aead cipher.AEAD }

// errSeal is all that is said of what is not ours.
var errSeal = errors.New("cookie open: it is not from here, or too old")

func newSeal(secret []byte) (*seal, error) {
	if len(secret) == 0 {
		return nil, errors.New("session key: the secret that it is derived from is empty")
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "cromt pages 1", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return &seal{aead}, err
}

// close returns v as text for a cookie of that name.
func (s *seal) close(name string, v any) (string, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(nil, nil, plain, []byte(name))), nil
}

// open is the other way round. What was made for another name does not open.
func (s *seal) open(name, text string, v any) error {
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return errSeal
	}
	plain, err := s.aead.Open(nil, nil, sealed, []byte(name))
	if err != nil || json.Unmarshal(plain, v) != nil {
		return errSeal
	}
	return nil
}

// session is somebody who has signed in.
type session struct {
	Login   string    `json:"l"`
	Token   string    `json:"t"` // of GitHub
	Expires time.Time `json:"e"`
}

// attempt is somebody who is about to sign in.
type attempt struct {
	State    string    `json:"s"`
	Verifier string    `json:"v"`
	Next     string    `json:"n"` // where they want to go
	Expires  time.Time `json:"e"`
}

const (
	sessionCookie = "cromt"
	attemptCookie = "cromt-signin"
)

// cookieName is the cookie's name in the browser: with https it is one that
// no other host, and no http, can set.
func (p *pages) cookieName(name string) string {
	if p.secure() {
		return "__Host-" + name
	}
	return name
}

// setCookie has the browser keep a value; nil: none any more.
func (p *pages) setCookie(w http.ResponseWriter, name string, v any, life time.Duration) error {
	c := &http.Cookie{
		Name: p.cookieName(name), Path: "/", MaxAge: int(life / time.Second), Secure: p.secure(), HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
	if v == nil {
		c.MaxAge = -1
	} else {
		var err error
		if c.Value, err = p.seal.close(name, v); err != nil {
			return err
		}
	}
	http.SetCookie(w, c)
	return nil
}

func (p *pages) cookie(r *http.Request, name string, v any) error {
	c, err := r.Cookie(p.cookieName(name))
	if err != nil {
		return errSeal
	}
	return p.seal.open(name, c.Value, v)
}

// session returns who has signed in; nil: nobody.
func (p *pages) session(r *http.Request) *session {
	var s session
	if p.cookie(r, sessionCookie, &s) != nil || !time.Now().Before(s.Expires) {
		return nil
	}
	return &s
}

// random returns a text that nobody can guess.
func random() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // it does not fail
	return base64.RawURLEncoding.EncodeToString(b[:])
}
