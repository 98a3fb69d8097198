package githubtest

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// appToken is the token that an App's JWT amounts to, or the refusal.
func (s *Server) appToken(jwt string, now time.Time) (*token, *answer) {
	undecoded := refusal(http.StatusUnauthorized, "A JSON web token could not be decoded")
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		return nil, undecoded
	}
	var header struct {
		Alg string `json:"alg"`
	}
	var claims struct {
		Issuer  json.RawMessage `json:"iss"` // a number, or the same as a string
		Issued  float64         `json:"iat"`
		Expires float64         `json:"exp"`
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || !decodePart(parts[0], &header) || !decodePart(parts[1], &claims) || header.Alg != "RS256" {
		return nil, undecoded
	}
	a := s.appByIssuer(strings.Trim(string(claims.Issuer), `"`))
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if a == nil || rsa.VerifyPKCS1v15(a.key, crypto.SHA256, digest[:], signature) != nil {
		return nil, undecoded
	}
	expires, issued := time.Unix(int64(claims.Expires), 0), time.Unix(int64(claims.Issued), 0)
	switch {
	case expires.After(now.Add(maxJWTLife)):
		return nil, invalid(http.StatusUnauthorized, "'Expiration time' claim ('exp') is too far in the future")
	case !expires.After(now):
		return nil, refusal(http.StatusUnauthorized, "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires")
	case issued.After(now):
		return nil, refusal(http.StatusUnauthorized, "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued")
	}
	return &token{Token: Token{App: true, User: a.slug + "[bot]"}, limits: a.limits, app: a}, nil
}

func decodePart(part string, into any) bool {
	b, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && json.Unmarshal(b, into) == nil
}
