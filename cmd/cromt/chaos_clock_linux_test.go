package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// clockFile names the file with the seconds by which a program's clock is off.
const clockFile = "CHAOS_CLOCK"

// ownClock has the site use a program whose wall clock can be set, as that of
// its machine could: it is built with a standard library that adds the seconds
// in a file to what the kernel says. Its monotonic clock goes on, as after any
// step of a clock.
func (s *chaosSite) ownClock() bool {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		s.t.Fatal(err)
	}
	original := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	source, err := os.ReadFile(original)
	if err != nil {
		s.t.Fatal(err)
	}
	const now = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	if strings.Count(string(source), now) != 1 {
		s.t.Fatal("the standard library has changed: where does time.Now ask the kernel now?")
	}
	source = []byte(strings.Replace(string(source), now, now+"\tsec += chaosOffset.Load()\n", 1))
	patched, added, overlay := filepath.Join(s.dir, "time.go"), filepath.Join(s.dir, "chaos.go"), filepath.Join(s.dir, "overlay.json")
	write(s.t, patched, string(source))
	write(s.t, added, clockSource)
	data, err := json.Marshal(map[string]any{"Replace": map[string]string{
		original: patched, filepath.Join(filepath.Dir(original), "chaos.go"): added,
	}})
	if err != nil {
		s.t.Fatal(err)
	}
	write(s.t, overlay, string(data))
	s.binary = filepath.Join(s.dir, "cromt")
	if out, err := exec.Command("go", "build", "-overlay", overlay, "-trimpath", "-ldflags=-s -w", "-o", s.binary, ".").CombinedOutput(); err != nil {
		s.t.Fatalf("build: %v\n%s", err, out)
	}
	s.clock = filepath.Join(s.dir, "clock")
	s.wrap = []string{"env", clockFile + "=" + s.clock}
	return true
}

// setClock sets the clocks of the agent and of cromt run, by a minute to
// an hour.
func (s *chaosSite) setClock(*dag, *process) func() {
	step := (60 + s.rng.IntN(3540)) * (2*s.rng.IntN(2) - 1)
	if s.rng.IntN(3) == 0 {
		step = 3600 * (2*s.rng.IntN(2) - 1)
	}
	write(s.t, s.clock, fmt.Sprintf("%d\n", step))
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if off := s.agentTime().Sub(time.Now().Add(time.Duration(step) * time.Second)); off.Abs() < 30*time.Second {
			break
		} else if time.Now().After(end) {
			s.t.Fatalf("the agent's clock is not set: it is %v off", off)
		}
	}
	return func() { write(s.t, s.clock, "0\n") }
}

// agentTime is what the agent takes for the time.
func (s *chaosSite) agentTime() time.Time {
	s.t.Helper()
	resp, err := (&http.Client{Timeout: 20 * time.Second}).Get(s.url() + "/healthz")
	if err != nil {
		s.t.Fatal(err)
	}
	resp.Body.Close()
	at, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		s.t.Fatal(err)
	}
	return at
}

// clockSource is added to package time.
const clockSource = `package time

import (
	"internal/runtime/atomic"
	"syscall"
)

var chaosOffset atomic.Int64

func init() {
	name, ok := syscall.Getenv("` + clockFile + `")
	if !ok {
		return
	}
	go func() {
		for {
			chaosRead(name)
			Sleep(10 * Millisecond)
		}
	}()
}

func chaosRead(name string) {
	fd, err := syscall.Open(name, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	var buf [32]byte
	n, _ := syscall.Read(fd, buf[:])
	syscall.Close(fd)
	value, sign := int64(0), int64(1)
	for i := 0; i < n; i++ {
		switch c := buf[i]; {
		case c == '-':
			sign = -1
		case c >= '0' && c <= '9':
			value = 10*value + int64(c-'0')
		case c == '\n':
			chaosOffset.Store(sign * value)
		}
	}
}
`
