//go:build !race

package flow_test

// slower: a budget is as it is said.
const slower = 1
