package bot

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// Who does not read an answer does not keep its handler.
func TestAnswering(t *testing.T) {
	ended := make(chan error, 1)
	s := httptest.NewServer(answering(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		part := make([]byte, 1<<20)
		for range 1 << 10 { // more than any buffer takes
			if _, err := w.Write(part); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}), 50*time.Millisecond))
	defer s.Close()
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	select {
	case err := <-ended:
		if err == nil {
			t.Error("all of it was written")
		}
	case <-time.After(time.Minute):
		t.Error("it waits for the reader")
	}
}
