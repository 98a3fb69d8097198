package members

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// The beginnings of tokens say what they are, to people and to programs that
// look for secrets where they should not be.
const (
	oneTimePrefix  = "cromt-join-"
	reusablePrefix = "cromt-pool-"
)

// claims are what a one-time token says.
type claims struct {
	Pool    string `json:"p"`
	Expires int64  `json:"e"` // Unix seconds
	ID      string `json:"i"`
}

// NewToken makes a one-time token for a pool, signed with the pool's key.
func NewToken(key []byte, pool string, expires time.Time) (string, error) {
	body, err := json.Marshal(claims{Pool: pool, Expires: expires.Unix(), ID: rand.Text()})
	if err != nil {
		return "", err
	}
	enc := base64.RawURLEncoding
	return oneTimePrefix + enc.EncodeToString(body) + "." + enc.EncodeToString(sign(key, body)), nil
}

// NewReusable makes a token that is used again and again, and its sum for
// join_token_sha256.
func NewReusable() (token, sum string) {
	token = reusablePrefix + rand.Text() + rand.Text()
	return token, Sum(token)
}

// Sum is the SHA-256 sum of a token or a credential, in hex.
func Sum(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// sign binds the signature to its use, in case that the key has others.
func sign(key, body []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("cromt join token\x00"))
	mac.Write(body)
	return mac.Sum(nil)
}

var errToken = errors.New("the token is not one of this pool; make another with cromt token")

// checkToken checks a token for a pool at that time. A one-time token has
// claims. Every comparison takes the same time, whatever is compared.
func (p *Pool) checkToken(token string, now time.Time) (*claims, error) {
	if text, ok := strings.CutPrefix(token, oneTimePrefix); ok && len(p.JoinKey) > 0 {
		return p.checkOneTime(text, now)
	}
	sum, known := Sum(token), 0
	for _, s := range p.JoinSums {
		known |= subtle.ConstantTimeCompare([]byte(sum), []byte(s))
	}
	if known == 0 {
		return nil, errToken
	}
	return nil, nil //nolint:nilnil // documented: a token that has no claims
}

func (p *Pool) checkOneTime(text string, now time.Time) (*claims, error) {
	enc := base64.RawURLEncoding.Strict()
	body, mac, _ := strings.Cut(text, ".")
	data, err := enc.DecodeString(body)
	if err != nil {
		return nil, errToken
	}
	got, err := enc.DecodeString(mac)
	if err != nil || !hmac.Equal(got, sign(p.JoinKey, data)) {
		return nil, errToken
	}
	c := new(claims)
	if err := json.Unmarshal(data, c); err != nil || c.Pool != p.Name || c.ID == "" {
		return nil, errToken
	}
	if expires := time.Unix(c.Expires, 0); !now.Before(expires) {
		return nil, fmt.Errorf("the token has expired at %s; make another with cromt token", expires.UTC().Format(time.RFC3339))
	}
	return c, nil
}
