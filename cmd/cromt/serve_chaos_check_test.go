//go:build unix

package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// want is how the check runs of a commit end, by name.
func (c *chaos) want(k chaosCommit) map[string]string {
	w := map[string]string{"cromt": "success", "cromt / b@hostB": "success"}
	if c.plan.chained {
		w["cromt / a@hostA"] = "success"
	}
	switch {
	case k.exit[0] != 0 && c.plan.chained:
		w["cromt"], w["cromt / a@hostA"], w["cromt / b@hostB"] = "failure", "failure", "skipped"
	case k.exit[1] != 0:
		w["cromt"], w["cromt / b@hostB"] = "failure", "failure"
	}
	return w
}

// wait waits until every commit has its check runs.
func (c *chaos) wait(ctx context.Context) {
	c.t.Helper()
	open := map[int]bool{} // repositories, by their first commit
	for i := 0; i < len(c.commits); i += c.plan.commits {
		open[i] = true
	}
	for told := time.Now(); ; {
		var first string
		n := 0
		for i := range open {
			missing := c.missing(i)
			if len(missing) == 0 {
				delete(open, i)
				continue
			}
			n += len(missing)
			first = missing[0]
		}
		if len(open) == 0 {
			return
		}
		if time.Since(told) > 30*time.Second {
			told = time.Now()
			c.t.Logf("%d are not concluded, one of them is %s; %s", n, first, &c.counts)
		}
		if !c.sleep(ctx, min(50*time.Millisecond*time.Duration(len(open)), time.Second)) {
			c.t.Fatalf("%d are not concluded, one of them is %s", n, first)
		}
	}
}

// missing are the check runs of a repository that are still to come, by its
// first commit.
func (c *chaos) missing(first int) (open []string) {
	done := map[string]bool{}
	for _, k := range c.commits[first].repo.CheckRuns() {
		if k.Status == "completed" {
			done[k.HeadSHA+" "+k.Name] = true
		}
	}
	for _, k := range c.commits[first : first+c.plan.commits] {
		for name := range c.want(k) {
			if !done[k.sha+" "+name] {
				open = append(open, k.name+" "+k.sha+" "+name)
			}
		}
	}
	return open
}

// check ends the App and looks at everything.
func (c *chaos) check() {
	c.t.Helper()
	c.idle()
	c.checkPages()
	for _, s := range c.sites {
		s.terminate()
	}
	c.checkJobs()
	c.checkRuns()
	c.checkWrites()
	c.checkDatabase()
	c.checkSecrets()
	c.report()
}

