package main_test

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// figures are what benchmarks have reported, by their names and units.
type figures struct {
	of    map[string]map[string]float64
	cpu   string
	cores string
}

var (
	benchLine = regexp.MustCompile(`^Benchmark(\S+?)(?:-(\d+))?\s+\d+\s+(.*)$`)
	attrLine  = regexp.MustCompile(`^=== ATTR\s+(\S+) (\S+) (\S+)$`)
)

// readFigures reads the output of go test, of several packages.
func readFigures(r io.Reader) (*figures, error) {
	f := &figures{of: map[string]map[string]float64{}, cores: "1"}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if cpu, ok := strings.CutPrefix(line, "cpu: "); ok {
			f.cpu = cpu
		}
		if m := attrLine.FindStringSubmatch(line); m != nil {
			if err := f.add(m[1], m[2], strings.TrimSuffix(strings.Replace(m[3], "ms", "e-3", 1), "s")); err != nil {
				return nil, err
			}
		}
		m := benchLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		f.cores = cmp.Or(m[2], f.cores)
		for pair := range slices.Chunk(strings.Fields(m[3]), 2) {
			if len(pair) < 2 {
				return nil, fmt.Errorf("benchmark %s: no unit after %s", m[1], pair[0])
			}
			if err := f.add(m[1], pair[1], pair[0]); err != nil {
				return nil, err
			}
		}
	}
	return f, lines.Err()
}

func (f *figures) add(name, unit, value string) error {
	v, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return fmt.Errorf("benchmark %s: %s: %w", name, unit, err)
	}
	if f.of[name] == nil {
		f.of[name] = map[string]float64{}
	}
	f.of[name][unit] = v
	return nil
}

// tableRow is one thing that was measured.
type tableRow struct {
	what    string
	bench   string   // name of the benchmark
	ours    []figure // in the second column
	targets []target
	peers   bool
}

// figure is a unit of a benchmark, and how it is written.
type figure struct{ unit, text string }

// target is the largest value of a unit, or the smallest, that is aimed at.
type target struct {
	unit  string
	limit float64
	least bool
	text  string
}

// dagRow is a row about a DAG of trivial steps.
func dagRow(what, shape string, wall float64, more ...target) tableRow {
	return tableRow{
		what: what, bench: "Peers/" + shape, peers: true,
		ours:    []figure{{"cromt/wall", "%s × wall"}, {"cromt/cpu", "%s × CPU"}, {"cromt/MiB", "%s"}, {"agent/MiB", "+ %s MiB"}},
		targets: append([]target{{"cromt/wall", wall, false, "≤ %s × wall"}, {"cromt/cpu", 2, false, "≤ %s × CPU"}}, more...),
	}
}

