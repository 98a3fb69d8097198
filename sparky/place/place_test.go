//go:build unix

package place_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/sparky/place"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == place.Command {
		os.Exit(place.There(os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// Without Docker, or without its engine, the error says which of them is missing.
func TestEngineMissing(t *testing.T) {
	for name, c := range map[string]struct {
		env  []string
		want string
	}{
		"command": {[]string{"PATH=" + t.TempDir()}, "docker ps: docker is not installed on this host"},
		"engine":  {[]string{"PATH=" + os.Getenv("PATH"), "DOCKER_HOST=unix://" + t.TempDir() + "/none.sock"}, "Cannot connect to the Docker daemon"},
	} {
		t.Run(name, func(t *testing.T) {
			e := place.Engine{Owner: "test", Env: c.env}
			if _, _, err := e.Use(t.Context(), "alpine", ""); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

// here is a place whose shell is this machine's: a stand-in for ssh that
// passes the line on as ssh does.
func here(t *testing.T) *place.Place {
	t.Helper()
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "ssh"), []byte("#!/bin/sh\nfor line; do :; done\nexec sh -c \"$line\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	p, err := place.Machine(place.SSH{Host: "there", User: "me", Port: "22"}, []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func open(t *testing.T, p *place.Place, id string) *place.Room {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Open(t.Context(), self, id, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return r
}

func TestRoom(t *testing.T) {
	p := here(t)
	id := strings.ToLower(filepath.Base(t.TempDir())) + "-" + strings.ReplaceAll(time.Now().Format("150405.000000"), ".", "-")
	r := open(t, p, id)
	if _, err := p.Open(t.Context(), os.Args[0], id, time.Second); err == nil || !strings.Contains(err.Error(), "File exists") {
		t.Errorf("a room that is there already: %v", err)
	}
	src := t.TempDir()
	for name, text := range map[string]string{".tom/x.bash": "cat data; echo $X; exit 3\n", "data": "d\n", "deep/er/file": "f"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(src, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(src, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(src, "link")); err != nil {
		t.Fatal(err)
	}
	if err := r.Put(t.Context(), src); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	code, err := r.Run(t.Context(), place.Job{Dir: r.Dir(), Action: "x", Env: []string{"X=a b"}}, &out)
	if code != 3 || err != nil || out.String() != "d\na b\n" {
		t.Errorf("%d %v %q", code, err, &out)
	}
	if err := r.Write(t.Context(), r.Dir(), "new/file", strings.NewReader("written")); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]string{"new/file": "written", "deep/er/file": "f"} {
		if data, err := io.ReadAll(r.Get(t.Context(), r.Dir(), name)); err != nil || string(data) != want {
			t.Errorf("%s: %q %v", name, data, err)
		}
	}
	for _, name := range []string{"none", "link", "deep", "../cromt", "/etc/passwd"} {
		data, err := io.ReadAll(r.Get(t.Context(), r.Dir(), name))
		if file := new(place.FileError); len(data) > 0 || !errors.As(err, &file) || (name == "none") != errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %q %v", name, data, err)
		}
	}
}

// What is not a request is answered, and nothing is done.
func TestThereRefuses(t *testing.T) {
	for _, in := range []string{"", "\n", "{", "[]\n", `{"op":"format"}` + "\n", strings.Repeat("x", 17<<20) + "\n"} {
		var out, said bytes.Buffer
		if code := place.There(strings.NewReader(in), &out, &said); code != 0 || out.Len() > 0 || !strings.HasPrefix(said.String(), `cromt: {"exit":`) || !strings.Contains(said.String(), `"error":"`) {
			t.Errorf("%.20q: %d %.200q", in, code, &said)
		}
	}
}
