package flow_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cromt/cromt/flow"
)

var update = flag.Bool("update", false, "write the golden files of testdata/jobs/err")

// plannerCases begin the names of error files that only planning finds.
const plannerCases = "plan-"

func files(t testing.TB, folder string) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("..", "testdata", "jobs", folder, "*.yaml"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no files in %s: %v", folder, err)
	}
	all := make(map[string][]byte)
	for _, name := range names {
		if strings.HasPrefix(filepath.Base(name), plannerCases) {
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = data
	}
	return all
}

func TestParseOK(t *testing.T) {
	for name, data := range files(t, "ok") {
		t.Run(filepath.Base(name), func(t *testing.T) {
			f, err := flow.Parse("jobs.yaml", data)
			if err != nil {
				t.Fatal(err)
			}
			if len(f.Projects) == 0 {
				t.Error("no projects")
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	for name, data := range files(t, "err") {
		t.Run(filepath.Base(name), func(t *testing.T) {
			_, err := flow.Parse("jobs.yaml", data)
			if err == nil {
				t.Fatal("parsed without an error")
			}
			var list flow.ErrorList
			if !errors.As(err, &list) {
				t.Fatalf("error is a %T", err)
			}
			golden := strings.TrimSuffix(name, ".yaml") + ".err"
			got := err.Error() + "\n"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}
