package main_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cromt/cromt/flow"
)

// dag is a random flow whose jobs write down that they started and how they ended.
type dag struct {
	dir    string // of the run: jobs.yaml, ledger, journal, report
	mark   string // in the environment of every process of its jobs
	jobs   []dagJob
	secret bool // some of its jobs have the secret
}

// dagJob is a project with one job. It needs only jobs before it.
type dagJob struct {
	needs  []int
	queue  string // its queue-id
	naps   int    // milliseconds
	exit   int
	ignore bool // its failure does not count
	secret bool // it prints the secret
	daemon bool // it leaves a process behind
	retry  bool // it is run again when it is lost
}

// dagStep is what all of them run.
const dagStep = `printf 'S %s %s\n' "$KEY" "$SPARKY_JOB_ID" >> "$LEDGER"
[ -z "${TOKEN:-}" ] || echo "the token is $TOKEN"
[ "$DAEMON" = 0 ] || setsid sleep 600 > /dev/null 2>&1 < /dev/null &
sleep "$NAP"
echo "$KEY is done"
printf 'E %s %s %s\n' "$KEY" "$SPARKY_JOB_ID" "$CODE" >> "$LEDGER"
exit "$CODE"
`

// newDAG returns a flow of least to most jobs.
func newDAG(rng *rand.Rand, dir string, least, most int) *dag {
	d := &dag{dir: dir, mark: fmt.Sprintf("%x", rng.Uint64()), jobs: make([]dagJob, least+rng.IntN(most-least+1))}
	for i := range d.jobs {
		j := &d.jobs[i]
		for range min(i, rng.IntN(4)) {
			if n := max(0, i-1-rng.IntN(8)); !contains(j.needs, n) {
				j.needs = append(j.needs, n)
			}
		}
		j.naps = rng.IntN(150)
		switch rng.IntN(25) {
		case 0:
			j.exit = 1 + rng.IntN(100)
		case 1:
			j.exit, j.ignore = 3, true
		case 2, 3, 4:
			j.queue = fmt.Sprintf("q%d", rng.IntN(2))
		}
		j.daemon = rng.IntN(3) == 0
		j.secret = rng.IntN(4) == 0
		j.retry = rng.IntN(2) == 0
		d.secret = d.secret || j.secret
	}
	return d
}

func contains(list []int, n int) bool {
	for _, m := range list {
		if m == n {
			return true
		}
	}
	return false
}

func (d *dag) path(name string) string { return filepath.Join(d.dir, name) }

// write writes jobs.yaml; scripts is the folder with the step.
func (d *dag) write(t testing.TB, scripts, url string) {
	t.Helper()
	write(t, d.path("jobs.yaml"), d.yaml(scripts, url))
}

func (d *dag) yaml(scripts, url string) string {
	var y strings.Builder
	y.WriteString("projects:\n")
	for i, j := range d.jobs {
		daemon := 0
		if j.daemon {
			daemon = 1
		}
		fmt.Fprintf(&y, "  p%d:\n    path: %s\n    action: step\n    url: %s\n", i, scripts, url)
		fmt.Fprintf(&y, "    vars: {KEY: p%d, LEDGER: %s, MARK: %s, NAP: '%.3f', CODE: %d, DAEMON: %d}\n",
			i, d.path("ledger"), d.mark, float64(j.naps)/1000, j.exit, daemon)
		if j.secret {
			y.WriteString("    secrets: [TOKEN]\n")
		}
		if j.queue != "" {
			fmt.Fprintf(&y, "    queue-id: %s\n", j.queue)
		}
		if j.ignore {
			y.WriteString("    ignore_errors: true\n")
		}
		if j.retry {
			y.WriteString("    retry: {limit: 20, delay: 1, backoff: 1, on: [lost]}\n")
		}
		if len(j.needs) > 0 {
			y.WriteString("    before:\n")
			for _, n := range j.needs {
				fmt.Fprintf(&y, "      - name: p%d\n", n)
			}
		}
	}
	return y.String()
}

// ends are the conclusions when nothing goes wrong but what is meant to.
func (d *dag) ends() []flow.Conclusion {
	ends := make([]flow.Conclusion, len(d.jobs))
	for i, j := range d.jobs {
		ends[i] = j.ended()
		for _, n := range j.needs {
			if !ends[n].Passed() {
				ends[i] = flow.Skipped
			}
		}
	}
	return ends
}

// ended is the conclusion when it has run to its end.
func (j *dagJob) ended() flow.Conclusion {
	switch {
	case j.exit == 0:
		return flow.Success
	case j.ignore:
		return flow.Neutral
	}
	return flow.Failure
}
