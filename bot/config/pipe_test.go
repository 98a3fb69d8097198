//go:build unix

package config_test

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cromt/cromt/bot/config"
)

// TestPipe: a pipe in place of a file is refused, and nobody waits for it.
func TestPipe(t *testing.T) {
	dir := folder(t, strings.ReplaceAll(least, "file: secret", "file: pipe"))
	for _, pipe := range []string{"pipe", "secrets/PIPE"} {
		if err := syscall.Mkfifo(filepath.Join(dir, pipe), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := config.Load(filepath.Join(dir, "bot.yaml"), env(nil)); err == nil || !strings.HasSuffix(err.Error(), "is not a regular file") {
		t.Errorf("%v", err)
	}
	write(t, dir, "secrets/owner/repo/X", "x")
	if err := syscall.Mkfifo(filepath.Join(dir, "secrets/owner/repo/PIPE"), 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "bot.yaml", least+"secrets_dir: secrets\n")
	c, err := config.Load(filepath.Join(dir, "bot.yaml"), env(nil))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Secrets().Lookup("owner/repo", "PIPE"); err == nil || !strings.HasSuffix(err.Error(), "is not a regular file") {
		t.Errorf("%v", err)
	}
}
