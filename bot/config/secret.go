package config

import (
	"fmt"
	"io"
	"log/slog"
)

const hidden = "***"

// Secret is a value that is not to be seen: what prints it, logs it or
// encodes it gets three stars. The zero Secret is not set. Compare what Reveal
// returns in constant time.
type Secret struct {
	value *string // behind a pointer: fmt prints private fields without asking their type
}

// NewSecret returns a Secret of s; of "" it is not set.
func NewSecret(s string) Secret {
	if s == "" {
		return Secret{}
	}
	return Secret{&s}
}

// Reveal returns the value, "" when it is not set.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsSet reports whether there is a value.
func (s Secret) IsSet() bool { return s.value != nil }

// String returns three stars.
func (s Secret) String() string { return hidden }

// Format writes three stars, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// LogValue returns three stars.
func (s Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText returns three stars.
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
