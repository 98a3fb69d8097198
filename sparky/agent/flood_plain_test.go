//go:build linux && !race

package agent_test

// floodMemory is how much larger an agent may become by the log of a job, in
// KiB: of 16 MiB it keeps the last in memory.
const floodMemory = 32 << 10
