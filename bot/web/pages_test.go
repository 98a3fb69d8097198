package web_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/bot/web"
	"github.com/cromt/cromt/flow"
)

func waitingRun(r *store.Run) {
	r.State, r.Branch = store.Waiting, "fix-typo"
	r.Origin = store.Origin{Event: "pull_request", PullNumber: 121, Fork: true, Sender: "stranger", Title: "Fix a typo in the manual", Reason: "pull request #121 by stranger, from a fork"}
}

func wrongRun(r *store.Run) {
	r.Spec.Config = []byte("projects:\n  app:\n    pth: /x\n")
	r.Origin.Title = "Try something"
}

func TestRuns(t *testing.T) {
	s := newSite(t, false)
	wants(t, s.page("/"), "No run yet")
	s.history(4)
	s.failed()
	running := s.running()
	s.create(waitingRun)
	s.create(func(r *store.Run) { r.Repo, r.Origin.Title = "octo/other", "Elsewhere" })
	wants(t, s.page("/"), "Elsewhere", "Upload artifacts in parallel octo/app #118 faster-uploads abcdef0 mona pull_request 3 succeeded, 7 not finished",
		"Failed Fix the parser of empty files", "Waiting for approval Fix a typo")
	for query, want := range map[string]string{
		"repo=octo/other":                           "Elsewhere",
		"repo=OCTO/other":                           "Elsewhere",
		"branch=faster-uploads":                     "Upload artifacts in parallel",
		"conclusion=waiting":                        "Fix a typo in the manual",
		"conclusion=in_progress":                    "Upload artifacts in parallel",
		"conclusion=cancelled":                      "Merge pull request #117|Docs",
		"conclusion=failure&branch=main":            "Fix the parser of empty files|Bump the parser to 2.4",
		"repo=octo/other&conclusion=failure":        "",
		"branch=" + strings.Repeat("x", 300) + "&a": "",
	} {
		page := s.page("/?" + query)
		var titles []string
		for _, m := range regexp.MustCompile(`class="title" href="[^"]*">([^<]*)<`).FindAllStringSubmatch(page, -1) {
			titles = append(titles, m[1])
		}
		if query == "conclusion=cancelled" {
			if len(titles) != 1 {
				t.Errorf("%s: %q", query, titles)
			}
			continue
		}
		if got := strings.Join(titles, "|"); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	var out struct {
		Runs []struct {
			ID, URL, Title string
			PullNumber     int `json:"pull_number"`
			Jobs           struct{ Total, Succeeded, Unfinished int }
		}
	}
	s.json("/?branch=faster-uploads", &out)
	if len(out.Runs) != 1 || out.Runs[0].ID != running.run.ID || out.Runs[0].PullNumber != 118 || out.Runs[0].Jobs.Total != 10 || out.Runs[0].Jobs.Succeeded != 3 {
		t.Errorf("JSON %+v", out)
	}
	for _, query := range []string{"conclusion=nonsense", "after=nonsense"} {
		if resp, body := s.get("/?" + query); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d %s", query, resp.StatusCode, text(t, body))
		}
	}
}

// The list goes on on further pages, each run once.
func TestPaging(t *testing.T) {
	s := newSite(t, false)
	for i := range 120 {
		s.create(func(r *store.Run) { r.CreatedAt = time.Now().Add(-time.Duration(i/7) * time.Minute) })
	}
	seen, next, pages := map[string]bool{}, "/?repo=octo%2Fapp", 0
	for next != "" {
		var out struct {
			Runs []struct{ ID string }
			Next string
		}
		s.json(next, &out)
		for _, r := range out.Runs {
			if seen[r.ID] {
				t.Errorf("%s is there twice", r.ID)
			}
			seen[r.ID] = true
		}
		page := s.page(next)
		if older := strings.Contains(page, `rel="next">Older`); older != (out.Next != "") || strings.Contains(page, ">Newest<") != (pages > 0) {
			t.Errorf("page %d: links %v", pages, older)
		}
		next = out.Next
		pages++
	}
	if len(seen) != 120 || pages != 3 {
		t.Errorf("%d runs on %d pages", len(seen), pages)
	}
}

