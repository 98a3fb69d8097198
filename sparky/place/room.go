package place

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/cromt/cromt/sparky/tomtit"
)

// Room is a folder of one job at a place, with a copy of this program.
type Room struct {
	p     *Place
	dir   string
	grace time.Duration
}

// Open makes a room. program is the file of this program, id is unique among
// all jobs and safe in a path, grace is between TERM and KILL for what a
// scenario leaves running.
func (p *Place) Open(ctx context.Context, program, id string, grace time.Duration) (*Room, error) {
	r := &Room{p: p, dir: "/tmp/cromt-" + id, grace: grace}
	ctx, stop := context.WithTimeout(ctx, CopyTimeout)
	defer stop()
	f, err := os.Open(program)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p, err)
	}
	defer f.Close()
	// Not into a folder that somebody else has made there.
	line := fmt.Sprintf("umask 077 && mkdir -p /tmp && mkdir %[1]s && cat >%[1]s/cromt && chmod 700 %[1]s/cromt", r.dir)
	if err := p.do(ctx, line, f, nil); err != nil {
		return nil, fmt.Errorf("%s: copy cromt: %w", p, err)
	}
	if _, err := r.ask(ctx, request{Op: opHello}, nil, nil); err != nil {
		err = fmt.Errorf("%s: start the copy of cromt: %w", p, err)
		return nil, errors.Join(err, r.remove(ctx))
	}
	return r, nil
}

// do runs a line of shell there.
func (p *Place) do(ctx context.Context, line string, in io.Reader, out io.Writer) error {
	said := &tail{}
	cmd := p.command(ctx, line)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, said
	return p.explain(ctx, cmd.Run(), said.String())
}

func (p *Place) command(ctx context.Context, line string) *exec.Cmd {
	argv := p.argv(line)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = p.env
	cmd.WaitDelay = time.Second
	// Not what this process finds in its own PATH.
	cmd.Path, cmd.Err = tomtit.LookPath(argv[0], p.env)
	return cmd
}

// explain says what went wrong in the words of who said it.
func (p *Place) explain(ctx context.Context, err error, said string) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("%s is not installed on this host", p.argv("")[0])
	}
	lines := strings.Split(strings.TrimSpace(said), "\n")
	if last := strings.TrimSpace(lines[len(lines)-1]); last != "" {
		return errors.New(last)
	}
	return err
}

// Dir is the folder of the checkout in the room.
func (r *Room) Dir() string { return r.dir + "/scm" }

// Put copies the folder dir of this machine to Dir.
func (r *Room) Put(ctx context.Context, dir string) error {
	ctx, stop := context.WithTimeout(ctx, CopyTimeout)
	defer stop()
	pr, pw := io.Pipe()
	go func() { pw.CloseWithError(pack(pw, dir)) }()
	_, err := r.ask(ctx, request{Op: opUnpack, Dir: r.Dir()}, pr, nil)
	_ = pr.Close() // ends pack, if nobody reads to its end
	if err != nil {
		return fmt.Errorf("%s: copy the checkout: %w", r.p, err)
	}
	return nil
}

// Write puts a file, path below the folder dir, in place of what may be there.
func (r *Room) Write(ctx context.Context, dir, path string, from io.Reader) error {
	ctx, stop := context.WithTimeout(ctx, CopyTimeout)
	defer stop()
	if _, err := r.ask(ctx, request{Op: opWrite, Dir: dir, Path: path}, from, nil); err != nil {
		return fmt.Errorf("%s: write %s: %w", r.p, path, err)
	}
	return nil
}

// Job is a scenario to run in a room.
type Job struct {
	Dir     string   // where; absolute, or ~ or ~/…
	Action  string   // the scenario
	Options []string // of tom
	Env     []string // NAME=value, beside what there is
}

// Run runs a scenario and returns its exit code, as [tomtit.Runner.Run] does.
// When ctx ends, the scenario is ended as a tree. An error that wraps ErrLost
// leaves open what has become of it; then, and after a cancel, the room is gone.
func (r *Room) Run(ctx context.Context, job Job, out io.Writer) (int, error) {
	pr, pw := io.Pipe()
	defer func() { _ = pw.Close() }() // a pipe's Close does not fail
	hard, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(nil)
	stop := context.AfterFunc(ctx, func() {
		_ = pw.Close() // the scenario is ended there
		time.AfterFunc(r.grace+endGrace, func() { cut(context.Cause(ctx)) })
	})
	defer stop()
	ans, err := r.ask(hard, request{Op: opRun, Job: job, Grace: r.grace, Room: r.dir}, pr, out)
	if cause := context.Cause(ctx); cause != nil {
		return 0, cause
	}
	if errors.Is(err, errNoAnswer) {
		return 0, fmt.Errorf("%s: %w: %w", r.p, ErrLost, err)
	}
	return ans.Exit, err
}

