package tomtit

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

// tree is a process that leads its own session, and all that came from it.
type tree struct {
	cmd    *exec.Cmd
	leader int
	marker string
	others map[int]uint64 // outside the leader's group: pid to start time
	born   uint64         // start time of the leader; 0: not read yet
	// lacking is since when this process lacks descriptors to look with.
	lacking time.Time
}

func newTree(cmd *exec.Cmd) *tree {
	return &tree{cmd: cmd, leader: cmd.Process.Pid, marker: jobMarker(cmd.Env)}
}

// wait reports whether the leader has exited before ctx ended. It stays a
// zombie until reap, so that its id, which is the session's and the group's,
// is nobody else's.
//
// A thread that waits in the kernel would keep others from running until the
// scheduler notices, at every job; here the poller waits, as for a connection.
func (t *tree) wait(ctx context.Context) bool {
	f := openProcess(t.leader)
	if f == nil {
		return t.waitBlocked(ctx)
	}
	defer func() { _ = f.Close() }()
	defer context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Unix(1, 0)) })()
	raw, err := f.SyscallConn()
	if err != nil {
		return t.waitBlocked(ctx)
	}
	exited := false
	err = raw.Read(func(uintptr) bool {
		exited = t.exited(syscall.WNOHANG)
		return exited
	})
	if err != nil && ctx.Err() == nil {
		return t.waitBlocked(ctx)
	}
	return exited
}

// waitBlocked is wait for a kernel without pollable processes.
func (t *tree) waitBlocked(ctx context.Context) bool {
	exited := make(chan struct{})
	go func() {
		for !t.exited(0) {
		}
		close(exited)
	}()
	select {
	case <-exited:
		return true
	case <-ctx.Done():
		return false
	}
}

// exited reports whether the leader has exited, without collecting it.
func (t *tree) exited(flags int) bool {
	const pPid, wNoWait = 1, 0x01000000
	var info struct {
		signo, _, _ int32
		_           [116]byte // the rest of a siginfo_t
	}
	_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, pPid, uintptr(t.leader),
		uintptr(unsafe.Pointer(&info)), uintptr(syscall.WEXITED|wNoWait|flags), 0, 0)
	return errno != syscall.EINTR && (errno != 0 || info.signo != 0)
}

// openProcess returns a file that can be read from when the process has
// exited, nil where the kernel has no such files.
func openProcess(pid int) *os.File {
	const pidfdOpen = 434
	fd, _, errno := syscall.Syscall(pidfdOpen, uintptr(pid), syscall.O_NONBLOCK, 0)
	if errno != 0 {
		return nil
	}
	return os.NewFile(fd, "process")
}

// openPipe is os.Pipe with less ado: only the end that is read from here goes
// to the poller.
func openPipe() (r, w *os.File, err error) {
	var p [2]int
	if err := syscall.Pipe2(p[:], syscall.O_CLOEXEC); err != nil {
		return nil, nil, os.NewSyscallError("pipe2", err)
	}
	if err := syscall.SetNonblock(p[0], true); err != nil {
		_ = syscall.Close(p[0])
		_ = syscall.Close(p[1])
		return nil, nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(p[0]), "|0"), os.NewFile(uintptr(p[1]), "|1"), nil
}

// reap ends what the leader left behind, and collects it.
func (t *tree) reap() error {
	t.killAll()
	return waited(t.cmd.Wait())
}

// process is a line of /proc/PID/stat.
type process struct {
	pid, parent, group, session int
	state                       byte
	start                       uint64
}

func (p process) dead() bool { return p.state == 'Z' || p.state == 'X' }

// signal sends sig to the leader's group and to the others that belong to it.
func (t *tree) signal(sig syscall.Signal) {
	t.find(t.readAll())
	_ = syscall.Kill(-t.leader, sig)
	for pid := range t.others {
		_ = syscall.Kill(pid, sig)
	}
}

// alive reports whether a process of the tree, the leader aside, still runs.
func (t *tree) alive() bool {
	return t.find(t.readAll()) > 0
}

