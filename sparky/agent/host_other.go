//go:build !unix

package agent

import (
	"errors"
	"os"
)

const openNonblock = 0

var errUnsupported = errors.New("the agent does not run on this system: it needs process groups and file locks of Unix; use a Sparky host elsewhere")

func lockFolder(string) (*os.File, error) { return nil, errUnsupported }

func freeBytes(string) (int64, error) { return 0, errUnsupported }
