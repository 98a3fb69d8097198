package members

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"
)

func TestTokens(t *testing.T) {
	key, other := []byte(strings.Repeat("k", 32)), []byte(strings.Repeat("o", 32))
	now := time.Now()
	make := func(key []byte, pool string) string {
		token, err := NewToken(key, pool, now.Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	reusable, sum := NewReusable()
	p := &Pool{Name: "p", JoinKey: key, JoinSums: []string{Sum("another"), sum}}
	good := make(key, "p")
	body, mac, _ := strings.Cut(strings.TrimPrefix(good, oneTimePrefix), ".")
	forged := base64.RawURLEncoding.EncodeToString([]byte(`{"p":"p","e":99999999999,"i":"x"}`))
	for _, c := range []struct {
		name, token string
		at          time.Time
		ok          bool
	}{
		{"one-time", good, now, true},
		{"expired", good, now.Add(time.Hour), false},
		{"of another pool", make(key, "q"), now, false},
		{"of another key", make(other, "p"), now, false},
		{"forged", oneTimePrefix + forged + "." + mac, now, false},
		{"cut", oneTimePrefix + body, now, false},
		{"with another end", good + "A", now, false},
		{"reusable", reusable, now, true},
		{"unknown", reusable + "x", now, false},
		{"its sum", sum, now, false},
		{"empty", "", now, false},
	} {
		claims, err := p.checkToken(c.token, c.at)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		if one := strings.HasPrefix(c.token, oneTimePrefix); c.ok && one != (claims != nil) {
			t.Errorf("%s: claims %v", c.name, claims)
		}
	}
	if a, b := make(key, "p"), make(key, "p"); a == b {
		t.Error("two tokens are one")
	}
	// Without a key no one-time token is one, whatever it is signed with.
	if _, err := (&Pool{Name: "p"}).checkToken(make(nil, "p"), now); err == nil {
		t.Error("a token of no key")
	}
}
