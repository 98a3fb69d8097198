package tomtit

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cromt/cromt/flow"
)

// FuzzParseScenario parses any text as a scenario and as a configuration, and
// evaluates what is accepted: no text may crash the runner, take more than its
// bounds, or be refused without a place inside of it.
func FuzzParseScenario(f *testing.F) {
	for _, pattern := range []string{"testdata/*.txtar", "testdata/refused/*.txtar"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			f.Fatal("no testdata", err)
		}
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			for part := range strings.SplitSeq(string(b), "\n-- ") {
				if name, text, ok := strings.Cut(part, " --\n"); ok && strings.HasSuffix(name, ".raku") {
					f.Add(text)
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, src string) {
		s := &scope{env: map[string]string{"N": "007"}, config: map[string]any{"a": list{[]any{nil, true}, true}}, vars: map[string]any{}, left: 1 << 20}
		sc, err := parseScenario("x", src)
		checkRefusal(t, src, err)
		if err == nil {
			for _, stmt := range sc.stmts {
				for _, a := range stmt.args {
					v := s.eval(a)
					var b strings.Builder
					writeGist(&b, v)
					appendJSON(nil, configValue(v))
					if stmt.name != "" {
						s.assign(stmt.name, v)
					}
				}
			}
		}
		e, err := parseConfig("x", src)
		checkRefusal(t, src, err)
		if err == nil {
			s.eval(e)
		}
	})
}

func checkRefusal(t *testing.T, src string, err error) {
	if err == nil {
		return
	}
	var e *flow.Error
	if !errors.As(err, &e) || e.Msg == "" || e.Pos.Line < 1 || e.Pos.Col < 1 || e.Pos.Line > strings.Count(src, "\n")+1 || e.Pos.Col > len(src)+1 {
		t.Errorf("refused with %#v", err)
	}
}