// killAll ends whatever is left besides the leader, which has exited or gets
// KILL as well. On the usual path nothing is left, and it costs a kill and a
// look at the process ids that were given out since the leader's.
func (t *tree) killAll() {
	_ = syscall.Kill(-t.leader, syscall.SIGKILL)
	if len(t.others) == 0 {
		if found, sure := t.findSince(t.leader); !found && sure {
			return
		}
	}
	for end := time.Now().Add(sweepTime); time.Now().Before(end); time.Sleep(sweepPause / 10) {
		last := t.lastPid()
		found := t.find(t.readAll()) > 0
		if !found {
			found, _ = t.findSince(last)
		}
		if !found {
			return
		}
		_ = syscall.Kill(-t.leader, syscall.SIGKILL)
		for pid := range t.others {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// find notes the processes of the tree that are outside its group, and
// returns how many run in all, the leader aside.
func (t *tree) find(ps []process) int {
	members := map[int]bool{t.leader: true}
	others := make(map[int]uint64)
	for _, p := range ps {
		if p.pid != t.leader && !p.dead() && t.knows(p) {
			members[p.pid] = true
			if p.group != t.leader {
				others[p.pid] = p.start
			}
		}
	}
	for again := true; again; {
		again = false
		for _, p := range ps {
			if !members[p.pid] && !p.dead() && members[p.parent] {
				members[p.pid], again = true, true
				others[p.pid] = p.start
			}
		}
	}
	t.others = others
	return len(members) - 1
}

// knows reports whether p belongs to the tree by itself, not by its parent.
func (t *tree) knows(p process) bool {
	start, known := t.others[p.pid]
	return p.session == t.leader || p.group == t.leader || known && start == p.start || t.hasMarker(p)
}

// hasMarker reports whether the environment of p has the marker. While a
// process executes another program it has none: then it is read again.
func (t *tree) hasMarker(p process) bool {
	if t.marker == "" || p.pid == os.Getpid() {
		return false
	}
	for range markerReads {
		var env []byte
		err := t.patiently(func() (err error) {
			env, err = os.ReadFile("/proc/" + strconv.Itoa(p.pid) + "/environ")
			return err
		})
		if err != nil {
			return false
		}
		for v := range bytes.SplitSeq(env, []byte{0}) {
			if string(v) == t.marker {
				return true
			}
		}
		if len(env) > 0 || p.parent == kthreadd || p.start < t.leaderStart() {
			return false
		}
		time.Sleep(sweepPause / 40)
	}
	return false
}

const (
	kthreadd    = 2  // parent of the kernel's own threads
	markerReads = 80 // of an empty environment, 40 ms: enough for an exec to be over on a busy machine
)

func (t *tree) leaderStart() uint64 {
	if t.born == 0 {
		p, _ := t.readProcess(t.leader)
		t.born = max(p.start, 1)
	}
	return t.born
}

// findSince is find among the processes that were started after the one of
// that id. It goes on with those that are started meanwhile until there are no
// more: a process that starts another one and exits is seen, or the other one
// is, which has the higher id. sure is false when they are too many to look
// at, or when the system does not tell the last id.
func (t *tree) findSince(pid int) (found, sure bool) {
	for range maxChase {
		last := t.lastPid()
		switch {
		case last == pid:
			return false, true
		case last < pid || last-pid > maxProbes:
			return false, false
		}
		var ps []process
		for pid < last {
			if pid++; t.isForeign(pid) {
				continue
			}
			if p, ok := t.readProcess(pid); ok {
				ps = append(ps, p)
			}
		}
		if t.find(ps) > 0 {
			return true, true
		}
	}
	return false, true
}

// isForeign reports whether there is no process of that id, or one that is
// certainly not of the tree, at a hundredth of the cost of a look into /proc:
// one of the tree is in the leader's session or in one that was begun after it,
// and a session has the id of the process that began it.
func (t *tree) isForeign(pid int) bool {
	session, _, errno := syscall.RawSyscall(syscall.SYS_GETSID, uintptr(pid), 0, 0)
	return errno == syscall.ESRCH || errno == 0 && int(session) < t.leader
}

// lastPid returns the id that was given to a process last, 0 if not known.
func (t *tree) lastPid() int {
	var buf [128]byte
	n := t.readFile("/proc/loadavg", buf[:])
	fields := bytes.Fields(buf[:n])
	if len(fields) == 0 {
		return 0
	}
	last, _ := strconv.Atoi(string(fields[len(fields)-1]))
	return last
}

// patiently opens something again while this process lacks descriptors: what
// it cannot see it would take for gone. It waits for descriptorPatience in all.
func (t *tree) patiently(open func() error) error {
	for {
		err := open()
		if !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) {
			return err
		}
		if t.lacking.IsZero() {
			t.lacking = time.Now()
		}
		if time.Since(t.lacking) > descriptorPatience {
			return err
		}
		time.Sleep(sweepPause)
	}
}

// readAll reads all processes.
func (t *tree) readAll() []process {
	var dir *os.File
	err := t.patiently(func() (err error) {
		dir, err = os.Open("/proc")
		return err
	})
	if err != nil {
		return nil
	}
	defer func() { _ = dir.Close() }()
	names, _ := dir.Readdirnames(-1)
	ps := make([]process, 0, len(names))
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			if p, ok := t.readProcess(pid); ok {
				ps = append(ps, p)
			}
		}
	}
	return ps
}

func (t *tree) readProcess(pid int) (process, bool) {
	var buf [1024]byte
	n := t.readFile("/proc/"+strconv.Itoa(pid)+"/stat", buf[:])
	// The name, in parentheses, may hold anything.
	fields := bytes.Fields(buf[bytes.LastIndexByte(buf[:n], ')')+1 : n])
	if len(fields) < 20 {
		return process{}, false
	}
	p := process{pid: pid, state: fields[0][0]}
	p.parent, _ = strconv.Atoi(string(fields[1]))
	p.group, _ = strconv.Atoi(string(fields[2]))
	p.session, _ = strconv.Atoi(string(fields[3]))
	p.start, _ = strconv.ParseUint(string(fields[19]), 10, 64)
	return p, true
}

// readFile reads a small file of /proc without the poller, which costs more
// than the reading.
func (t *tree) readFile(path string, buf []byte) int {
	var fd int
	err := t.patiently(func() (err error) {
		fd, err = syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return 0
	}
	defer func() { _ = syscall.Close(fd) }()
	n, err := syscall.Read(fd, buf)
	if err != nil {
		return 0
	}
	return n
}
