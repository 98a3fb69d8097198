package trust_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestNoNames: whether a host may be used is decided by its text. What cannot
// look a name up cannot be told one address now and another one later.
func TestNoNames(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	if slices.Contains(deps, "net") || !slices.Contains(deps, "net/url") {
		t.Errorf("it depends on %q", deps)
	}
}
