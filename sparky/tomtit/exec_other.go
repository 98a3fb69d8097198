//go:build !unix

package tomtit

import (
	"context"
	"errors"
	"os/exec"
	"time"
)

// Exec needs sessions and signals, which only Unix systems have. It always fails.
func Exec(context.Context, *exec.Cmd, time.Duration) error {
	return errors.New("exec scenario: not possible on this system; use a Linux or macOS host")
}
