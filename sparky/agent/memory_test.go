//go:build linux && !race

// The race detector needs memory of its own.

package agent_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// TestIdleMemory looks at an agent that has nothing to do, any more.
func TestIdleMemory(t *testing.T) {
	h, _ := spawn(t, t.TempDir())
	dir := scenarios(t, "x", "echo hello\n")
	client := &http.Client{}
	defer client.CloseIdleConnections()
	for n := range 200 {
		project, id := fmt.Sprintf("p%d", n%20), newID()
		for _, r := range []*http.Request{
			request(t, "POST", h.url+"/queue", queueBody(project, id, inDir(dir, "x"))),
			request(t, "GET", h.url+"/status/"+project+"/"+id+"?wait=30&state=-2", ""),
		} {
			res, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			drain(res)
		}
	}
	limit := time.Now().Add(20 * time.Second)
	for kib := h.memory("VmRSS"); kib > 25<<10; kib = h.memory("VmRSS") {
		if time.Now().After(limit) {
			t.Fatalf("%d KiB resident", kib)
		}
		<-time.NewTimer(100 * time.Millisecond).C
	}
	t.Logf("%d KiB resident", h.memory("VmRSS"))
}
