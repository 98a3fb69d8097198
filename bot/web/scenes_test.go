package web_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/flow"
)

// running is a run in the middle.
func (s *site) running() *scene {
	s.t.Helper()
	c := s.begin(func(r *store.Run) {
		r.CreatedAt = time.Now().Add(-70 * time.Second)
		r.Branch, r.Ref = "faster-uploads", "refs/pull/118/head"
		r.Origin = store.Origin{Event: "pull_request", PullNumber: 118, Sender: "mona", Title: "Upload artifacts in parallel", Reason: "pull request #118 by mona"}
	})
	c.start("build@hostA", 1, 0.2, 1)
	c.start("lint@hostB", 1, 0.2, 0.9)
	c.start("docs@hostC", 1, 0.3, 0.9)
	c.end("lint@hostB", 1, 19, flow.Result{}, "", false)
	c.end("docs@hostC", 1, 26, flow.Result{}, "", false)
	c.end("build@hostA", 1, 31, flow.Result{}, "", false)
	c.start("test@hostA", 1, 31, 31.5)
	c.start("test@hostB", 1, 31, 33)
	c.start("test@hostC", 1, 31, -1)
	c.print("test@hostA", 1, coloured(40))
	return c
}

// coloured is a log of a build.
func coloured(tests int) string {
	var b strings.Builder
	b.WriteString("meta: step=checkout\n12:04:31 :: [repository] checking out octo/app at abcdef0\n12:04:31 :: [task run: task.bash - tests]\n\x1b[1m$ cargo test --workspace\x1b[0m\n")
	for _, crate := range []string{"parser", "planner", "engine", "store"} {
		fmt.Fprintf(&b, "\x1b[1m\x1b[32m   Compiling\x1b[0m app-%s v0.4.1 (/src/app/%s)\n", crate, crate)
	}
	b.WriteString("\x1b[1m\x1b[33mwarning\x1b[0m\x1b[1m: unused variable: `retries`\x1b[0m\n  \x1b[1m\x1b[34m--> \x1b[0mstore/src/queue.rs:88:9\n\x1b[1m\x1b[32m    Finished\x1b[0m test profile [unoptimized + debuginfo] target(s) in 18.42s\n")
	for i := range tests {
		fmt.Fprintf(&b, "test queue::case_%02d ... \x1b[32mok\x1b[0m\n", i+1)
	}
	return b.String()
}

// broken is the log of a failure.
func broken() string {
	return coloured(24) + "test upload::resumes_after_a_cut ... \x1b[31mFAILED\x1b[0m\n\nfailures:\n\n---- upload::resumes_after_a_cut stdout ----\n" +
		"thread 'upload::resumes_after_a_cut' panicked at store/src/upload.rs:214:13:\n\x1b[31merror: assertion failed: left == right\x1b[0m\n  left: Resumed { offset: 4096 }\n right: Resumed { offset: 8192 }\n" +
		"note: run with `RUST_BACKTRACE=1` to display a backtrace\n\ntest result: \x1b[31mFAILED\x1b[0m. 24 passed; 1 failed; 0 ignored; finished in 2.31s\n\ntask exit status: 101\nmeta: result=failure\n"
}