func tableRows() []tableRow {
	rows := []tableRow{
		{
			what: "1 step", bench: "Peers/one", peers: true,
			ours: []figure{{"cromt/wall", "%s × wall"}, {"cromt/cpu", "%s × CPU"}, {"cromt/MiB", "%s"}, {"agent/MiB", "+ %s MiB"}},
		},
		dagRow("100 steps in parallel", "parallel100", 1.5),
		dagRow("a chain of 100 steps", "chain100", 2),
		dagRow("1,000 steps in 10 layers", "layers10x100", 2),
		dagRow("10,000 steps in 100 layers", "layers100x100", 2, target{"cromt/MiB", 40, false, "≤ %s MiB"}),
	}
	for _, hosts := range []string{"10", "100", "1,000", "10,000"} {
		row := tableRow{
			what: "waiting for " + hosts + " hosts", bench: "WaitHosts/" + strings.ReplaceAll(hosts, ",", ""),
			ours: []figure{{"%core", "%s %% of a core"}, {"KiB/host", "%s KiB a host"}, {"p50-ms", "news p50 %s"}, {"p99-ms", "p99 %s ms"}},
		}
		if hosts == "10,000" {
			row.targets = []target{{"%core", 20, false, "≤ %s %%"}, {"KiB/host", 32, false, "≤ %s KiB"}, {"p99-ms", 5, false, "p99 ≤ %s ms"}}
		}
		rows = append(rows, row)
	}
	for _, db := range [][2]string{{"SQLite", "sqlite"}, {"PostgreSQL", "postgres"}} {
		times := []figure{{"p50-ms", "p50 %s"}, {"p99-ms", "p99 %s"}, {"max-ms", "max %s ms"}}
		rows = append(rows,
			tableRow{
				what: "webhook of 30 KiB acknowledged, " + db[0], bench: "ServeAck/" + db[1] + "/one", ours: times,
				targets: []target{{"p99-ms", 10, false, "p99 ≤ %s ms"}},
			},
			tableRow{
				what: "the same from 64 senders, " + db[0], bench: "ServeAck/" + db[1] + "/senders64",
				ours:    append([]figure{{"acks/s", "%s a second"}}, times...),
				targets: []target{{"acks/s", 1000, true, "≥ %s a second"}},
			},
			tableRow{
				what: "push to first line of the job, " + db[0], bench: "ServeStart/" + db[1], ours: times,
				targets: []target{{"p50-ms", 20, false, "p50 ≤ %s ms"}, {"max-ms", 100, false, "max ≤ %s ms"}},
			})
	}
	rows = append(rows, tableRow{
		what: "a replica killed to another with its run", bench: "ServeFailover",
		ours:    []figure{{"p50-ms", "p50 %s"}, {"max-ms", "max %s ms"}},
		targets: []target{{"max-ms", 5000, false, "≤ %s ms"}},
	})
	for _, db := range [][2]string{{"SQLite", "sqlite"}, {"PostgreSQL", "postgres"}} {
		for _, b := range [][2]string{{"deliveries stored and queued", "Accept"}, {"events of runs journalled", "Transitions"}} {
			for _, writers := range []string{"1", "16", "256"} {
				rows = append(rows, tableRow{
					what: b[0] + ", " + writers + " at once, " + db[0], bench: b[1] + "/" + db[1] + "/writers" + writers, ours: []figure{{"writes/s", "%s a second"}},
				})
			}
		}
	}
	for _, jobs := range []string{"25", "100", "1,000"} {
		rows = append(rows, tableRow{
			what: "what a run of " + jobs + " jobs in 300 s, 5 % fail, writes to GitHub", bench: "TestCost/" + strings.ReplaceAll(jobs, ",", "") + "_jobs,_5%_fail,_spread",
			ours:    []figure{{"writes", "%s writes"}, {"writes-a-minute", "%s in a minute"}, {"late", "last one %s s after the end"}},
			targets: []target{{"writes", 120, false, "≤ %s"}, {"writes-a-minute", 60, false, "≤ %s"}, {"late", 2, false, "≤ %s s"}},
		})
	}
	return append(rows, tableRow{
		what: "a file of 10,000 projects read, checked, planned", bench: "File10000",
		ours: []figure{{"ns/op", "%s ms"}}, targets: []target{{"ns/op", 250e6, false, "≤ %s ms"}},
	})
}

