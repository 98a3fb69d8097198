// Command cromt runs the jobs of a jobs.yaml on Sparky hosts.
package main

import (
	"context"
	"os"
)

// version is set by -ldflags "-X main.version=v1.2.3" when a release is built.
var version string

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv))
}