// many is a run with n jobs, of which a few failed; some still run.
func (s *site) many(n int) *scene {
	s.t.Helper()
	const hosts = 10
	var b strings.Builder
	b.WriteString("projects:\n  all:\n    path: .\n    url: https://hostA:4000\n    before: [")
	for i := range n / hosts {
		fmt.Fprintf(&b, "name: shard-%02d, ", i)
	}
	b.WriteString("]\n  prepare: {path: ., url: \"https://hostA:4000\"}\n")
	for i := range n / hosts {
		fmt.Fprintf(&b, "  shard-%02d:\n    path: .\n    before: [name: prepare]\n    hosts:\n", i)
		for h := range hosts {
			fmt.Fprintf(&b, "      - url: https://h%02d:4000\n", h)
		}
	}
	c := s.begin(func(r *store.Run) {
		r.CreatedAt = time.Now().Add(-4 * time.Minute)
		r.Spec.Config, r.Spec.Roots = []byte(b.String()), []string{"all"}
		r.Origin.Title = "Nightly: every shard on every host"
		r.Origin.Event, r.Class = "schedule", "schedule"
	})
	c.start("prepare@hostA", 1, 0.1, 0.4)
	c.end("prepare@hostA", 1, 6, flow.Result{}, "", false)
	for i, j := range c.plan.Jobs {
		if j.Invocation.Key == "all" || j.Invocation.Key == "prepare" {
			continue
		}
		at := 6 + float64(i/hosts)*210/float64(n/hosts) + float64(i%7)
		switch {
		case at > 200:
			c.start(j.Key, 1, 6, -1)
		case at > 190:
			c.start(j.Key, 1, 6, at)
		case i%97 == 5:
			c.start(j.Key, 1, 6, at)
			c.end(j.Key, 1, at+9, taskFailure(1), "cannot open shard\n", false)
		default:
			c.start(j.Key, 1, 6, at)
			c.end(j.Key, 1, at+8+float64(i%13), flow.Result{}, "", false)
		}
	}
	return c
}

// history are runs from which one sees how reliable jobs are.
func (s *site) history(n int) {
	s.t.Helper()
	titles := []string{"Bump the parser to 2.4", "Merge pull request #117 from mona/retry-hosts", "Say which host refused", "Docs: how to pin a host", "Retry uploads that were cut"}
	for i := range n {
		c := s.begin(func(r *store.Run) {
			r.CreatedAt = time.Now().Add(-time.Duration(n-i) * 47 * time.Minute)
			r.Origin.Title = titles[i%len(titles)]
			r.SHA = fmt.Sprintf("%07x%s", 0xabc1234+i*7919, strings.Repeat("0", 33))
			r.Origin.Sender = []string{"octocat", "mona", "hubot"}[i%3]
		})
		for k, j := range c.plan.Jobs {
			c.start(j.Key, 1, float64(k), float64(k)+0.5)
			switch {
			case j.Key == "docs@hostC", j.Key == "test@hostB" && i%3 == 0, j.Key == "lint@hostB" && i%19 == 4:
				c.end(j.Key, 1, float64(k)+9, taskFailure(1), "no\n", false)
			case j.Key == "test@hostC" && i%8 == 1:
				c.end(j.Key, 1, float64(k)+7, taskFailure(1), "no\n", true)
				c.start(j.Key, 2, float64(k)+8, float64(k)+8.5)
				c.end(j.Key, 2, float64(k)+15, flow.Result{}, "", false)
			default:
				c.end(j.Key, 1, float64(k)+11, flow.Result{}, "", false)
			}
		}
		c.finish(32, []flow.Conclusion{flow.Failure, flow.Success, flow.Success, flow.Cancelled}[i%4])
	}
}

// health is what was found of the hosts.
func (s *site) health() {
	s.t.Helper()
	now := time.Now()
	for _, p := range []store.HostProbe{
		{URL: "https://hostA:4000", At: now.Add(-9 * time.Second), Version: "cromt 1.4.0", Queued: 2, Running: 4, Latency: 3200 * time.Microsecond},
		{URL: "https://hostB:4000", At: now.Add(-2 * time.Hour), Version: "Sparky 0.2.31", Running: 1, Latency: 41 * time.Millisecond},
		{URL: "https://hostB:4000", At: now.Add(-20 * time.Minute), Error: "dial tcp 10.0.3.7:4000: connect: connection refused"},
		{URL: "https://hostB:4000", At: now.Add(-12 * time.Second), Error: "dial tcp 10.0.3.7:4000: connect: connection refused"},
		{URL: "https://secret.example:4000", At: now, Version: "hidden"},
	} {
		must(s.t, s.store.SaveHost(s.t.Context(), p))
	}
}