// idle waits until the App has worked all deliveries: some are the same as
// others, and lead to nothing that could be waited for.
func (c *chaos) idle() {
	c.t.Helper()
	deadline := time.Now().Add(3 * time.Minute)
	for {
		text, err := getText("http://" + c.address(0) + "/metrics")
		if err == nil && strings.Contains(text, "\ncromt_queue_depth 0\n") {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("deliveries are left over: %v %s", err, text)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// checkJobs looks that each job ran once, and none that was to be skipped.
func (c *chaos) checkJobs() {
	c.t.Helper()
	data, err := os.ReadFile(filepath.Join(c.dir, "log"))
	if err != nil {
		c.t.Fatal(err)
	}
	ran := map[string]int{}
	for id := range strings.FieldsSeq(string(data)) {
		ran[id]++
	}
	for _, k := range c.commits {
		for i, project := range []string{"a", "b"} {
			want := 1
			if i == 1 && k.exit[0] != 0 && c.plan.chained || i == 0 && !c.plan.chained {
				want = 0
			}
			if id := k.sha + "-" + project; ran[id] != want {
				c.t.Errorf("job %s ran %d times, want %d", id, ran[id], want)
			}
			delete(ran, k.sha+"-"+project)
		}
	}
	if len(ran) > 0 {
		c.t.Errorf("ran too: %v", ran)
	}
}

// checkRuns looks that the check runs are those that are wanted, each once.
func (c *chaos) checkRuns() {
	c.t.Helper()
	got := map[string]map[string]string{}
	external := map[string]bool{}
	for i := 0; i < len(c.commits); i += c.plan.commits {
		for _, k := range c.commits[i].repo.CheckRuns() {
			if external[k.ExternalID] {
				c.t.Errorf("%s of %s: its external_id %s is that of another", k.Name, k.HeadSHA, k.ExternalID)
			}
			external[k.ExternalID] = true
			if c.forged[k.HeadSHA] {
				c.t.Errorf("a forged delivery led to %s of %s", k.Name, k.HeadSHA)
			}
			if got[k.HeadSHA] == nil {
				got[k.HeadSHA] = map[string]string{}
			}
			if _, twice := got[k.HeadSHA][k.Name]; twice {
				c.t.Errorf("%s of %s is there twice", k.Name, k.HeadSHA)
			}
			got[k.HeadSHA][k.Name] = k.Conclusion
		}
	}
	for _, k := range c.commits {
		if fmt.Sprint(got[k.sha]) != fmt.Sprint(c.want(k)) {
			c.t.Errorf("%s: %v, want %v", k.sha, got[k.sha], c.want(k))
		}
	}
}

// checkWrites looks in what GitHub was asked for, and did, that what is
// completed was not completed again.
func (c *chaos) checkWrites() {
	c.t.Helper()
	ended := map[string]int{} // by external_id
	said := map[string]string{}
	requests := c.gh.Requests()
	for i, r := range requests {
		f := c.faults[i+1]
		gone := r.Status == 0 && !f.DropAfter // who sent it was killed before it took effect
		if f.Status != 0 || f.DropBefore || gone || r.Status >= 400 || r.Method == http.MethodGet || !strings.Contains(r.Path, "/check-runs") {
			continue
		}
		var body struct {
			Status   string
			External string `json:"external_id"`
			Output   struct{ Title string }
		}
		if err := json.Unmarshal([]byte(r.Body), &body); err != nil {
			c.t.Error(err)
		}
		if body.Status == "completed" {
			ended[body.External]++
		}
		said[body.External] += fmt.Sprintf("\n%s %s %s, %d: %s, %s", r.Time.Format("04:05.000"), r.Method, r.Path, r.Status, body.Status, body.Output.Title)
	}
	for external, n := range ended {
		if n > 1 {
			c.t.Errorf("check run %s was completed %d times:%s", external, n, said[external])
		}
	}
	c.counts.add("requests to GitHub", len(requests))
	c.counts.add("check runs", len(ended))
	c.counts.add("GitHub faults", len(c.faults))
}

// checkDatabase looks that there is one run for each commit, and that it and
// every delivery are done with.
func (c *chaos) checkDatabase() {
	c.t.Helper()
	driver, address := "sqlite", filepath.Join(c.dir, "cromt.db")
	if c.plan.postgres != nil {
		driver, address = "pgx", c.database()
	}
	db, err := sql.Open(driver, address)
	if err != nil {
		c.t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(c.t.Context(), `SELECT sha, state FROM runs`)
	if err != nil {
		c.t.Fatal(err)
	}
	defer rows.Close()
	runs := map[string]int{}
	for rows.Next() {
		var sha, state string
		if err := rows.Scan(&sha, &state); err != nil {
			c.t.Fatal(err)
		}
		if runs[sha]++; state != "completed" {
			c.t.Errorf("the run of %s is %s", sha, state)
		}
	}
	if err := rows.Err(); err != nil {
		c.t.Fatal(err)
	}
	c.counts.add("runs", len(runs))
	for _, k := range c.commits {
		if runs[k.sha] != 1 {
			c.t.Errorf("%s has %d runs", k.sha, runs[k.sha])
		}
		delete(runs, k.sha)
	}
	if len(runs) > 0 {
		c.t.Errorf("there are runs too of %v", runs)
	}
	var open int
	if err := db.QueryRowContext(c.t.Context(), `SELECT count(*) FROM deliveries WHERE state <> 'processed'`).Scan(&open); err != nil || open > 0 {
		c.t.Errorf("%d deliveries are not worked: %v", open, err)
	}
}

// report tells what has happened, and how long it took the App to be back: to
// say so, to be asked for it, and to do something about a run.
func (c *chaos) report() {
	var worked []time.Time
	for _, h := range c.hosts {
		worked = append(worked, h.called...)
	}
	for _, r := range c.gh.Requests() {
		worked = append(worked, r.Time)
	}
	slices.SortFunc(worked, time.Time.Compare)
	var ready, probe, first []time.Duration
	for i, r := range c.kills[len(c.sites):] {
		ready, probe = append(ready, r.ready), append(probe, r.probe)
		at, _ := slices.BinarySearchFunc(worked, r.at.Add(r.ready/2), time.Time.Compare)
		if len(c.sites) == 1 && at < len(worked) && (i+1 == len(c.kills)-1 || worked[at].Before(c.kills[i+2].at)) {
			first = append(first, worked[at].Sub(r.at))
		}
	}
	c.t.Logf("%s", &c.counts)
	c.t.Logf("back after a kill: ready %s, /readyz %s, first request for a run %s", spread(ready), spread(probe), spread(first))
	if len(probe) == 0 {
		return
	}
	if slowest := slices.Max(probe); slowest > 20*time.Second {
		c.t.Errorf("it took %s until the App was ready again", slowest)
	}
}

// spread is the median and the largest of some times.
func spread(d []time.Duration) string {
	if len(d) == 0 {
		return "unknown"
	}
	slices.Sort(d)
	return fmt.Sprintf("p50 %d ms, max %d ms (of %d)", d[len(d)/2].Milliseconds(), d[len(d)-1].Milliseconds(), len(d))
}
