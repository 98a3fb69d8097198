package config

import "time"

// The limits of a configuration.
const (
	// MaxSecret of a repository, of a key or a token, in bytes: more is
	// another file by mistake, and more does not fit into an environment.
	MaxSecret = 64 << 10
	// MaxCA is the size of a file with certificates, in bytes: all that
	// systems trust are 250 KiB.
	MaxCA = 1 << 20
	// MinSecret is how long a webhook secret should be, in bytes: shorter
	// ones can be guessed by who has one signed body.
	MinSecret = 16
	// MinRetention keeps what is shown of a run for as long as it is looked at.
	MinRetention = time.Hour
	// MaxRetention is ten years: more is a typing error.
	MaxRetention = 3650 * 24 * time.Hour
	// DefaultRetention of runs and logs.
	DefaultRetention = 90 * 24 * time.Hour
	// MinJoinKey is the length of a key of join tokens, in bytes: 128 bits in hex.
	MinJoinKey = 32
	// DefaultMaxMembers of a pool: more by mistake would cost each replica a
	// connection and each placement a look.
	DefaultMaxMembers = 500
	// MaxClones are the rules of clone: beyond it, globs serve better.
	MaxClones = 1000
)

// What is used where nothing is configured.
const (
	DefaultListen     = "127.0.0.1:8080"
	DefaultAPIURL     = "https://api.github.com"
	DefaultDatabase   = "sqlite:cromt.db"
	DefaultConfigPath = "jobs.yaml"
)