func TestRun(t *testing.T) {
	s := newSite(t, false)
	c := s.failed()
	page := s.page("/runs/" + c.run.ID)
	wants(t, page, "Failed 5 succeeded, 1 failed, 4 skipped 1m 1s", "What failed test@hostB task exit status: 101 error: assertion failed: left == right",
		"hostB 65% busy lint@hostB: Failed, 8.1s after 900ms, attempt 1", "lint@hostB: Succeeded, 7.5s after 10s, attempt 2",
		"Skipped deploy@hostA what it waited for did not succeed", "site.tar.gz docs@hostC 1.2 MB", "Failed 1", "Skipped 4")
	for _, want := range []string{
		`<a href="/runs/run-0001/jobs/test@hostB"><path class="sign failure"`, `href="https://github.com/octo/app/commit/`, `data-events=""`,
		`<caption class="quiet">Jobs of the run`, `<rect class="failure" x="`,
	} {
		if want = strings.Replace(want, "https://github.com", s.gh.URL(), 1); !strings.Contains(page, want) {
			t.Errorf("no %s", want)
		}
	}
	if shown := s.page("/runs/" + c.run.ID + "?jobs=failure"); !strings.Contains(shown, `id="jobs" data-show="failure"`) {
		t.Error("the jobs are not limited to those that failed")
	}
	var out struct {
		ID, Conclusion string
		Jobs           []struct{ Key, URL, Conclusion, Cause string }
		Attempts       []struct {
			Job    string
			Number int
			LogURL string `json:"log_url"`
		}
		Artifacts []struct{ File, SHA256 string }
	}
	s.json("/runs/"+c.run.ID, &out)
	if out.ID != c.run.ID || out.Conclusion != "failure" || len(out.Jobs) != 10 || len(out.Attempts) != 7 || len(out.Artifacts) != 1 {
		t.Errorf("JSON %+v", out)
	}
}

func TestRunBeforeItStarts(t *testing.T) {
	s := newSite(t, false)
	waiting := s.create(waitingRun)
	page := s.page("/runs/" + waiting.ID)
	wants(t, page, "Waiting for approval", "from a fork", "/cromt ok "+waiting.SHA, "Waiting for others build@hostA", "Jobs 10", "By stranger")
	if !strings.Contains(page, `data-events="/runs/`+waiting.ID+`/events"`) || !strings.Contains(page, "/octo/app/pull/121") {
		t.Error("it is not live, or does not name its pull request")
	}
	wants(t, s.page("/runs/"+waiting.ID+"/jobs/build@hostA"), "It has not begun")
	wants(t, s.page("/runs/"+s.create(wrongRun).ID), "The configuration is wrong", `jobs.yaml:3:5: unknown key "pth"`)
	old := s.create(func(r *store.Run) { r.Origin.RerunOf = waiting.ID })
	must(t, s.store.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.Cancel(ctx, old.ID, "octocat", waiting.ID) }))
	claim, err := s.store.Claim(t.Context(), old.ID)
	must(t, err)
	must(t, claim.Conclude(t.Context(), flow.Cancelled, nil))
	wants(t, s.page("/runs/"+old.ID), "Cancelled", "Re-run of "+waiting.ID, "Cancelled by octocat", "Superseded by "+waiting.ID, "Skipped build@hostA")
}

func TestHosts(t *testing.T) {
	s := newSite(t, false)
	wants(t, s.page("/hosts"), "Not looked at yet hostA https://hostA:4000")
	s.health()
	wants(t, s.page("/hosts"), "Well hostA https://hostA:4000 cromt 1.4.0 4 of 4 slots 2 3ms just now",
		"Failing hostB https://hostB:4000 dial tcp 10.0.3.7:4000: connect: connection refused (2 times since it was well) Sparky 0.2.31 1 of 2 slots 0 41ms 2 hours ago failed just now")
	var out struct {
		Hosts []struct {
			Name, Health, Version string
			Queued, Failures      int
		}
	}
	s.json("/hosts", &out)
	if len(out.Hosts) != 4 || out.Hosts[0].Health != "ok" || out.Hosts[1].Health != "failing" || out.Hosts[1].Failures != 2 || out.Hosts[2].Health != "unknown" {
		t.Errorf("JSON %+v", out)
	}
}

