package flow_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"

	"github.com/cromt/cromt/flow"
)

func TestMaskString(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"none", "nothing here", "nothing here"},
		{"whole", "hunter22", "***"},
		{"inside", "user:hunter22@host", "user:***@host"},
		{"twice", "hunter22 hunter22", "*** ***"},
		{"adjacent", "hunter22hunter22", "***"},
		{"beginning only", "hunter2", "hunter2"},
		{"false start", "hunhunter22ter22", "hun***ter22"},
		{"longest", "abcdefgh", "***"},
		{"shorter one inside a broken longer one", "abcdefgX", "***efgX"},
		{"overlapping", "xyzxyzxyz.", "***."},
		{"file's newline", "[swordfish]", "[***]"},
		{"line of a key", "debug: MIIEvQIBADANBg", "debug: ***"},
		{"short line of a key", "end", "end"},
		{"json", `{"k":"a\"b\u003cc\\d"}`, `{"k":"***"}`},
		{"json without html", `{"k":"a\"b<c\\d"}`, `{"k":"***"}`},
		{"url", "?k=a%22b%3Cc%5Cd&x", "?k=***&x"},
		{"url, lower case", "?k=a%22b%3cc%5cd&x", "?k=***&x"},
		{"base64", "aHVudGVyMjI= aHVudGVyMjI", "*** ***"},
	}
	secrets := []string{"hunter22", "abcd", "abcdefgh", "xyzxyz", "swordfish\n", "-----\nMIIEvQIBADANBg\nend\n", `a"b<c\d`, "", " \n"}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := flow.MaskString(tt.in, secrets); got != tt.want {
				t.Errorf("MaskString(%q) = %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}

func TestMaskerPassesThroughWithoutSecrets(t *testing.T) {
	var b bytes.Buffer
	w := flow.NewMasker(&b, []string{""})
	buf := make([]byte, 4096)
	if n := testing.AllocsPerRun(100, func() { b.Reset(); _, _ = w.Write(buf) }); n > 0 {
		t.Errorf("%v allocations per write without secrets, want 0", n)
	}
	if b.Len() != len(buf) {
		t.Errorf("%d bytes passed on, want %d", b.Len(), len(buf))
	}
}

func TestMaskerHoldsBackOnlyPossibleSecrets(t *testing.T) {
	var b bytes.Buffer
	w := flow.NewMasker(&b, []string{"swordfish"})
	for _, step := range []struct{ write, total string }{
		{"line 1\nswo", "line 1\n"},
		{"rd", "line 1\n"},
		{"!\n", "line 1\nsword!\n"},
		{"swordfis", "line 1\nsword!\n"},
		{"h!", "line 1\nsword!\n***!"},
		{"sw", "line 1\nsword!\n***!"},
	} {
		if _, err := io.WriteString(w, step.write); err != nil {
			t.Fatal(err)
		}
		if b.String() != step.total {
			t.Fatalf("after %q: %q, want %q", step.write, b.String(), step.total)
		}
	}
	if err := w.Flush(); err != nil || !strings.HasSuffix(b.String(), "***!sw") {
		t.Errorf("after Flush: %q, %v", b.String(), err)
	}
}

func TestMaskerReturnsWriteError(t *testing.T) {
	want := errors.New("disk full")
	r, pw := io.Pipe()
	_ = r.CloseWithError(want)
	if _, err := flow.NewMasker(pw, []string{"s3cret"}).Write([]byte("text")); !errors.Is(err, want) {
		t.Errorf("Write returned %v, want %v", err, want)
	}
}

// randomSecret has any bytes, some of them repeated, so that secrets overlap themselves.
func randomSecret(r *rand.Rand) string {
	b := make([]byte, 8+r.IntN(40))
	for i := range b {
		switch r.IntN(4) {
		case 0:
			b[i] = byte(r.IntN(256))
		case 1:
			b[i] = "ab"[r.IntN(2)]
		default:
			b[i] = byte(33 + r.IntN(94))
		}
	}
	return string(b)
}

// forms are the ways in which a program may print s, each with the text that must not be seen.
func forms(r *rand.Rand, s string) map[string]string {
	quoted, _ := json.Marshal(s)
	before, after := strings.Repeat("<", r.IntN(4)), strings.Repeat(">", r.IntN(4))
	return map[string]string{
		s: s,
		base64.StdEncoding.EncodeToString([]byte(s)):                  base64.RawStdEncoding.EncodeToString([]byte(s)),
		base64.RawURLEncoding.EncodeToString([]byte(s)):               base64.RawURLEncoding.EncodeToString([]byte(s)),
		base64.StdEncoding.EncodeToString([]byte(before + s + after)): inner(s, len(before)),
		url.QueryEscape(s): url.QueryEscape(s),
		string(quoted):     string(quoted[1 : len(quoted)-1]),
	}
}

func inner(s string, before int) string {
	text := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("<", before) + s))
	return text[(before*8+5)/6 : (before+len(s))*8/6]
}

func TestMaskerLeaksNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	secrets := make([]string, 1000)
	for i := range secrets {
		secrets[i] = randomSecret(r)
	}
	mask := flow.NewMask(secrets)
	for i, s := range secrets {
		var text bytes.Buffer
		var want []string
		for printed, forbidden := range forms(r, s) {
			fmt.Fprintf(&text, "%s<<%s>>\n", s[:r.IntN(len(s))], printed)
			want = append(want, forbidden)
		}
		size := 1 + i%64
		var out bytes.Buffer
		w := mask.Writer(&out)
		for rest := text.Bytes(); len(rest) > 0; {
			n := min(size, len(rest))
			if _, err := w.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		for _, forbidden := range want {
			if strings.Contains(out.String(), forbidden) {
				t.Errorf("secret %q leaks as %q with writes of %d bytes", s, forbidden, size)
			}
		}
		if whole := mask.String(text.String()); whole != out.String() {
			t.Errorf("writes of %d bytes give another text than one write", size)
		}
	}
}

// FuzzMasker compares with the plain meaning: every byte of an occurrence is
// replaced, the rest stays.
func FuzzMasker(f *testing.F) {
	f.Add("aXbXc", "b", "bXc", uint8(1))
	f.Add("aaaaabaaaab", "aab", "ba", uint8(3))
	f.Fuzz(func(t *testing.T, text, s1, s2 string, size uint8) {
		// A mask can be told from the text only when the text has no asterisk.
		text, s1, s2 = strings.ReplaceAll(text, "*", "+"), strings.ReplaceAll(s1, "*", "+"), strings.ReplaceAll(s2, "*", "+")
		var out strings.Builder
		w := flow.NewMasker(&out, []string{s1, s2})
		for rest := text; rest != ""; {
			n := min(int(size)+1, len(rest))
			if _, err := io.WriteString(w, rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		rest := text
		for part := range strings.SplitSeq(out.String(), flow.MaskText) {
			i := strings.Index(rest, part)
			if i < 0 {
				t.Fatalf("%q is not in what is left of %q", part, text)
			}
			rest = rest[i+len(part):]
		}
		for _, s := range []string{s1, s2} {
			if strings.TrimSpace(s) != "" && strings.Contains(out.String(), s) {
				t.Fatalf("%q is in %q", s, out.String())
			}
		}
	})
}

func BenchmarkMasker(b *testing.B) {
	line := []byte(strings.Repeat("2026-01-02 some ordinary output of a build, 42 files\n", 80))
	for _, n := range []int{0, 1, 100} {
		b.Run(fmt.Sprintf("secrets=%d", n), func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 2))
			var secrets []string
			for range n {
				secrets = append(secrets, randomSecret(r))
			}
			w := flow.NewMasker(io.Discard, secrets)
			b.SetBytes(int64(len(line)))
			for b.Loop() {
				_, _ = w.Write(line)
			}
		})
	}
}
