package tomtit

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// FuzzParseScenario checks that any text is either read or refused with a
// place within it.
func FuzzParseScenario(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		ar, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range ar.Files {
			if filepath.Ext(file.Name) == ".raku" {
				f.Add(string(file.Data))
			}
		}
	}
	f.Fuzz(func(t *testing.T, src string) {
		prog, err := parseScenario("f", src)
		var refused *Unsupported
		if err != nil && (!errors.As(err, &refused) || refused.Line < 1 || refused.Col < 1) {
			t.Fatalf("%v", err)
		}
		if err != nil {
			return
		}
		in := &interp{r: &Runner{Env: os.Environ()}, vars: map[string]any{}, config: map[string]any{}}
		for _, s := range prog.stmts {
			for _, a := range s.args {
				_ = parameter(in.eval(a))
			}
			if s.name == "my" {
				in.vars[s.variable] = in.eval(s.args[0])
			}
		}
	})
}
