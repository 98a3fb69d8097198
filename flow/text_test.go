package flow_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/cromt/cromt/flow"
)

func TestPlainText(t *testing.T) {
	tests := []struct{ name, in, plain, color string }{
		{"ascii", "Hello worker B!\tx\n", "Hello worker B!\tx\n", "Hello worker B!\tx\n"},
		{"utf-8", "é😀 日本", "é😀 日本", "é😀 日本"},
		{"sgr", "\x1b[1;36m[task]\x1b[0m", "[task]", "\x1b[1;36m[task]\x1b[0m"},
		{"private sgr", "\x1b[>4;2mx", "x", "x"},
		{"cursor", "a\x1b[2Jb\x1b[1;1Hc\x1b[Kd", "abcd", "abcd"},
		{"title by BEL", "a\x1b]0;evil\x07b", "ab", "ab"},
		{"link by ST", "\x1b]8;;http://x/\x1b\\text\x1b]8;;\x1b\\", "text", "text"},
		{"string without end", "a\x1b]52;c;ZXZpbA==\nb", "a\nb", "a\nb"},
		{"dcs", "a\x1bP1$r0m\x1b\\b", "ab", "ab"},
		{"eight-bit csi", "a\u009b31mb", "ab", "ab"},
		{"eight-bit osc", "a\u009d0;t\u009cb", "ab", "ab"},
		{"charset", "\x1b(0x\x1b(B", "x", "x"},
		{"reset", "\x1bcx", "x", "x"},
		{"cut off", "x\x1b[31", "x", "x"},
		{"lone escape", "x\x1b", "x", "x"},
		{"controls", "a\x00b\x08c\x7fd\x07e\re", "abcdee", "abcdee"},
		{"invalid", "a\xffb\xc3", "a\ufffdb\ufffd", "a\ufffdb\ufffd"},
		{"bidi", "a\u202eb\u2066c\u200fd", `a\u202eb\u2066c\u200fd`, `a\u202eb\u2066c\u200fd`},
	}
	for _, tt := range tests {
		if got := flow.PlainText(tt.in); got != tt.plain {
			t.Errorf("%s: PlainText(%q) = %q, want %q", tt.name, tt.in, got, tt.plain)
		}
		if got := flow.ColorText(tt.in); got != tt.color {
			t.Errorf("%s: ColorText(%q) = %q, want %q", tt.name, tt.in, got, tt.color)
		}
	}
}

func FuzzPlainText(f *testing.F) {
	f.Add("\x1b]0;x\x07\x1b[31mred\u009b0m\xff\u202e")
	f.Fuzz(func(t *testing.T, s string) {
		got := flow.PlainText(s)
		if !utf8.ValidString(got) {
			t.Fatalf("invalid UTF-8: %q", got)
		}
		if i := strings.IndexFunc(got, func(r rune) bool {
			return r < 0x20 && r != '\n' && r != '\t' || 0x7f <= r && r <= 0x9f || r == '\u202e'
		}); i >= 0 {
			t.Fatalf("control at %d: %q", i, got)
		}
		if again := flow.PlainText(got); again != got {
			t.Fatalf("not stable: %q, then %q", got, again)
		}
		if c := flow.ColorText(s); flow.PlainText(c) != got {
			t.Fatalf("ColorText differs in more than colours: %q, %q", c, got)
		}
		line, n := flow.FirstFailure(s)
		if n < 0 || n > strings.Count(s, "\n")+1 || (line != "") != (n > 0) {
			t.Fatalf("FirstFailure = %q, %d", line, n)
		}
	})
}
