package sparky_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/cromt/cromt/sparky"
)

func TestDirect(t *testing.T) {
	want := sparky.Direct{Argv: []string{"/opt/my tools/cromt", "run", "--var", "A=<b>&\n'\"é", ""}, Dir: "~/flow"}
	line, err := want.Line()
	if err != nil || strings.Count(line, "\n") != 1 || !strings.HasPrefix(line, `# cromt: {"argv":["/opt/my tools/cromt","run","--var","A=<b>&\n`) {
		t.Fatalf("%q %v", line, err)
	}
	got, err := sparky.ParseDirect(line + "bash 'cromt run';\n")
	if err != nil || got == nil || !reflect.DeepEqual(*got, want) {
		t.Errorf("%+v %v", got, err)
	}
	for _, none := range []string{"", "use v6;\n" + line, "#cromt: {}", "say 1;"} {
		if got, err := sparky.ParseDirect(none); got != nil || err != nil {
			t.Errorf("%q: %+v %v", none, got, err)
		}
	}
	for _, bad := range []string{
		`{}`, `{"argv":[],"dir":"/"}`, `{"argv":[""],"dir":"/"}`, `{"argv":["cromt"]}`, `{"argv":["cromt"],"dir":"here"}`, `{"argv":["cromt"],"dir":"~other"}`,
		`{"argv":["./cromt"],"dir":"/"}`, `{"argv":["cromt","\u0000"],"dir":"/"}`, `{"argv":["cromt"],"dir":"/"} x`, `{"argv":["cromt"],"dir":"/","shell":true}`, `{`, ``,
	} {
		if got, err := sparky.ParseDirect("# cromt: " + bad + "\nsay 1;"); err == nil {
			t.Errorf("%s: %+v", bad, got)
		}
	}
	if _, err := (sparky.Direct{Argv: []string{"cromt"}, Dir: "."}).Line(); err == nil {
		t.Error("a line that cannot be read was written")
	}
}
