//go:build linux

package agent_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/agent"
)

// entry is one entry of a test archive.
type entry struct {
	name, text string
	kind       byte
	link       string
}

func archive(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	tw := tar.NewWriter(zw)
	for _, e := range entries {
		if e.kind == 0 {
			e.kind = tar.TypeReg
		}
		h := &tar.Header{Name: e.name, Typeflag: e.kind, Linkname: e.link, Size: int64(len(e.text)), Mode: 0o755}
		if e.kind == tar.TypeXGlobalHeader {
			h = &tar.Header{Typeflag: e.kind, PAXRecords: map[string]string{"comment": "x"}}
		}
		if err := tw.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write([]byte(e.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestArchive(t *testing.T) {
	h := start(t, agent.Config{})
	data := archive(t, entry{kind: tar.TypeXGlobalHeader}, entry{name: "./", kind: tar.TypeDir}, entry{name: "sub/.tom/x.bash", text: "./hello; cat link\n"},
		entry{name: "sub/hello", text: "#!/bin/sh\necho executable\n"}, entry{name: "sub/link", kind: tar.TypeSymlink, link: "../file"}, entry{name: "file", text: "linked\n"})
	sum := fmt.Sprintf("%x", sha256.Sum256(data))
	h.do("PUT", "/file/project/src/job/run1/filename/src.tar.gz", string(data))
	spec := sparky.Spec{Cromt: 1, Actions: []string{"x"}, Source: sparky.SpecSource{Kind: sparky.SpecArchive, Project: "src", JobID: "run1", File: "src.tar.gz", SHA256: sum, Dir: "sub", Commit: "abc"}}
	st, log := h.wait("p", h.queue("p", spec))
	if st.State != sparky.CodeOK || st.Commit != "abc" || !strings.Contains(log, "executable\nlinked\n") || !strings.Contains(log, "meta: commit=abc\n") {
		t.Errorf("%+v %s", st, log)
	}
	spec.Source.SHA256 = strings.Repeat("0", 64)
	if st, _ := h.wait("p", h.queue("p", spec)); st.Cause != flow.CauseInfrastructure || !strings.Contains(st.Error, "sha256") {
		t.Errorf("wrong sum: %+v", st)
	}
	spec.Source.File = "none"
	if st, _ := h.wait("p", h.queue("p", spec)); st.Cause != flow.CauseInfrastructure || !strings.Contains(st.Error, "no file none") {
		t.Errorf("no file: %+v", st)
	}
}

func TestHostileArchives(t *testing.T) {
	outside := t.TempDir()
	for name, entries := range map[string][]entry{
		"parent":           {{name: "../evil", text: "x"}},
		"parent inside":    {{name: "a/../../evil", text: "x"}},
		"absolute":         {{name: outside + "/evil", text: "x"}},
		"symlink out":      {{name: "l", kind: tar.TypeSymlink, link: "../x"}},
		"symlink absolute": {{name: "l", kind: tar.TypeSymlink, link: outside}},
		"symlink chain":    {{name: "a/b/c", kind: tar.TypeSymlink, link: "../.."}, {name: "evil", kind: tar.TypeSymlink, link: "a/b/c/.."}},
		"write by chain":   {{name: "a/b/c", kind: tar.TypeSymlink, link: "../.."}, {name: "d", kind: tar.TypeSymlink, link: "a/b/c/.."}, {name: "d/evil", text: "x"}},
		"twice":            {{name: "a", text: "x"}, {name: "a", text: "y"}},
		"link then file":   {{name: "a", kind: tar.TypeSymlink, link: "b"}, {name: "a", text: "y"}},
		"hard link":        {{name: "a", kind: tar.TypeLink, link: "/etc/passwd"}},
		"device":           {{name: "a", kind: tar.TypeChar}},
		"pipe":             {{name: "a", kind: tar.TypeFifo}},
		"too many":         {{name: "1"}, {name: "2"}, {name: "3"}, {name: "4"}},
		"too large":        {{name: "1", text: strings.Repeat("x", 2000)}},
	} {
		t.Run(name, func(t *testing.T) {
			parent := t.TempDir()
			dir := filepath.Join(parent, "a", "b")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := agent.Untar(bytes.NewReader(archive(t, entries...)), dir, 3, 1000); err == nil {
				t.Error("unpacked")
			}
			for _, path := range append(tree(t, parent), tree(t, outside)...) {
				if filepath.Base(path) == "evil" && !strings.HasPrefix(path, dir) {
					t.Errorf("wrote %s", path)
				}
			}
		})
	}
	if err := agent.Untar(strings.NewReader("not gzip"), t.TempDir(), 3, 1000); err == nil {
		t.Error("unpacked what is no archive")
	}
}
