//go:build unix

package main_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// checkout copies this tree's files, as they are now, into a new folder.
func checkout(t *testing.T, dir string) {
	t.Helper()
	git := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	git.Dir = "../.."
	list, err := git.Output()
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		from, to := filepath.Join("../..", name), filepath.Join(dir, name)
		data, err := os.ReadFile(from)
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted, and not yet committed
		}
		info, statErr := os.Stat(from)
		if err := errors.Join(err, statErr, os.MkdirAll(filepath.Dir(to), 0o755)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, data, info.Mode()); err != nil {
			t.Fatal(err)
		}
	}
}

// The same source gives the same bytes wherever it lies and whatever is set
// there: what is built when a release is made is what its tag's workflow builds.
func TestReleaseReproducible(t *testing.T) {
	t.Parallel()
	settings := [][]string{
		{"GOFLAGS=", "GOAMD64=v1"},
		{"GOFLAGS=-tags=other", "GOAMD64=v3", "CGO_ENABLED=1", "GOEXPERIMENT=nogreenteagc", "GOOS=plan9"},
	}
	dirs := []string{filepath.Join(t.TempDir(), "one"), filepath.Join(t.TempDir(), "another folder/below")}
	for _, dir := range dirs { // both now: somebody may be working on the files
		checkout(t, dir)
	}
	var sums []string
	for i, dir := range dirs {
		build := exec.CommandContext(t.Context(), ".github/release/build.sh", "v1.2.3", "dist", "linux/amd64")
		build.Dir = dir
		build.Env = append(os.Environ(), settings[i]...)
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		data, err := os.ReadFile(filepath.Join(dir, "dist/cromt-linux-amd64"))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		sums = append(sums, hex.EncodeToString(sum[:]))
		listed, err := os.ReadFile(filepath.Join(dir, "dist/checksums.txt"))
		if want := sums[i] + "  cromt-linux-amd64\n"; err != nil || string(listed) != want {
			t.Errorf("checksums.txt is %q, want %q (%v)", listed, want, err)
		}
	}
	if sums[0] != sums[1] {
		t.Errorf("two folders, two binaries: %q", sums)
	}
}

func TestReleaseBuildRefusesVersion(t *testing.T) {
	for _, version := range []string{"", "1.2.3", "v1.2", "v1.2.3 -X main.x=y"} {
		out, err := exec.CommandContext(t.Context(), "../../.github/release/build.sh", version, filepath.Join(t.TempDir(), "dist")).CombinedOutput()
		if err == nil {
			t.Errorf("version %q is built:\n%s", version, out)
		}
	}
}

func TestReleaseVerify(t *testing.T) {
	const binary, other = "ELF", "FLE"
	sums := func(content string) string { return sha256hex(content) + "  cromt-linux-amd64\n" }
	for _, c := range []struct{ name, version, committed, listed, built, says string }{
		{"same", "v1.2.3\n", sums(binary), sums(binary), binary, ""},
		{"no pair", "", "", sums(binary), binary, "has no version and checksums"},
		{"no checksums", "v1.2.3\n", "", sums(binary), binary, "has no version and checksums"},
		{"another version", "v1.2.2\n", sums(binary), sums(binary), binary, "says that it is v1.2.2"},
		{"another binary", "v1.2.3\n", sums(other), sums(binary), binary, "what v1.2.3 builds is not what its checksums say"},
		{"changed since", "v1.2.3\n", sums(binary), sums(binary), other, "dist is not what was built"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShell(t)
			script, err := os.ReadFile("../../.github/release/verify.sh")
			if err != nil {
				t.Fatal(err)
			}
			for name, content := range map[string]string{
				".github/release/verify.sh":    string(script),
				".github/action/version":       c.version,
				".github/action/checksums.txt": c.committed,
				"dist/checksums.txt":           c.listed,
				"dist/cromt-linux-amd64":       c.built,
			} {
				if content != "" {
					s.write(name, content)
				}
			}
			out, err := exec.CommandContext(t.Context(), filepath.Join(s.root, ".github/release/verify.sh"), "v1.2.3").CombinedOutput()
			if (err == nil) != (c.says == "") || !strings.Contains(string(out), c.says) {
				t.Errorf("%v, want %q:\n%s", err, c.says, out)
			}
		})
	}
}

func TestReleaseMajor(t *testing.T) {
	tags := "refs/tags/v1\nrefs/tags/v1.3.0\nrefs/tags/v1.10.0-rc.1\nrefs/tags/v2.0.0\nv10.0.0\nnightly\n"
	for tag, want := range map[string]string{
		"v1.3.1": "v1", "v1.3.0": "v1", "v1.10.0": "v1", "v1.2.4": "", "v1.10.0-rc.2": "",
		"v2.0.1": "v2", "v3.0.0": "v3", "v10.0.1": "v10", "v1": "", "main": "",
	} {
		cmd := exec.CommandContext(t.Context(), "../../.github/release/major.sh", tag)
		cmd.Stdin = strings.NewReader(tags)
		out, err := cmd.Output()
		if got := strings.TrimSpace(string(out)); err != nil || got != want {
			t.Errorf("%s moves %q, want %q (%v)", tag, got, want, err)
		}
	}
}
