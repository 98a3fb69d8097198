package bot_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/bot"
	"github.com/cromt/cromt/flow"
)

func queue(err error) bot.Queue {
	return func(context.Context) (int, time.Duration, error) { return 3, 90 * time.Second, err }
}

func scrape(t *testing.T, m *bot.Metrics) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	body, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(body)
}

func TestMetrics(t *testing.T) {
	m := bot.NewMetrics(queue(nil))
	m.Delivery("push", "accepted")
	m.GitHub("POST /repos/{owner}/{repo}/check-runs", 201, 30*time.Millisecond, 4999)
	m.Started("https://a:4000", 2*time.Second)
	j := &flow.Job{Key: "a@h", Host: "https://a:4000"}
	broken := &flow.Result{Conclusion: flow.Failure, Cause: flow.CauseInfrastructure}
	err := m.Report(t.Context(), []flow.Event{
		{Kind: flow.AttemptCompleted, Job: j, Result: broken}, {Kind: flow.JobCompleted, Job: j, Result: broken},
		{Kind: flow.RunCompleted, Conclusion: flow.Failure},
	})
	if err != nil {
		t.Fatal(err)
	}
	sent := time.Now()
	err = m.Waits().Report(t.Context(), []flow.Event{
		{Kind: flow.JobStarted, Job: &flow.Job{Host: "https://b:4000"}, JobID: "of another process", Time: sent},
		{Kind: flow.JobQueued, Job: &flow.Job{Host: "https://b:4000"}, JobID: "j", Time: sent},
		{Kind: flow.JobStarted, Job: &flow.Job{Host: "https://b:4000"}, JobID: "j", Time: sent.Add(3 * time.Second)},
	})
	if err != nil {
		t.Fatal(err)
	}
	code, text := scrape(t, m)
	for _, want := range []string{
		`cromt_deliveries_total{event="push",result="accepted"} 1`, `cromt_runs_total{conclusion="failure"} 1`,
		`cromt_jobs_total{cause="infrastructure",conclusion="failure"} 1`, `cromt_host_failures_total{host="https://a:4000"} 1`,
		`cromt_github_requests_total{route="POST /repos/{owner}/{repo}/check-runs",status="201"} 1`, `cromt_github_requests_remaining 4999`,
		`cromt_host_job_wait_seconds_sum{host="https://a:4000"} 2`, `cromt_host_job_wait_seconds_sum{host="https://b:4000"} 3`,
		`cromt_host_job_wait_seconds_count{host="https://b:4000"} 1`, "cromt_queue_depth 3", "cromt_queue_oldest_seconds 90", "go_goroutines",
	} {
		if code != 200 || !strings.Contains(text, want) {
			t.Errorf("%q is missing (%d)", want, code)
		}
	}
}

func TestMetricsWithoutQueue(t *testing.T) {
	if code, text := scrape(t, bot.NewMetrics(queue(errors.New("database is locked")))); code != 500 || !strings.Contains(text, "database is locked") {
		t.Errorf("%d %s", code, text)
	}
}
