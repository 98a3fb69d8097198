package agent

import (
	"fmt"
	"io"
	"os"
	"sync"
)

// jobLog is what a job prints. It begins in memory and moves to a file when
// it grows or the job lasts. Of a log over its limit the head is kept in the
// file and the tail in memory until the end.
//
// Writing never fails and never waits for a reader: a job must not stop, or
// be judged, because of its log.
type jobLog struct {
	mu      sync.Mutex
	path    string // of the file, made when it is needed
	grown   func() // called after every write, without the lock
	mem     []byte // everything so far; nil once there is a file
	file    *os.File
	size    int64 // bytes in mem or file
	limit   int64 // of head and tail together
	tailMax int
	tail    []byte // ring of what came after the head
	tailAt  int    // where the ring goes on
	dropped int64  // bytes that fell out of the ring, or could not be written
	broken  error  // why the file cannot be written
	ended   bool
}

func newJobLog(path string, limit int64, tail int, grown func()) *jobLog {
	return &jobLog{path: path, limit: limit, tailMax: tail, grown: grown}
}

// Write takes p. It always returns len(p), nil.
func (l *jobLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	if !l.ended {
		l.add(p)
	}
	l.mu.Unlock()
	l.grown()
	return len(p), nil
}

func (l *jobLog) add(p []byte) {
	if room := l.limit - int64(l.tailMax) - l.size; int64(len(p)) > room {
		l.head(p[:room])
		l.ring(p[room:])
		return
	}
	l.head(p)
}

func (l *jobLog) head(p []byte) {
	if len(p) == 0 {
		return
	}
	if l.file == nil && l.broken == nil && len(l.mem)+len(p) > maxInlineLog {
		l.spill()
	}
	if l.file == nil {
		if l.broken != nil && len(l.mem)+len(p) > maxInlineLog {
			l.dropped += int64(len(p))
			return
		}
		l.mem = append(l.mem, p...)
		l.size += int64(len(p))
		return
	}
	n, err := l.file.WriteAt(p, l.size)
	l.size += int64(n)
	if err != nil {
		l.broken = err
		l.dropped += int64(len(p) - n)
	}
}

// spill moves the log to its file.
func (l *jobLog) spill() {
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		l.broken = err
		return
	}
	if _, err := f.WriteAt(l.mem, 0); err != nil {
		l.broken = err
		_ = f.Close() // what it holds is not used
		_ = os.Remove(l.path)
		return
	}
	l.file, l.mem = f, nil
}

// save moves a log that is still in memory to its file.
func (l *jobLog) save() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended && l.file == nil && l.broken == nil {
		l.spill()
	}
}

func (l *jobLog) ring(p []byte) {
	if l.tail == nil {
		l.tail = make([]byte, 0, l.tailMax)
	}
	if over := len(p) - l.tailMax; over > 0 {
		l.dropped += int64(over)
		p = p[over:]
	}
	if free := l.tailMax - len(l.tail); free > 0 {
		n := min(free, len(p))
		l.tail = append(l.tail, p[:n]...)
		p = p[n:]
	}
	l.dropped += int64(len(p))
	for len(p) > 0 {
		n := copy(l.tail[l.tailAt:], p)
		l.tailAt = (l.tailAt + n) % l.tailMax
		p = p[n:]
	}
}

// end completes the log: the tail follows the head, with a line that says how
// much is missing between them. It returns the size, and the whole log when
// it is not in a file.
func (l *jobLog) end() (size int64, inline []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	if l.dropped > 0 {
		why := fmt.Sprintf("the log is longer than %d bytes", l.limit)
		if l.broken != nil {
			why = "the log could not be written: " + l.broken.Error()
		}
		l.last(fmt.Appendf(nil, "\n--- %d bytes are cut here: %s ---\n", l.dropped, why))
	}
	l.last(l.tail[l.tailAt:])
	l.last(l.tail[:l.tailAt])
	l.tail = nil
	if l.file == nil {
		if l.mem == nil {
			l.mem = []byte{}
		}
		return l.size, l.mem
	}
	_ = l.file.Sync()  // a log that a power cut shortens is still a log
	_ = l.file.Close() // readers open it again
	l.file = nil
	return l.size, nil
}

func (l *jobLog) last(p []byte) {
	if l.file == nil {
		l.mem = append(l.mem, p...)
		l.size += int64(len(p))
		return
	}
	n, _ := l.file.WriteAt(p, l.size) // a full disk shortens the log
	l.size += int64(n)
}

// length returns how many bytes can be read.
func (l *jobLog) length() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size
}

// readAt returns up to n bytes from the offset on.
func (l *jobLog) readAt(offset, n int64) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n = min(n, l.size-offset)
	if offset < 0 || n <= 0 {
		return nil, nil
	}
	if l.mem != nil {
		return append([]byte(nil), l.mem[offset:offset+n]...), nil
	}
	if l.file != nil {
		return readSection(l.file, offset, n)
	}
	return readLogFile(l.path, offset, n)
}

func readLogFile(path string, offset, n int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readSection(f, offset, n)
}

func readSection(r io.ReaderAt, offset, n int64) ([]byte, error) {
	p := make([]byte, n)
	m, err := r.ReadAt(p, offset)
	if err == io.EOF {
		err = nil
	}
	return p[:m], err
}
