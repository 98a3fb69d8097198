package sparkytest

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// Seed returns what a test's random numbers come from, and logs it:
// CROMT_TEST_SEED, which repeats what another time went wrong, else otherwise.
func Seed(t testing.TB, otherwise uint64) uint64 {
	t.Helper()
	seed := otherwise
	if text := os.Getenv("CROMT_TEST_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = n
	}
	t.Logf("CROMT_TEST_SEED=%d", seed)
	return seed
}

// WatchCommandLines looks for secrets in every process's command line, where
// /proc has them, until the test ends.
func WatchCommandLines(t testing.TB, secrets ...string) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			names, _ := filepath.Glob("/proc/[0-9]*/cmdline")
			for _, name := range names {
				data, _ := os.ReadFile(name) // it may be gone
				for _, secret := range secrets {
					if bytes.Contains(data, []byte(secret)) {
						t.Errorf("a secret is in a command line: %q", data)
						return
					}
				}
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-stopped
	})
}
