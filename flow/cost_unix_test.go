//go:build unix

package flow_test

import (
	"syscall"
	"time"
)

// cpuTime is what the process has used so far, whoever else has kept it waiting.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
