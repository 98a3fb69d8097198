// Package githubapp is GitHub as a GitHub App sees it: the App itself, signed
// in with its private key; its installations, each repository with a token of
// its own that is narrowed to it and to what is needed; and the people who sign
// in to the App's pages.
//
// A token is minted when it is first needed, kept until shortly before it
// expires, and sent to the API's host alone. Nothing here logs one.
//
// All requests of an installation share one checks.Budget, with those of the
// check runs and comments that bot/checks writes: GitHub's limits are of the
// installation, and when it wants to be left alone all of them wait. The App's
// own requests, the minting of tokens among them, have another one.
//
// Errors say what to do. ErrNotFound, ErrGone and ErrSuspended can be told
// apart with errors.Is; checks.Refused reports whether another attempt is of no
// use.
package githubapp
