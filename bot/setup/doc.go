// Package setup makes a GitHub App from a manifest: a person opens a page with
// a key that only the one who started the program has seen, sends the manifest
// to GitHub, and is sent back with a code, for which GitHub hands out the App's
// keys. They are written to files beside a first bot.yaml; no file is ever
// overwritten, and nothing secret is shown.
package setup
