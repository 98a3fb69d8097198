//go:build !unix

package agent

import (
	"errors"
	"os"
	"os/exec"
)

const openNonblock = 0

var errUnsupported = errors.New("the agent does not run on this system: it needs process groups and file locks of Unix; use a Sparky host elsewhere")

func lockFolder(string) (*os.File, error) { return nil, errUnsupported }

func freeBytes(string) (int64, error) { return 0, errUnsupported }

// inode identifies a file, with the bytes that it takes on the disk.
type inode struct {
	dev, ino uint64
	links    uint64
	bytes    int64
}

func inodeOf(fi os.FileInfo) inode { return inode{bytes: fi.Size()} }

func isEmptyDir(string) bool { return false }

func signalOf(*exec.ExitError) int { return 0 }
