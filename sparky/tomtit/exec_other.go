//go:build !unix

package tomtit

import (
	"context"
	"errors"
	"os/exec"
	"time"
)

// JobMarker is the name of the environment variable that marks processes of a job.
const JobMarker = "CROMT_JOB"

var errSystem = errors.New("jobs run on Linux and macOS only; use a remote host")

// Exec is not available on this system.
func Exec(context.Context, *exec.Cmd, time.Duration) error { return errSystem }

// KillJob does nothing on this system.
func KillJob(string) {}

func exitCode(err error) (int, bool) { return 0, err == nil }
