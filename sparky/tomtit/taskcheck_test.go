package tomtit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// sections returns the files of an archive by name.
func sections(t testing.TB, name string) map[string]string {
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	at := ""
	for line := range strings.Lines(string(b)) {
		if name, ok := strings.CutPrefix(line, "-- "); ok && strings.HasSuffix(line, " --\n") {
			at = strings.TrimSuffix(name, " --\n")
			continue
		}
		files[at] += line
	}
	return files
}

// What checks make of an output is what Sparrow6's own rules made of it when
// they were run by Raku.
func TestChecksAreSparrows(t *testing.T) {
	files := sections(t, "testdata/regex/checks.txtar")
	n := 0
	for ; files[fmt.Sprint(n)+".check"] != ""; n++ {
		name := fmt.Sprint(n)
		checks, err := parseChecks(name, files[name+".check"])
		if err != nil {
			t.Fatal(err)
		}
		var output collector
		output.Write([]byte(files[name+".output"]))
		results, err := runChecks(t.Context(), checks, output.lines())
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		p := &printer{out: &got}
		for _, r := range results {
			p.result(r)
		}
		if got.String() != files[name+".want"] {
			t.Errorf("%s:\n%s\non\n%s\ngives\n%s\nwant\n%s", name, files[name+".check"], files[name+".output"], got.String(), files[name+".want"])
		}
	}
	if n < 30 {
		t.Errorf("%d samples", n)
	}
}

// Regexes that take exponential time in Raku do not here, whatever the text.
func TestChecksTakeLinearTime(t *testing.T) {
	checks, err := parseChecks("x", "!regexp: ^^ [a+]+ $$\n!regexp: ^^ [a|a a|a+]* b\n!regexp: [.*.*.*.*] 'x'\n~regexp: (a*)*(a*)* c\n")
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	results, err := runChecks(t.Context(), checks, []string{strings.Repeat("a", 1<<20) + "!"})
	if err != nil || len(results) != len(checks) {
		t.Fatal(results, err)
	}
	if d := time.Since(begin); d > time.Minute {
		t.Errorf("took %v", d)
	}
}

func TestChecksAreBounded(t *testing.T) {
	if _, err := parseChecks("x", strings.Repeat("a\n", MaxChecks+1)); err == nil {
		t.Error("too many lines are taken")
	}
	if _, err := parseChecks("x", "regexp: "+strings.Repeat("a", MaxPattern+1)); err == nil {
		t.Error("a long regex is taken")
	}
	if _, err := parseChecks("x", "a\xffb"); err == nil {
		t.Error("text that is not UTF-8 is taken")
	}
	if _, err := parseChecks("x", "a\x00b"); err == nil || err.Error() != "x:1:2: a zero byte; remove it" {
		t.Error("a zero byte is taken", err)
	}
	checks, err := parseChecks("x", "regexp: \\w ** 900 'x'\n")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := runChecks(t.Context(), checks, []string{strings.Repeat(" ", 4<<20)}); err == nil {
		t.Error("a match that may take minutes is begun")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := runChecks(ctx, checks, []string{"a"}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// FuzzParseChecks reads any text as a task.check and does its checks on
// another: no text may crash it, or be refused without a place inside of it.
func FuzzParseChecks(f *testing.F) {
	for name, text := range sections(f, "testdata/regex/checks.txtar") {
		if strings.HasSuffix(name, ".check") {
			f.Add(text, "foo\nA1\nABCBA\nbar\n\xff\x00\r\n")
		}
	}
	b, err := os.ReadFile(samplesFile)
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		pattern, text, _ := strings.Cut(line, "\t")
		f.Add("regexp: "+pattern+"\nwithin: "+pattern+"\n~regexp: "+pattern, text)
	}
	f.Fuzz(func(t *testing.T, src, text string) {
		checks, err := parseChecks("x", src)
		checkRefusal(t, src, err)
		if err != nil || len(text) > 1<<10 {
			return
		}
		var output collector
		output.Write([]byte(text))
		if _, err := runChecks(t.Context(), checks, output.lines()); err != nil {
			t.Error(err)
		}
	})
}

// FuzzParsePattern parses any text as a regex: an error has its place, and one
// that is taken has no more groups than parentheses, if they can be counted on.
func FuzzParsePattern(f *testing.F) {
	b, err := os.ReadFile(samplesFile)
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		pattern, _, _ := strings.Cut(line, "\t")
		f.Add(pattern)
	}
	f.Fuzz(func(t *testing.T, src string) {
		re, err := parsePattern(src)
		if err != nil {
			if err.msg == "" || err.off < 0 || err.off > len(src) {
				t.Errorf("refused with %+v", err)
			}
			return
		}
		if n := re.re.NumSubexp(); re.vague == "" && n > strings.Count(src, "(") || len(re.first) > n || re.size > MaxProgram {
			t.Errorf("%d groups, %d of them first, %d instructions", n, len(re.first), re.size)
		}
	})
}

// FuzzParseCalls reads what a stranger's hook has left.
func FuzzParseCalls(f *testing.F) {
	f.Add([]byte("ignore\x00soft\x00run\x00t\x001\x00k\x00v\x00runjson\x00t\x00{\"a\":[1]}\x00"))
	f.Add([]byte("run\x00t\x00-1\x00"))
	f.Add([]byte("runjson\x00t\x00{\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		calls, err := parseCalls(b)
		if err == nil && len(calls) > strings.Count(string(b), "\x00") {
			t.Errorf("%d calls", len(calls))
		}
	})
}
