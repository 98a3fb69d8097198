package sparkytest

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
)

var lastContainer atomic.Int64

// Docker runs a command of Docker and returns what it prints.
func Docker(t testing.TB, args ...string) string {
	t.Helper()
	// Not the test's context, which has ended when clean-ups run.
	out, err := exec.CommandContext(context.Background(), "docker", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("docker %q: %v\n%s\nthese tests need a running Docker Engine", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// Image imports an image with busybox and bash, and removes it at the end.
func Image(t *testing.T) string {
	t.Helper()
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	add := func(h *tar.Header, data []byte) {
		h.Size = int64(len(data))
		if err := tw.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	for name, from := range map[string]string{"bin/busybox": "/bin/busybox", "bin/bash": "/bin/bash-static"} {
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatalf("%v; apt-get install busybox-static bash-static", err)
		}
		add(&tar.Header{Name: name, Mode: 0o755, Typeflag: tar.TypeReg}, data)
	}
	for _, name := range []string{"sh", "cat", "mkdir", "chmod", "rm", "sleep", "ls", "ps", "touch", "hostname", "setsid", "ln", "base64"} {
		add(&tar.Header{Name: "bin/" + name, Linkname: "busybox", Typeflag: tar.TypeSymlink}, nil)
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("cromt-test-%d:latest", os.Getpid())
	cmd := exec.CommandContext(t.Context(), "docker", "import", "-", name)
	cmd.Stdin = &buf
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("docker import: %v\n%s\nthese tests need a running Docker Engine", err, out)
	}
	t.Cleanup(func() { Docker(t, "rmi", "--force", name) })
	return name
}

// Container starts a container of an image that does nothing, with a name of
// its own, which is its hostname as well, and removes it at the end.
func Container(t *testing.T, image string) string {
	t.Helper()
	name := fmt.Sprintf("cromt-test-%d-%d", os.Getpid(), lastContainer.Add(1))
	Docker(t, "run", "--detach", "--init", "--hostname", name, "--name", name, image, "sh", "-c", "while :; do sleep 3600; done")
	t.Cleanup(func() { Docker(t, "rm", "--force", name) })
	return name
}
