package flow_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/cromt/cromt/flow"
)

// Each file of testdata/failure is the number and text of the line that says
// why, an empty line, and the log.
func TestFirstFailure(t *testing.T) {
	files, err := filepath.Glob("testdata/failure/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no logs: %v", err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			head, log, _ := strings.Cut(string(data), "\n\n")
			num, want, _ := strings.Cut(head, " ")
			wantN, err := strconv.Atoi(num)
			if err != nil {
				t.Fatal(err)
			}
			if got, n := flow.FirstFailure(log); got != want || n != wantN {
				t.Errorf("got  %d %q\nwant %d %q", n, got, wantN, want)
			}
		})
	}
}

func TestFirstFailureOfNothing(t *testing.T) {
	for _, log := range []string{"", "\n\n", "[task run: task.bash - tasks/x]\n[task stdout]\ntask exit status: 1\n"} {
		if line, n := flow.FirstFailure(log); line != "" || n != 0 {
			t.Errorf("FirstFailure(%q) = %q, %d", log, line, n)
		}
	}
}

func TestFirstFailureCarriageReturns(t *testing.T) {
	line, n := flow.FirstFailure("one\r\nfetch 10%\rfetch 20%\rfatal: early EOF\r\ntwo\n")
	if line != "fatal: early EOF" || n != 2 {
		t.Errorf("got %q, %d", line, n)
	}
}