// FileError says that a file that was asked for is not one that can be had.
type FileError struct{ Err error }

func (e *FileError) Error() string { return e.Err.Error() }
func (e *FileError) Unwrap() error { return e.Err }

// Get opens a regular file, path below the folder dir, to be read. What is
// wrong with it is the error of its Read: a *FileError, that of a file that is
// not there wraps fs.ErrNotExist, or another one when the place is gone.
func (r *Room) Get(ctx context.Context, dir, path string) io.ReadCloser {
	pr, pw := io.Pipe()
	ctx, stop := context.WithTimeout(ctx, CopyTimeout)
	go func() {
		defer stop()
		_, err := r.ask(ctx, request{Op: opRead, Dir: dir, Path: path}, nil, pw)
		if err != nil && !errors.Is(err, errNoAnswer) {
			err = &FileError{err}
		}
		pw.CloseWithError(err) // nil is the end of the file
	}()
	return pr
}

// Close removes the room. It is no error that it is gone.
func (r *Room) Close(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, EngineTimeout)
	defer stop()
	return r.remove(ctx)
}

func (r *Room) remove(ctx context.Context) error {
	if err := r.p.do(ctx, "rm -rf "+r.dir, nil, nil); err != nil {
		return fmt.Errorf("%s: remove %s: %w", r.p, r.dir, err)
	}
	return nil
}

// errNoAnswer says that the copy there did not say how it ended.
var errNoAnswer = errors.New("no answer")

// ask has the copy there do something, and returns its answer.
func (r *Room) ask(ctx context.Context, q request, in io.Reader, out io.Writer) (answer, error) {
	header, err := json.Marshal(q)
	if err != nil {
		return answer{}, err
	}
	stdin := io.Reader(bytes.NewReader(append(header, '\n')))
	if in != nil {
		stdin = io.MultiReader(stdin, in)
	}
	said := &tail{}
	cmd := r.p.command(ctx, "exec "+r.dir+"/cromt "+Command)
	cmd.Stdout, cmd.Stderr = out, said
	// Not cmd.Stdin: Wait would wait until in ends, not until the command does.
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return answer{}, err
	}
	if err := cmd.Start(); err != nil {
		return answer{}, r.p.explain(ctx, err, "")
	}
	go func() {
		_, _ = io.Copy(pipe, stdin) // who does not read it says why
		_ = pipe.Close()
	}()
	err = cmd.Wait()
	text := said.String()
	if a, ok := parseAnswer(text); ok {
		return a, a.err()
	}
	if err = r.p.explain(ctx, err, text); err == nil {
		err = errors.New("it said nothing")
	}
	if strings.Contains(text, "exec format error") || strings.Contains(text, "Exec format error") {
		err = fmt.Errorf("%w: this program is for another kind of machine than that", err)
	}
	return answer{}, fmt.Errorf("%w: %w", errNoAnswer, err)
}

// answer is how the copy ended, as the last line of its standard error.
type answer struct {
	Exit    int    `json:"exit"`
	Error   string `json:"error,omitempty"`
	Missing bool   `json:"missing,omitempty"` // the error is fs.ErrNotExist
}

const answerPrefix = "cromt: "

func (a answer) err() error {
	switch {
	case a.Missing:
		return fs.ErrNotExist
	case a.Error != "":
		return errors.New(a.Error)
	}
	return nil
}

func parseAnswer(said string) (a answer, ok bool) {
	i := strings.LastIndex(said, answerPrefix+"{")
	if i < 0 {
		return a, false
	}
	line, _, _ := strings.Cut(said[i+len(answerPrefix):], "\n")
	return a, json.Unmarshal([]byte(line), &a) == nil
}

// tail keeps the end of what is written to it.
type tail struct{ buf []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - maxSaid; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return strings.ToValidUTF8(string(t.buf), "\ufffd") }