// table is all that was measured as Markdown.
func (f *figures) table() string {
	var b strings.Builder
	loads := slices.Sorted(func(yield func(float64) bool) {
		for _, units := range f.of {
			if load, ok := units["load"]; ok && !yield(load) {
				return
			}
		}
	})
	fmt.Fprintf(&b, "%s cores (%s)", f.cores, cmp.Or(f.cpu, "unknown"))
	if len(loads) > 0 {
		fmt.Fprintf(&b, ", load %s to %s when each measurement began", short(loads[0]), short(loads[len(loads)-1]))
	}
	b.WriteString(".")
	if absent := f.absent(); len(absent) > 0 {
		fmt.Fprintf(&b, " Not installed, and so left out: %s.", strings.Join(absent, ", "))
	}
	b.WriteString("\n\n| measured | cromt | aim | others in the same run, × wall / × CPU, MiB |\n|---|---|---|---|\n")
	for _, row := range tableRows() {
		units := f.of[row.bench]
		if units == nil {
			continue
		}
		var ours, aims []string
		for _, o := range row.ours {
			ours = append(ours, fmt.Sprintf(o.text, short(inUnit(o.unit, units[o.unit]))))
		}
		for _, t := range row.targets {
			aim := fmt.Sprintf(t.text, short(inUnit(t.unit, t.limit)))
			if t.least && units[t.unit] < t.limit || !t.least && units[t.unit] > t.limit {
				aim += " **missed**"
			}
			aims = append(aims, aim)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", row.what, strings.ReplaceAll(strings.Join(ours, ", "), ", + ", " + "), strings.Join(aims, ", "), others(row, units))
	}
	return b.String()
}

// others are the peers of a row.
func others(row tableRow, units map[string]float64) string {
	if !row.peers {
		return ""
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(units)) {
		name, ok := strings.CutSuffix(name, "/wall")
		if ok && name != "cromt" {
			all = append(all, fmt.Sprintf("%s %s / %s, %s", name, short(units[name+"/wall"]), short(units[name+"/cpu"]), short(units[name+"/MiB"])))
		}
	}
	return strings.Join(all, "; ")
}

// absent are the peers that nothing was measured of.
func (f *figures) absent() (names []string) {
	if f.of["Peers/one"] == nil {
		return nil
	}
	for _, p := range []string{"act", "make", "ninja", "rake", "task"} {
		if _, ok := f.of["Peers/one"][p+"/wall"]; !ok {
			names = append(names, p)
		}
	}
	return names
}

func inUnit(unit string, v float64) float64 {
	if unit == "ns/op" {
		return v / 1e6
	}
	return v
}

// short writes a number with three digits, or all of its whole part.
func short(v float64) string {
	if v == 0 {
		return "0"
	}
	digits := max(0, 2-int(math.Floor(math.Log10(math.Abs(v)))))
	s := strconv.FormatFloat(v, 'f', digits, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

const benchSample = `goos: linux
cpu: A Processor
BenchmarkPeers/one-2         	       5	        23.07 act/MiB	        11.44 act/cpu	        19.15 act/wall	        28.50 agent/MiB	        25.93 cromt/MiB	         4.254 cromt/cpu	         5.492 cromt/wall	        23.54 floor/ms	         1.200 load	         2.234 make/MiB	         0.6639 make/cpu	         1.120 make/wall
BenchmarkPeers/parallel100-2 	       5	        30.96 agent/MiB	        28.62 cromt/MiB	         1.887 cromt/cpu	         1.513 cromt/wall	         0.3 load
PASS
cpu: A Processor
BenchmarkServeAck/sqlite/senders64-2 	    5000	      1234 acks/s	         0.5000 cpu-ms/ack	         0.2 load	       100.4 max-ms	        52.20 p50-ms	        78.10 p99-ms
BenchmarkFile10000-2                 	       6	 198765432 ns/op
=== RUN   TestCost/1000_jobs,_5%_fail,_spread
=== ATTR  TestCost/1000_jobs,_5%_fail,_spread writes 121
=== ATTR  TestCost/1000_jobs,_5%_fail,_spread writes-a-minute 52
=== ATTR  TestCost/1000_jobs,_5%_fail,_spread late 40ms
ok  	github.com/cromt/cromt/cmd/cromt	154.115s
`

const benchSampleTable = `2 cores (A Processor), load 0.2 to 1.2 when each measurement began. Not installed, and so left out: ninja, rake, task.

| measured | cromt | aim | others in the same run, × wall / × CPU, MiB |
|---|---|---|---|
| 1 step | 5.49 × wall, 4.25 × CPU, 25.9 + 28.5 MiB |  | act 19.1 / 11.4, 23.1; make 1.12 / 0.664, 2.23 |
| 100 steps in parallel | 1.51 × wall, 1.89 × CPU, 28.6 + 31 MiB | ≤ 1.5 × wall **missed**, ≤ 2 × CPU |  |
| the same from 64 senders, SQLite | 1234 a second, p50 52.2, p99 78.1, max 100 ms | ≥ 1000 a second |  |
| what a run of 1,000 jobs in 300 s, 5 % fail, writes to GitHub | 121 writes, 52 in a minute, last one 0.04 s after the end | ≤ 120 **missed**, ≤ 60, ≤ 2 s |  |
| a file of 10,000 projects read, checked, planned | 199 ms | ≤ 250 ms |  |
`

// TestBenchTable makes the table of figures from what benchmarks print. make
// bench has it do so with CROMT_BENCH_RAW, and write CROMT_BENCH_TABLE.
func TestBenchTable(t *testing.T) {
	f, err := readFigures(strings.NewReader(benchSample))
	if err != nil {
		t.Fatal(err)
	}
	if got := f.table(); got != benchSampleTable {
		t.Errorf("got\n%s\nwant\n%s", got, benchSampleTable)
	}
	raw := os.Getenv("CROMT_BENCH_RAW")
	if raw == "" {
		return
	}
	data, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	if f, err = readFigures(strings.NewReader(string(data))); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(os.Getenv("CROMT_BENCH_TABLE"), []byte(f.table()), 0o644); err != nil {
		t.Fatal(err)
	}
}
