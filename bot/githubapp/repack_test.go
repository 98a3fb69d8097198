package githubapp_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/cromt/cromt/bot/githubapp"
)

// packed is a .tar.gz of the entries: name=text of a file, name->target of a
// link, name/ of a folder, and a type before a colon for what else there is.
func packed(t *testing.T, entries ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	tw := tar.NewWriter(zw)
	for _, e := range entries {
		h := &tar.Header{Typeflag: tar.TypeReg, Mode: 0o755}
		text := ""
		if name, target, ok := strings.Cut(e, "->"); ok {
			h.Typeflag, h.Name, h.Linkname = tar.TypeSymlink, name, target
		} else if kind, name, ok := strings.Cut(e, ":"); ok {
			h.Typeflag, h.Name, h.Linkname = kind[0], name, "r/file"
		} else if h.Name, text, ok = strings.Cut(e, "="); !ok {
			h.Typeflag = tar.TypeDir
		}
		h.Size = int64(len(text))
		if err := tw.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(tw, text); err != nil {
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

// most entries of an archive: a tenth of what there may be, which would take seconds.
const most = 50_000

// TestRepack: what hosts get of an archive is its files and the links that
// stay inside, and nothing of an archive that is made to deceive.
func TestRepack(t *testing.T) {
	var out bytes.Buffer
	done, err := githubapp.Repack(bytes.NewReader(packed(t, "r/", "r/file=hello", "r/sub/run=x", "r/sub/up->../file", "r/out->../../etc/passwd", "r/root->/etc", "r/twice->sub/../../x")), &out, sha, most)
	if err != nil || done.Files != 2 || len(done.Notes) != 3 || int64(out.Len()) != done.Size {
		t.Errorf("%+v, %v", done, err)
	}
	zr, err := gzip.NewReader(&out)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for tr := tar.NewReader(zr); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, h.Name+"="+string(text)+h.Linkname)
	}
	if s := strings.Join(got, " "); s != "file=hello sub/run=x sub/up=../file" {
		t.Errorf("%q", s)
	}
	for _, tt := range []struct {
		entries []string
		want    string
	}{
		{[]string{"r/../evil=x"}, "leads out of the archive"},
		{[]string{"r/a/../../evil=x"}, "leads out of the archive"},
		{[]string{"../evil=x"}, "not in the archive's folder"},
		{[]string{"/etc/evil=x"}, "not in the archive's folder"},
		{[]string{"r/file=x", "s/file=x"}, "not in the archive's folder"},
		{[]string{"r/.git/hooks/post-checkout=x"}, "into a repository"},
		{[]string{"r/sub/.GIT/config=x"}, "into a repository"},
		{[]string{"r/a//b=x"}, "leads out of the archive"},
		{[]string{"r/" + strings.Repeat("x/", 3000) + "y=x"}, "none of a file"},
		{[]string{"r/a=x", "r/a=y"}, "two of the name"},
		{[]string{"r/a->b", "r/a=y"}, "two of the name"},
		{[]string{"r/a->b", "r/a/c=y"}, "is no folder"},
		{[]string{"r/a=x", "1:r/b"}, "not a file, a folder or a symbolic link"},
		{[]string{"3:r/b"}, "not a file, a folder or a symbolic link"},
		{[]string{"6:r/b"}, "not a file, a folder or a symbolic link"},
	} {
		if _, err := githubapp.Repack(bytes.NewReader(packed(t, tt.entries...)), io.Discard, sha, most); err == nil || !strings.Contains(err.Error(), tt.want) || len(err.Error()) > 1000 {
			t.Errorf("%.200q: %v, want %q", tt.entries, err, tt.want)
		}
	}
	whole := packed(t, "r/file=hello")
	for n := range whole {
		if _, err := githubapp.Repack(bytes.NewReader(whole[:n]), io.Discard, sha, most); err == nil {
			t.Errorf("cut after %d of %d bytes it is taken", n, len(whole))
		}
	}
}

// repeated is a .tar.gz that goes on with the same entry n times.
func repeated(t *testing.T, h *tar.Header, n int) io.Reader {
	t.Helper()
	const batch = 1000 // entries of a member; gzip reads one member after the other
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	tw := tar.NewWriter(zw)
	for range min(n, batch) {
		if err := tw.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size <= 1<<20 {
			if _, err := tw.Write(make([]byte, h.Size)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	all := make([]io.Reader, (n+batch-1)/batch)
	for i := range all {
		all[i] = bytes.NewReader(b.Bytes())
	}
	return io.MultiReader(all...)
}

// TestRepackBombs: what unpacks to far more than any repository is refused
// before much of it has been unpacked.
func TestRepackBombs(t *testing.T) {
	for _, tt := range []struct {
		name  string
		entry tar.Header
		n     int
		want  string
	}{
		{"a file of 10 GB", tar.Header{Typeflag: tar.TypeReg, Name: "r/zeros", Size: 10 << 30}, 1, "more than 2147483648 bytes unpacked"},
		{"10 GB of zeros", tar.Header{Typeflag: tar.TypeDir, Name: "r/", PAXRecords: map[string]string{"CROMT.x": strings.Repeat("x", 10<<10)}}, 1_000_000, "more than 200 times its size"},
		{"a million folders", tar.Header{Typeflag: tar.TypeDir, Name: "r/"}, 1_000_000, "more than 50000 entries"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := repeated(t, &tt.entry, tt.n)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := githubapp.Repack(in, io.Discard, sha, most)
			runtime.ReadMemStats(&after)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if n := int64(after.HeapSys) - int64(before.HeapSys); n > 32<<20 {
				t.Errorf("took %d MiB", n>>20)
			}
		})
	}
}
