package tomtit

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// sample is a line of testdata/regex/samples.txt: a regex, a text, and what
// Raku makes of them.
type sample struct {
	pattern, text string
	raku          string // error, False or True
	capture       string
	refused       bool // the built-in runner refuses what Raku takes
}

const samplesFile = "testdata/regex/samples.txt"

var codePoint = regexp.MustCompile(`\\x\{([0-9A-Fa-f]+)\}`)

func readSamples(t *testing.T) []sample {
	b, err := os.ReadFile(samplesFile)
	if err != nil {
		t.Fatal(err)
	}
	var samples []sample
	for line := range strings.Lines(string(b)) {
		f := append(strings.Split(strings.TrimSuffix(line, "\n"), "\t"), "", "", "", "")
		samples = append(samples, sample{f[0], f[1], f[2], f[3], f[4] == "refused"})
	}
	return samples
}

// unescape replaces \x{…} of a sample's text, as match.raku does.
func unescape(s string) string {
	return codePoint.ReplaceAllStringFunc(s, func(m string) string {
		n, _ := strconv.ParseInt(m[3:len(m)-1], 16, 32)
		return string(rune(n))
	})
}

// ours is what the built-in runner makes of a sample.
func ours(s sample) sample {
	re, err := parsePattern(s.pattern)
	text := unescape(s.text)
	switch {
	case err != nil:
		return sample{s.pattern, s.text, "error", "", err.limit != nil}
	case !re.re.MatchString(text):
		return sample{s.pattern, s.text, "False", "", false}
	}
	capture, ok := re.capture(text)
	if !ok {
		capture = text
	}
	if re.vague != "" && len(re.first) > 0 {
		capture = "vague"
	}
	return sample{s.pattern, s.text, "True", capture, false}
}

// Every regex matches as in Raku, or is refused; what Raku does not take is
// not taken.
func TestRegexSamples(t *testing.T) {
	for _, s := range readSamples(t) {
		got := ours(s)
		switch {
		case s.refused:
			if got.raku != "error" || !got.refused || s.raku == "error" {
				t.Errorf("%s: is refused no more: %+v", s.pattern, got)
			}
		case got.raku != s.raku || s.raku == "True" && got.capture != s.capture && got.capture != "vague":
			t.Errorf("%s on %q: %s %q, want %s %q", s.pattern, s.text, got.raku, got.capture, s.raku, s.capture)
		}
	}
}

// The samples say what Raku does. With UPDATE set they are written anew.
func TestRegexSamplesAreRakus(t *testing.T) {
	t.Parallel()
	raku, err := exec.LookPath("raku")
	if err != nil || testing.Short() {
		t.Skip("no raku, or a short run")
	}
	samples := readSamples(t)
	var in bytes.Buffer
	for _, s := range samples {
		fmt.Fprintf(&in, "%s\t%s\n", s.pattern, s.text)
	}
	cmd := exec.CommandContext(t.Context(), raku, "testdata/regex/match.raku")
	cmd.Stdin = &in
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(lines) != len(samples) {
		t.Fatalf("%d lines for %d samples", len(lines), len(samples))
	}
	var file strings.Builder
	for i, s := range samples {
		result, capture, _ := strings.Cut(lines[i], "\t")
		if os.Getenv("UPDATE") != "" {
			fmt.Fprintf(&file, "%s\t%s\t%s\t%s", s.pattern, s.text, result, capture)
			if got := ours(s); result != "error" && got.refused {
				file.WriteString("\trefused")
			}
			file.WriteString("\n")
		} else if result != s.raku || capture != s.capture {
			t.Errorf("%s on %q: Raku says %s %q, the file %s %q", s.pattern, s.text, result, capture, s.raku, s.capture)
		}
	}
	if file.Len() > 0 {
		if err := os.WriteFile(samplesFile, []byte(file.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Classes have the characters that Raku has in them, those aside that its
// version of Unicode has in another class.
func TestRegexClasses(t *testing.T) {
	t.Parallel()
	raku, err := exec.LookPath("raku")
	if err != nil || testing.Short() {
		t.Skip("no raku, or a short run")
	}
	classes := []string{`<:Cn>`, `\d`, `\w`, `\s`, `\h`, `\v`, `\n`, `<alpha>`, `<upper>`, `<lower>`, `<punct>`, `<blank>`}
	out, err := exec.CommandContext(t.Context(), raku, append([]string{"testdata/regex/classes.raku"}, classes...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	var unassigned map[rune]bool // in the version of Unicode that Raku has
	for line := range strings.Lines(string(out)) {
		n++
		class, ranges, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		in := map[rune]bool{}
		for r := range strings.SplitSeq(ranges, ",") {
			var lo, hi rune
			if _, err := fmt.Sscanf(r, "%X-%X", &lo, &hi); err != nil {
				t.Fatal(r, err)
			}
			for ; lo <= hi; lo++ {
				in[lo] = true
			}
		}
		if unassigned == nil {
			unassigned = in
			continue
		}
		re, perr := parsePattern("^" + class + "$")
		if perr != nil {
			t.Fatal(class, perr)
		}
		for c := rune(0); c < 0x10000; c++ {
			if c >= 0xD800 && c <= 0xDFFF || unassigned[c] {
				continue
			}
			if got := re.re.MatchString(string(c)); got != in[c] {
				t.Errorf("%s: %U is %v, in Raku %v", class, c, got, in[c])
			}
		}
	}
	if n != len(classes) {
		t.Errorf("%d classes, want %d", n, len(classes))
	}
}
