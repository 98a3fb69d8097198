//go:build unix

package tomtit_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cromt/cromt/sparky/tomtit"
)

// runScenario runs one action of a checkout given as files, and returns what
// it printed without times.
func runScenario(t *testing.T, files map[string]string, env ...string) (string, string) {
	t.Helper()
	a := &archive{}
	for name, text := range files {
		a.files = append(a.files, [2]string{name, text})
	}
	dir := checkout(t, a)
	var out bytes.Buffer
	r := &tomtit.Runner{Dir: dir, Env: append(baseEnv(t), append(env, "SP6_LOG_NO_TIMESTAMPS=1")...), Out: &out, Cache: t.TempDir()}
	code, err := r.Run(t.Context(), "x", []string{"--quiet"})
	if code != 0 || err != nil {
		t.Fatalf("exit code %d, %v, output:\n%s", code, err, out.String())
	}
	return out.String(), dir
}

// The numbers that a real Raku makes of text in the environment.
func TestNumericText(t *testing.T) {
	tests := []struct{ text, want string }{
		{"007", "7"}, {"1e3", "1000"}, {"1E3", "1000"}, {"0x10", "16"}, {"0b11", "3"}, {"0o17", "15"}, {"0d9", "9"},
		{"1_000", "1000"}, {"1__0", "1__0"}, {"_1", "_1"}, {"1_", "1_"}, {" 1", "1"}, {"1\t\n", "1"}, {"\u00a01", "1"},
		{"1/3", "0.333333"}, {"2/4", "0.5"}, {"22/7", "3.142857"}, {"10/5", "2"}, {"1/-3", "-0.333333"}, {"1/0x10", "0.0625"},
		{"1/1024", "0.000977"}, {"1/30000000", "0.000000033"}, {"1e3/2", "500"}, {"1/3_0", "0.033333"},
		{"1.50", "1.5"}, {"1.", "1."}, {".5", "0.5"}, {"-.5", "-0.5"}, {"+5", "5"}, {"-0", "0"}, {"-0.0", "0"}, {"−5", "-5"},
		{"1.0", "1"}, {"1e-5", "1e-05"}, {"1e-4", "0.0001"}, {"1e15", "1e+15"}, {"1e21", "1e+21"}, {"123456789.123456789e0", "123456789.12345679"},
		{"5e-324", "5e-324"}, {"1.7976931348623157e308", "1.7976931348623157e+308"},
		{"123456789012345678901234567890", "123456789012345678901234567890"}, {"0.1234567890123456789", "0.1234567890123456789"},
		{"0.0000001", "0.0000001"}, {"0x1.8", "1.5"}, {"0xFF_FF", "65535"}, {"0x_1", "1"}, {"0X10", "0X10"}, {"0x", "0x"},
		{"Inf", ""}, {"-Inf", ""}, {"NaN", ""}, {"1e400", ""}, {"", "0"}, {" ", " "}, {"٣", "3"}, {"０１２", "12"},
		{"½", "½"}, {"1i", "1i"}, {"abc", "abc"}, {"12abc", "12abc"}, {"True", "True"}, {"1 2", "1 2"}, {"1.2.3", "1.2.3"}, {"1e", "1e"},
		{`a "b" c`, `a "b" c`}, {strings.Repeat("9", 5000), strings.Repeat("9", 5000)}, {"1e99999999999", ""}, {"1e-99999999999", "0"},
	}
	var env []string
	var scenario, script strings.Builder
	scenario.WriteString(`task-run "t", %(`)
	for i, tt := range tests {
		env = append(env, fmt.Sprintf("V%d=%s", i, tt.text))
		fmt.Fprintf(&scenario, "v%d => %%*ENV<V%d>,\n", i, i)
		fmt.Fprintf(&script, "config v%d; printf ' <%%s>|\\n' \"$V%d\"\n", i, i)
	}
	out, _ := runScenario(t, map[string]string{".tom/x.raku": scenario.String() + ");", "t/task.bash": script.String()}, env...)
	got := strings.Split(out, "|\n")
	for i, tt := range tests {
		if want := tt.want + " <" + tt.text + ">"; got[i] != want {
			t.Errorf("%q: got %q, want %q", tt.text, got[i], want)
		}
	}
}

