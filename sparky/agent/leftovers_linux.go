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
//
// A process may start another one and exit before it is looked at: the other
// has a higher id, and so those that are given out meanwhile are looked at too,
// until there are no more of them.
func marked(markers []string) ([]int, error) {
	last := lastPid()
	proc, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer proc.Close()
	names, _ := proc.Readdirnames(-1) // what could be read is looked at
	var found []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			has, _, err := hasMarker(pid, markers)
			if err != nil {
				return found, err
			}
			if has {
				found = append(found, pid)
			}
		}
	}
	for range maxChase {
		from := last
		if last = lastPid(); len(found) > 0 || last <= from || last-from > maxProbes {
			break
		}
		for pid := from + 1; pid <= last; pid++ {
			has, empty, err := hasMarker(pid, markers)
			for n := 0; n < emptyReads && empty && err == nil; n++ { // it may be executing another program
				time.Sleep(emptyPause)
				has, empty, err = hasMarker(pid, markers)
			}
			if err != nil {
				return found, err
			}
			if has {
				found = append(found, pid)
			}
		}
	}
	return found, nil
}

// hasMarker reports whether a process has one of the markers, or an empty
// environment. The error is that of a lack of descriptors.
func hasMarker(pid int, markers []string) (has, empty bool, err error) {
	if pid == os.Getpid() {
		return false, false, nil
	}
	env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		return false, false, err
	}
	if err != nil || !bytes.Contains(env, []byte(markerName)) {
		return false, err == nil && len(env) == 0, nil
	}
	for v := range bytes.SplitSeq(env, []byte{0}) {
		if slices.Contains(markers, string(v)) {
			return true, false, nil
		}
	}
	return false, false, nil
}

// lastPid returns the id that was given to a process last, 0 if not known.
func lastPid() int {
	data, _ := os.ReadFile("/proc/loadavg")
	fields := bytes.Fields(data)
	if len(fields) == 0 {
		return 0
	}
	last, _ := strconv.Atoi(string(fields[len(fields)-1]))
	return last
}