// Hosts of pools are shown with why they get no jobs, to those who may use them.
func TestHostsOfPools(t *testing.T) {
	s := newSite(t, false)
	if strings.Contains(text(t, s.page("/hosts")), "Pools") {
		t.Error("pools that there are none of")
	}
	seen := time.Now().Add(-time.Hour)
	s.pools = []web.PoolHost{
		{Pool: "builders", Name: "https://b1:4000", Slots: 2, Used: 1, Connected: true, MayUse: glob("octo/*")},
		{Pool: "builders", Name: "b2", Labels: []string{"linux", "big"}, Slots: 4, Version: "v1", Connected: true, Draining: true, SeenAt: seen, MayUse: glob("octo/*")},
		{Pool: "builders", Name: "b3", Slots: 1, Connected: true, Out: true, Reason: "3 failures: <b>refused</b>", SeenAt: seen, MayUse: glob("octo/*")},
		{Pool: "builders", Name: "b4", Slots: 1, SeenAt: seen, MayUse: glob("octo/*")},
	}
	wants(t, s.page("/hosts"), "Pools", "Well https://b1:4000 in builders – 1 of 2 slots", "Draining b2 in builders linux, big v1 0 of 4 slots 1 hour ago",
		"Taken out b3 in builders 3 failures: <b>refused</b>", "Gone b4 in builders")
	var out struct {
		Pools []struct{ Name, Health string }
	}
	s.json("/hosts", &out)
	if fmt.Sprint(out.Pools) != "[{https://b1:4000 well} {b2 draining} {b3 taken out} {b4 gone}]" {
		t.Errorf("JSON %+v", out)
	}
}

func TestFlaky(t *testing.T) {
	s := newSite(t, false)
	s.history(24)
	page := s.page("/repos/Octo/app/flaky")
	wants(t, page, "Job hostA hostB hostC docs · · ✕ 24/24", "test 0% 0/24", "33% 8/24", "12% 3/24", "test on hostC: 24 succeeded, of them 3 after another attempt; 0 failed", "lint")
	if !strings.Contains(page, `class="heat h3"`) || !strings.Contains(page, `class="heat h5" title="docs`) {
		t.Error("no colours")
	}
	wants(t, s.page("/repos/octo/app/flaky?runs=2"), "over the last 2 runs")
	var out struct {
		Jobs []struct {
			Job     string
			Retried int
		}
	}
	s.json("/repos/octo/app/flaky", &out)
	if len(out.Jobs) != 10 {
		t.Errorf("JSON %+v", out)
	}
	if resp, _ := s.get("/repos/octo/none/flaky"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("none: %d", resp.StatusCode)
	}
}