// Every value must reach every kind of task byte for byte, and run nothing.
func TestValuesByteForByte(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	const special = "\"'`$(){};&|<>\\\n\r\t *?[]~#!%=\x01\x7f\xff\xc3\x28\xed\xa0\x80"
	for batch := range 10 {
		var env []string
		var params, envvars, script strings.Builder
		values := make([]string, 100)
		for i := range values {
			b := []byte("x") // not a number
			for range rnd.IntN(40) {
				if rnd.IntN(2) == 0 {
					b = append(b, special[rnd.IntN(len(special))])
				} else {
					b = append(b, byte(1+rnd.IntN(255)))
				}
			}
			values[i] = string(b)
			env = append(env, fmt.Sprintf("V%d=%s", i, b))
			fmt.Fprintf(&params, "v%d => %%*ENV<V%d>, ", i, i)
			fmt.Fprintf(&envvars, "W%d => %%*ENV<V%d>, ", i, i)
			fmt.Fprintf(&script, "{ config v%d; printf '\\0'; task_var t%d; printf '\\0%%s\\0' \"$t%d\"; } >>\"$OUT\"\n", i, i, i)
		}
		dir := t.TempDir()
		files := map[string]string{
			".tom/x.raku": fmt.Sprintf("task-run \"t\", %%( %s );\nbash 'for i in {0..99}; do n=W$i; printf \"%%s\\0\" \"${!n}\" >>\"$OUT.env\"; done', %%( envvars => { %s } );\n"+
				"task-run \"py\", %%( %s );\ntask-run \"pl\", %%( %s );\n", &params, &envvars, &params, &params),
			"t/hook.bash":         "for i in {0..99}; do n=V$i; a+=(\"t$i\" \"${!n}\"); done; run_task s \"${a[@]}\"\n",
			"t/tasks/s/task.bash": script.String(),
			"py/task.py":          "from sparrow6lib import *\nwith open(__import__('os').environ['OUT'] + '.py', 'wb') as f:\n  for i in range(100): f.write(config()['v%d' % i].encode('utf-8', 'surrogateescape') + b'\\0')\n",
			"pl/task.pl":          "open(my $f, '>:raw', \"$ENV{OUT}.pl\"); print $f config()->{\"v$_\"}, \"\\0\" for 0..99;\n",
		}
		_, work := runScenario(t, files, append(env, "OUT="+filepath.Join(dir, "out"))...)
		compare(t, batch, filepath.Join(dir, "out"), values, 3)
		for _, kind := range []string{".env", ".py", ".pl"} {
			compare(t, batch, filepath.Join(dir, "out"+kind), values, 1)
		}
		if entries, _ := os.ReadDir(work); len(entries) != 4 {
			t.Errorf("batch %d: a value made a file: %v", batch, entries)
		}
	}
}

// compare compares NUL-terminated fields, of which each value has several.
func compare(t *testing.T, batch int, file string, values []string, copies int) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Split(string(b), "\x00")
	if len(fields) != len(values)*copies+1 {
		t.Fatalf("batch %d: %s has %d fields", batch, filepath.Base(file), len(fields))
	}
	for i, f := range fields[:len(fields)-1] {
		if want := values[i/copies]; f != want {
			t.Errorf("batch %d: %s, field %d: got %q, want %q", batch, filepath.Base(file), i, f, want)
		}
	}
}

func TestLargeValue(t *testing.T) {
	long := strings.Repeat("0123456789abcde\n", 8000)
	out, _ := runScenario(t, map[string]string{
		".tom/x.raku": `task-run "t", %( a => "b", long => %*ENV<LONG>, z => 1 );`,
		"t/task.bash": "config long | wc -c | tr -d ' '; config z",
	}, "LONG="+long[:100_000])
	if out != "100000\n1\n" {
		t.Errorf("got %q", out)
	}
}

func TestLongLinesAndMuchStderr(t *testing.T) {
	out, _ := runScenario(t, map[string]string{
		".tom/x.raku": `task-run "t";`,
		"t/task.bash": "head -c 200000 /dev/zero | tr '\\0' x; echo; yes e | head -c 9000000 >&2; echo end >&2",
	})
	head, rest, _ := strings.Cut(out, "\n(")
	if got := strings.ReplaceAll(head, "\n", ""); got != strings.Repeat("x", 200000) || strings.Count(head, "\n") != 200000/tomtit.MaxLine {
		t.Errorf("%d bytes of the long line, in %d pieces", len(got), 1+strings.Count(head, "\n"))
	}
	if len(rest) < tomtit.MaxStderr || len(rest) > 2*tomtit.MaxStderr || !strings.HasSuffix(rest, "e\nend\n") || !strings.Contains(rest, "bytes before this were dropped") {
		t.Errorf("%d bytes of stderr, beginning %.80q", len(rest), rest)
	}
}
