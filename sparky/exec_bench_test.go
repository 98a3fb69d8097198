package sparky_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
)

// BenchmarkExec is what one attempt costs besides its work: the host answers
// at once, in this process.
func BenchmarkExec(b *testing.B) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/cromt":
			_ = json.NewEncoder(w).Encode(sparky.Hello{Agent: "test", Version: 1, MaxJobs: 4})
		case "/queue":
			var q struct {
				Config struct {
					Project string `json:"project"`
					JobID   string `json:"job-id"`
				} `json:"config"`
			}
			_ = json.NewDecoder(r.Body).Decode(&q)
			_ = json.NewEncoder(w).Encode(sparky.QueueAnswer{Project: q.Config.Project, JobID: q.Config.JobID})
		default:
			_ = json.NewEncoder(w).Encode(sparky.JobStatus{State: sparky.CodeOK, StartedAt: time.Now(), CompletedAt: time.Now(), Log: []byte("Hello\n"), Offset: 6, LogSize: 6})
		}
	}))
	defer srv.Close()
	e := sparky.NewExecutor(sparky.ExecutorConfig{Host: func(url string) (sparky.HostConfig, error) { return sparky.HostConfig{URL: url}, nil }})
	defer e.Close()
	n := 0
	for b.Loop() {
		n++
		a := attempt(fmt.Sprintf("j%d", n), "hello")
		a.Job.Host, a.Job.Source = srv.URL, flow.Source{Kind: flow.SourceDir, Dir: "/"}
		if res, err := e.Exec(b.Context(), a, nil); err != nil || res.Conclusion != flow.Success {
			b.Fatal(res, err)
		}
	}
}