// All pages have what browsers are to keep to, and what people need who do not
// see them.
func TestEveryPage(t *testing.T) {
	s := newSite(t, false)
	c := s.failed()
	for _, path := range []string{"/", "/hosts", "/repos/octo/app/flaky", "/runs/" + c.run.ID, "/runs/" + c.run.ID + "/jobs/test@hostB", "/nowhere"} {
		resp, body := s.get(path)
		policy := resp.Header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self';", "base-uri 'none'", "frame-ancestors 'none'", "form-action 'self'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: policy %q", path, policy)
			}
		}
		if strings.Contains(policy, "unsafe") || resp.Header.Get("X-Content-Type-Options") != "nosniff" || resp.Header.Get("Referrer-Policy") != "same-origin" {
			t.Errorf("%s: headers %v", path, resp.Header)
		}
		text(t, body)
		for what, pattern := range map[string]string{
			"language": `<html lang="en">`, "one h1": `<h1>`, "main": `<main id="main"`, "skip link": `<a class="skip" href="#main">`, "navigation": `<nav aria-label="Main">`,
			"live region": `aria-live="polite"`, "reload": `<a class="reload" href="`,
		} {
			if n := strings.Count(body, pattern); n != 1 {
				t.Errorf("%s: %d of %s", path, n, what)
			}
		}
		for _, bad := range []string{" style=", "<style>body", "onclick=", "<script>", "javascript:"} {
			if strings.Contains(body, bad) {
				t.Errorf("%s has %q", path, bad)
			}
		}
		for _, m := range regexp.MustCompile(`(?:src|href)="(/static/[^"]*)"`).FindAllStringSubmatch(body, -1) {
			if got, _ := s.get(m[1]); got.StatusCode != http.StatusOK || !strings.Contains(got.Header.Get("Cache-Control"), "immutable") {
				t.Errorf("%s: %s: %d", path, m[1], got.StatusCode)
			}
		}
		for _, m := range regexp.MustCompile(`(?s)<table.*?</table>`).FindAllString(body, -1) {
			if !strings.Contains(m, "<caption") || !strings.Contains(m, `scope="col"`) {
				t.Errorf("%s: a table without caption or headings", path)
			}
		}
	}
	if resp, _ := s.get("/static/nothing.css"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("an asset that is not there: %d", resp.StatusCode)
	}
}

// What strangers wrote is shown as text.
func TestHostileText(t *testing.T) {
	s := newSite(t, false)
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(1)>` + "\u202e\x1b[2J"
	c := s.begin(func(r *store.Run) {
		r.Branch, r.SHA = evil, evil
		r.Origin = store.Origin{Event: evil, Sender: evil, Title: evil, Reason: evil, RerunOf: evil}
		r.Spec.Config = []byte(strings.Replace(config, "title: Unit tests", fmt.Sprintf("title: %q", `"><script>alert(1)</script>`), 1))
	})
	key := "test@hostA"
	c.start(key, 1, 1, 2)
	c.print(key, 1, evil+"\n\x1b]8;;javascript:alert(1)\x07link\x1b]8;;\x07 \x1b_bk;t=1\x07 \x1b]1338;url=http://evil.example/x.png;alt=x\x07\n\x1b[31m<b>\x1b[0m\nturned \u202e around\n")
	c.start("test@hostB", 1, 1, 2)
	c.print("test@hostB", 1, "\x1b[31mturned \u202e around\x1b[0m\n")
	res := taskFailure(1)
	res.Error = evil
	res.Artifacts = []flow.Artifact{{File: evil, SHA256: evil, Bytes: 1}}
	c.end(key, 1, 3, res, evil+" error: x\n", false)
	must(t, s.store.SaveHost(t.Context(), store.HostProbe{URL: "https://hostA:4000", At: time.Now(), Error: evil}))
	for _, path := range []string{"/", "/?branch=" + url.QueryEscape(evil), "/hosts", "/repos/octo/app/flaky", "/runs/" + c.run.ID, "/runs/" + c.run.ID + "/jobs/" + key, "/runs/" + c.run.ID + "/jobs/test@hostB", "/runs/" + c.run.ID + "/jobs/" + key + "?q=%3Cscript%3Ealert"} {
		body := s.page(path)
		text(t, body)
		for _, bad := range []string{"<script>alert", "<img src=x", "\u202e", "\x1b", "javascript:", "evil.example/x.png\""} {
			if strings.Contains(body, bad) {
				t.Errorf("%s has %q", path, bad)
			}
		}
	}
	wants(t, s.page("/runs/"+c.run.ID+"/jobs/"+key+"?q=%3Cscript%3Ealert"), "1 line with “<script>alert”", `"><script>alert(1)</script>`)
	_, events := s.stream("/runs/" + c.run.ID + "/events")
	if m := events.next(t); strings.Contains(m.Parts["run-head"]+m.Parts["run-failures"], "<script>") || m.Parts["run-head"] == "" {
		t.Errorf("an event has a script: %+v", m)
	}
}
