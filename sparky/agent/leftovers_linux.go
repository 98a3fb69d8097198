package agent

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// killLeftovers kills every process that carries one of the markers of jobs,
// wherever it has gone, and waits until none is left.
func killLeftovers(markers []string) error {
	if len(markers) == 0 {
		return nil
	}
	end := time.Now().Add(leftoverPatience)
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		left, err := marked(markers)
		if err == nil && len(left) == 0 {
			return nil
		}
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may be gone
		}
		if time.Now().After(end) {
			if err != nil {
				return fmt.Errorf("processes cannot be looked for: %w", err)
			}
			return fmt.Errorf("%d processes do not end, the first is %d", len(left), left[0])
		}
		time.Sleep(pause)
	}
}

// marked returns the processes whose environment has one of the markers.
// Zombies have none. The error says that it could not look.
func marked(markers []string) ([]int, error) {
	wanted := make([][]byte, len(markers))
	for i, m := range markers {
		wanted[i] = []byte(m)
	}
	proc, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer proc.Close()
	names, _ := proc.Readdirnames(-1) // what could be read is looked at
	var found []int
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || pid == os.Getpid() {
			continue
		}
		env, err := os.ReadFile("/proc/" + name + "/environ")
		if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
			return found, err
		}
		if err != nil || !bytes.Contains(env, []byte(markerName)) {
			continue
		}
		for v := range bytes.SplitSeq(env, []byte{0}) {
			if slices.ContainsFunc(wanted, func(w []byte) bool { return bytes.Equal(v, w) }) {
				found = append(found, pid)
				break
			}
		}
	}
	return found, nil
}
