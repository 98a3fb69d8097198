//go:build linux && race

package agent_test

// floodMemory is how much larger an agent may become by the log of a job, in
// KiB: the race detector notes several bytes about each.
const floodMemory = 3 * 32 << 10
