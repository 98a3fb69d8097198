//go:build race

package flow_test

// slower is how many times as much CPU time a test's budget has: the race
// detector takes some ten times as long, and more while others keep the caches.
const slower = 20
