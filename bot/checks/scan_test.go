package checks_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/cromt/cromt/bot/checks"
)

func scan(o checks.ScanOptions, log string) []checks.Annotation {
	s := checks.NewScanner(o)
	if n, err := s.Write([]byte(log)); n != len(log) || err != nil {
		panic(fmt.Sprint(n, err))
	}
	return s.Annotations()
}

// list writes annotations a line each.
func list(all []checks.Annotation) string {
	var b strings.Builder
	for _, a := range all {
		fmt.Fprintf(&b, "%s %s:%d-%d", a.Level, a.Path, a.StartLine, a.EndLine)
		if a.StartColumn > 0 {
			fmt.Fprintf(&b, ":%d-%d", a.StartColumn, a.EndColumn)
		}
		if a.Title != "" {
			fmt.Fprintf(&b, " %q", a.Title)
		}
		fmt.Fprintf(&b, " %q\n", a.Message)
	}
	return b.String()
}

// Each log of testdata/golden/checks/scan has beside it what is found in it.
func TestScanner(t *testing.T) {
	logs, err := filepath.Glob(goldenPath("scan/*.log"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("no logs: %v", err)
	}
	for _, name := range logs {
		t.Run(filepath.Base(name), func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			want := scan(checks.ScanOptions{}, string(data))
			golden(t, "scan/"+strings.TrimSuffix(filepath.Base(name), ".log")+".want", list(want))

			s := checks.NewScanner(checks.ScanOptions{})
			for i := range data { // however it is cut, and looked at meanwhile
				_, _ = s.Write(data[i : i+1])
				if i%50 == 0 {
					s.Annotations()
				}
			}
			if got := s.Annotations(); !reflect.DeepEqual(got, want) {
				t.Errorf("byte by byte:\n%swant\n%s", list(got), list(want))
			}
		})
	}
}

func TestScannerFolder(t *testing.T) {
	files := map[string]bool{"sub/a.c": true, "b.c": true, "sub/c.c": true, "c.c": true}
	o := checks.ScanOptions{Dir: "sub", Exists: func(p string) bool { return files[p] }}
	log := "a.c:1:1: error: a\nb.c:1:1: error: b\nc.c:1:1: error: c\n::error file=c.c::c\n../b.c:2:1: error: b\n../../b.c:1:1: error: b\nno.c:1:1: error: no\n" +
		"Traceback (most recent call last):\n  File \"a.c\", line 3\n  File \"lib.py\", line 4\nKeyError: x\n"
	want := `failure sub/a.c:1-1:1-0 "error: a"
failure b.c:1-1:1-0 "error: b"
failure sub/c.c:1-1:1-0 "error: c"
failure c.c:1-1 "c"
failure b.c:2-2:1-0 "error: b"
failure sub/a.c:3-3 "KeyError: x"
`
	if got := list(scan(o, log)); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got := list(scan(checks.ScanOptions{Dir: "sub"}, "x.c:1:1: error: x")); got != "failure sub/x.c:1-1:1-0 \"error: x\"\n" {
		t.Errorf("any file: %s", got)
	}
}

// Failures are not lost behind any number of warnings, and come first.
func TestScannerLimit(t *testing.T) {
	var log strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&log, "w.c:%d:1: warning: w\n", i+1)
	}
	log.WriteString("e.c:1:1: error: e\n")
	got := scan(checks.ScanOptions{}, log.String())
	if len(got) != checks.MaxAnnotations || got[0].Path != "e.c" || got[1].StartLine != 1 {
		t.Errorf("%d annotations, first %+v", len(got), got[0])
	}
	if got := scan(checks.ScanOptions{Limit: 2}, log.String()); len(got) != 2 {
		t.Errorf("%d annotations, want 2", len(got))
	}
}

func TestScannerLongLine(t *testing.T) {
	got := scan(checks.ScanOptions{}, "a.c:1:1: error: "+strings.Repeat("界", 1<<20)+"\nb.c:2:1: error: b\n")
	if len(got) != 2 || len(got[0].Message) > 4096 || got[1].Path != "b.c" {
		t.Fatalf("%d annotations, first of %d bytes", len(got), len(got[0].Message))
	}
	allocated := testing.AllocsPerRun(1, func() { scan(checks.ScanOptions{}, strings.Repeat("x", 1<<20)) })
	if allocated > 100 {
		t.Errorf("%v allocations for a line without end", allocated)
	}
}

// What a scanner keeps does not grow with the log.
func TestScannerMemory(t *testing.T) {
	s := checks.NewScanner(checks.ScanOptions{})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 200_000 {
		fmt.Fprintf(s, "a.c:%d:1: warning: %s\n", i+1, "what is wrong in this line of the file")
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
		t.Errorf("%d bytes more", grown)
	}
	runtime.KeepAlive(s)
}

func FuzzScanner(f *testing.F) {
	logs, _ := filepath.Glob(goldenPath("scan/*.log"))
	for _, name := range logs {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data), "sub")
	}
	for _, s := range hostile {
		f.Add(s+":1:2: error: "+s+"\n::error file="+s+",title="+s+"::"+s+"\n  File \""+s+"\", line 1\n"+s, "")
	}
	f.Fuzz(func(t *testing.T, log, dir string) {
		if dir != "sub" {
			dir = ""
		}
		all := scan(checks.ScanOptions{Dir: dir, Limit: 10}, log)
		if len(all) > 10 {
			t.Errorf("%d annotations", len(all))
		}
		seen := make(map[checks.Annotation]bool)
		for _, a := range all {
			if err := valid(a); err != nil {
				t.Errorf("%+v: %v", a, err)
			}
			if seen[a] {
				t.Errorf("twice: %+v", a)
			}
			seen[a] = true
		}
	})
}

// valid says why GitHub would not take an annotation.
func valid(a checks.Annotation) error {
	switch {
	case !filepath.IsLocal(a.Path) || strings.ContainsAny(a.Path, "\n\\\x00"):
		return fmt.Errorf("path")
	case a.StartLine < 1 || a.EndLine < a.StartLine:
		return fmt.Errorf("lines")
	case a.EndLine > a.StartLine && a.StartColumn > 0, a.EndColumn > 0 && a.EndColumn < a.StartColumn, a.StartColumn < 0:
		return fmt.Errorf("columns")
	case a.Message == "" || len(a.Message) > 64<<10 || len(a.Title) > 255:
		return fmt.Errorf("length")
	case !utf8.ValidString(a.Path + a.Message + a.Title):
		return fmt.Errorf("not UTF-8")
	case strings.ContainsAny(a.Message+a.Title, "\x00\x1b\r\u202e"):
		return fmt.Errorf("control characters")
	}
	return nil
}
