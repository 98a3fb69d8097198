package flow_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cromt/cromt/flow"
)

func goldenPath(name string) string { return filepath.Join("..", "testdata", "golden", name) }

const pipeline = `
projects:
  deploy:
    title: Deploy "everything" <now> & here
    before: [name: test, name: docs, {name: build, vars: {ARCH: arm64}}]
    after: [{name: notify, when: always}, {name: rollback, when: failure}]
    hosts: [{url: "https://app1:4000"}, {url: "https://app2:4000", title: "blue / green"}]
  test:
    before: [name: build, name: containers]
    after: [{name: containers-stop, when: always}]
    hosts: [{url: "https://t1"}, {url: "https://t2"}, {url: "https://t3"}, {url: "https://t4"}, {url: "https://t5"}, {url: "https://t6"}, {url: "https://t7"}]
    artifacts: {in: [app.tar.gz]}
  build:
    path: https://github.com/example/app.git
    branch: main
    action: pull build
    vars: {ARCH: amd64}
    url: https://builder:4001
    queue-id: heavy
    before: [name: network]
    artifacts: {out: [{file: app.tar.gz, path: out/app.tar.gz}]}
  containers: {before: [name: network], path: ~/containers, url: "https://builder:4001", sparrowdo: {docker: alpine}, secrets: [TOKEN]}
  containers-stop: {url: "https://builder:4001"}
  docs: {path: ./docs}
  network: {url: "https://infra:4000", options: --verbose --profile='a b'}
  notify: {}
  rollback:
    hosts: [{url: "https://app1:4000", vars: {N: 1}}, {url: "https://app2:4000", vars: {N: 2}, action: undo}]
`

// state gives a job one of all states by its name.
func state(j *flow.Job) (flow.Status, flow.Conclusion) {
	switch j.Invocation.Key {
	case "network", "build", "docs":
		return flow.StatusCompleted, flow.Success
	case "containers":
		return flow.StatusCompleted, flow.Neutral
	case "test":
		switch j.Label {
		case "t1":
			return flow.StatusCompleted, flow.Failure
		case "t2":
			return flow.StatusInProgress, ""
		}
		return flow.StatusCompleted, flow.Success
	case "containers-stop":
		return flow.StatusInProgress, ""
	case "rollback":
		if j.Label == "app1" {
			return flow.StatusCompleted, flow.Cancelled
		}
		return flow.StatusCompleted, flow.TimedOut
	case "notify":
		return flow.StatusCompleted, flow.Skipped
	}
	return flow.StatusQueued, ""
}

func TestGraphs(t *testing.T) {
	plan := planOf(t, pipeline)
	golden(t, goldenPath("graph.mmd"), plan.Mermaid(nil))
	golden(t, goldenPath("graph-states.mmd"), plan.Mermaid(state))
	golden(t, goldenPath("graph.dot"), plan.Dot())
	golden(t, goldenPath("graph.svg"), string(plan.SVG(nil)))
	golden(t, goldenPath("graph-states.svg"), string(plan.SVG(state)))
	var text strings.Builder
	if err := plan.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	golden(t, goldenPath("plan.txt"), text.String())
}

// A job that has a line of its own has a link; one among many has none.
func TestGraphLinks(t *testing.T) {
	plan := planOf(t, pipeline)
	svg := string(plan.LinkedSVG(state, func(j *flow.Job) string { return "/jobs/" + j.Key + `?"&` }))
	lines := 0
	for _, inv := range plan.Invocations {
		if len(inv.Jobs) <= 6 {
			lines += len(inv.Jobs)
		}
	}
	if n := strings.Count(svg, `<a href="/jobs/`); n != lines || n == 0 {
		t.Errorf("%d links, want %d", n, lines)
	}
	if want := `href="/jobs/` + plan.Jobs[0].Key + `?&#34;&amp;"`; !strings.Contains(svg, want) {
		t.Errorf("no %s in %s", want, svg)
	}
}

func TestGraphTooLarge(t *testing.T) {
	plan, err := flow.NewPlan(shape(5000, chain), flow.PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	svg := string(plan.SVG(state))
	golden(t, goldenPath("graph-large.svg"), svg)
	if strings.Count(svg, "<g ") != 12 {
		t.Errorf("%d nodes are drawn", strings.Count(svg, "<g "))
	}
}

// Names and titles come from a file that a stranger may have written.
func TestGraphEscapes(t *testing.T) {
	hostile := "\"</title><script>alert(1)</script>]]>&amp;\\\n`#\x1b[31m\u202e\x00\xff --> x[end];%%{init}%%"
	at := flow.Pos{Line: 1, Col: 1}
	f := shape(3, chain)
	f.Projects[0].Title = flow.Text{Value: hostile, Pos: at}
	f.Projects[0].Action = flow.Text{Value: "a\x1b[2J", Pos: at}
	f.Projects[1].Hosts = []flow.Host{{Pos: at, Settings: flow.Settings{Title: flow.Text{Value: hostile, Pos: at}}}}
	plan, err := flow.NewPlan(f, flow.PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	svg := plan.SVG(nil)
	decoder := xml.NewDecoder(bytes.NewReader(svg))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == "script" {
			t.Error("the SVG has a script")
		}
	}
	mermaid := plan.Mermaid(nil)
	for _, bad := range []string{"<script", "`", "\x1b", "%%", "[end]", "\u202e"} {
		if strings.Contains(mermaid, bad) {
			t.Errorf("Mermaid has %q:\n%s", bad, mermaid)
		}
	}
	if n := strings.Count(mermaid, "\n"); n != 1+3+2 {
		t.Errorf("Mermaid has %d lines:\n%s", n, mermaid)
	}
	if dot := plan.Dot(); strings.Contains(dot, "<script") || strings.Count(dot, "\n") != 4+3+2+1 {
		t.Errorf("dot is\n%s", dot)
	}
	var text strings.Builder
	if err := plan.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(text.String(), "\x1b\x00\u202e") {
		t.Errorf("text is %q", text.String())
	}
}
