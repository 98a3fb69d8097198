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
	look := func(pid int) error {
		has, err := hasMarker(pid, markers)
		if has {
			found = append(found, pid)
		}
		return err
	}
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			if err := look(pid); err != nil {
				return found, err
			}
		}
	}
	for range maxChase {
		from := last
		if last = lastPid(); len(found) > 0 || last <= from || last-from > maxProbes {
			break
		}
		for pid := from + 1; pid <= last; pid++ {
			if err := look(pid); err != nil {
				return found, err
			}
		}
	}
	return found, nil
}

// hasMarker reports whether a process has one of the markers. The error is
// that of a lack of descriptors.
func hasMarker(pid int, markers []string) (bool, error) {
	if pid == os.Getpid() {
		return false, nil
	}
	for range emptyReads {
		env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
		if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
			return false, err
		}
		if err != nil {
			return false, nil // it has gone, or is another user's
		}
		if len(env) > 0 {
			return bytes.Contains(env, []byte(markerName)) && hasOne(env, markers), nil
		}
		if !mayBeExecuting(pid) {
			return false, nil
		}
		time.Sleep(emptyPause)
	}
	return false, nil
}

// hasOne reports whether an environment has one of the variables.
func hasOne(env []byte, variables []string) bool {
	for v := range bytes.SplitSeq(env, []byte{0}) {
		if slices.Contains(variables, string(v)) {
			return true
		}
	}
	return false
}

// mayBeExecuting reports whether a process without an environment may be about
// to get one, because it executes another program: zombies and the kernel's
// own threads never do.
func mayBeExecuting(pid int) bool {
	const kthreadd = "2" // parent of the kernel's threads
	stat, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // the name, in parentheses, may hold anything
	return len(fields) > 1 && !bytes.ContainsAny(fields[0], "ZX") && string(fields[1]) != kthreadd && string(fields[1]) != "0"
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
