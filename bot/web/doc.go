// Package web is the pages of the GitHub App: all runs, one run across all
// hosts, one job's log, the hosts, and how reliable jobs are.
//
// The pages work without scripts; the one script that there is has what is
// shown change as it happens. Everything is served from here, and a strict
// Content-Security-Policy has browsers take it from nowhere else. Each page is
// JSON for whoever asks for application/json.
//
// # Who sees what
//
// Readers sign in with GitHub and see the repositories that GitHub lets them
// read: in lists those that they have been given access to, and by their
// address also public ones of others. What there is not and what a reader may
// not see look the same. Without a client ID of the App nobody can sign in:
// then the pages say how to have that, unless the App's public URL is this very
// machine, where they are open to it alone.
//
// A badge is fetched without signing in, by GitHub on behalf of whoever reads
// a README. It therefore tells of public repositories alone; of all others it
// says "unknown", whether they exist or not.
package web
