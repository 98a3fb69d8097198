//go:build linux

package agent_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/agent"
	"github.com/cromt/cromt/sparky/sparkytest"
)

// static is cromt, built once without cgo: containers have no libc of ours.
var static = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "cromt-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "cromt")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", path, "../../cmd/cromt")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return path, nil
})

// queueAt posts a job with sparrowdo settings.
func (h *host) queueAt(project string, spec sparky.Spec, sparrowdo map[string]any) string {
	h.t.Helper()
	id := newID()
	var body map[string]any
	if err := json.Unmarshal([]byte(queueBody(project, id, spec)), &body); err != nil {
		h.t.Fatal(err)
	}
	body["config"].(map[string]any)["sparrowdo"] = sparrowdo
	data, err := json.Marshal(body)
	if err != nil {
		h.t.Fatal(err)
	}
	if code, text := h.do("POST", "/queue", string(data)); code != 200 || strings.Contains(text, "error") {
		h.t.Fatalf("POST /queue: %d %s", code, text)
	}
	return id
}

func startPlaced(t *testing.T, root string) *host {
	t.Helper()
	bin, err := static()
	if err != nil {
		t.Fatal(err)
	}
	return start(t, agent.Config{Root: root, Program: bin})
}

const odd = "a b\n'\"$(id)\\é,=\x01"

// everywhere are the scenarios that must run the same in each kind of place.
func everywhere(t *testing.T, h *host, sparrowdo map[string]any, leftIn func() string) {
	dir, commits := repository(t)
	addScenarios(t, dir,
		"ok", `printf '%s' "$ODD" | base64 -w0 2>/dev/null || printf '%s' "$ODD"; echo; cat .artifacts/in.txt; mkdir -p out; printf made >out/f; ln -s /etc/passwd out/link; echo "$PWD $SPARKY_JOB_ID"`+"\n",
		"fails", "echo to stderr >&2\nexit 7\n",
		"waits", "trap 'echo term' TERM\n(setsid sleep 300 &)\necho waiting\nsleep 300 & wait\n",
		"link", "mkdir -p out; ln -s /etc/passwd out/f\n",
		"folder", "mkdir -p out/f\n")
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "--quiet", "-m", "scenarios")
	head := git(t, dir, "rev-parse", "HEAD")
	spec := func(action string) sparky.Spec {
		s := inGit(sparky.SpecSource{URL: dir}, action)
		s.Env = map[string]string{"ODD": base64.StdEncoding.EncodeToString([]byte(odd)), "S": base64.StdEncoding.EncodeToString([]byte("hunter2hunter2"))}
		s.Secrets = []string{"S"}
		return s
	}
	t.Run("success", func(t *testing.T) {
		s := spec("ok")
		s.Actions = []string{"x", "ok"}
		s.Out = []sparky.SpecOutput{{File: "out.txt", Path: "out/f"}}
		s.In = []sparky.SpecInput{{Name: "in", Path: "in.txt"}}
		id := fmt.Sprintf("job.%d", lastID.Load()+1)
		if code, body := h.do("PUT", "/file/project/p/job/"+id+"/filename/in", "the input\n"); code != 200 {
			t.Fatal(code, body)
		}
		if got := h.queueAt("p", s, sparrowdo); got != id {
			t.Fatalf("job %s, want %s", got, id)
		}
		st, log := h.wait("p", id)
		if st.State != sparky.CodeOK || st.Commit != head {
			t.Errorf("%+v", st)
		}
		if !strings.Contains(log, odd) && !strings.Contains(log, base64.StdEncoding.EncodeToString([]byte(odd))) {
			t.Errorf("the variable did not arrive byte for byte")
		}
		for _, want := range []string{"this is two\n", "the input\n", "/scm " + id + "\n", "meta: out=out.txt bytes=4\n"} {
			if !strings.Contains(log, want) {
				t.Errorf("no %q in the log:\n%s", want, log)
			}
		}
		if code, body := h.do("GET", "/file/p/"+id+"/out.txt", ""); code != 200 || body != "made" {
			t.Errorf("artifact: %d %q", code, body)
		}
	})
	for _, c := range []struct {
		action, path string
		exit         int
		says         string
	}{
		{"fails", "", 7, "to stderr\n"},
		{"none", "", 1, "scenario none not found\n"},
		{"x", "nothing", 66, `artifact "f": no file nothing`},
		{"link", "out/f", 66, "out/f is not a regular file"},
		{"folder", "out/f", 66, "out/f is not a regular file"},
	} {
		t.Run("failure "+c.action+c.path, func(t *testing.T) {
			s := spec(c.action)
			if c.path != "" {
				s.Out = []sparky.SpecOutput{{File: "f", Path: c.path}}
			}
			st, log := h.wait("p", h.queueAt("p", s, sparrowdo))
			if st.State != sparky.CodeFailed || st.Cause != flow.CauseTask || st.ExitCode != c.exit || !strings.Contains(log, c.says) {
				t.Errorf("%+v\n%s", st, log)
			}
		})
	}
	t.Run("cancel", func(t *testing.T) {
		id := h.queueAt("p", spec("waits"), sparrowdo)
		h.until("p", id, func(_ sparky.JobStatus, log string) bool { return strings.Contains(log, "waiting\n") })
		if code, body := h.do("POST", "/cancel/project/p/"+id, ""); code != 200 {
			t.Fatal(code, body)
		}
		st, log := h.wait("p", id)
		if st.State != sparky.CodeCancelled || !strings.Contains(log, "term\n") {
			t.Errorf("%+v\n%s", st, log)
		}
	})
	t.Run("timeout", func(t *testing.T) {
		s := spec("waits")
		s.Timeout = 2
		st, log := h.wait("p", h.queueAt("p", s, sparrowdo))
		if st.Cause != flow.CauseTimeout {
			t.Errorf("%+v\n%s", st, log)
		}
	})
	t.Run("several at once", func(t *testing.T) {
		var ids []string
		for i := range 4 {
			ids = append(ids, h.queueAt(fmt.Sprintf("p%d", i), spec("x"), sparrowdo))
		}
		for i, id := range ids {
			if st, log := h.wait(fmt.Sprintf("p%d", i), id); st.State != sparky.CodeOK {
				t.Errorf("%+v\n%s", st, log)
			}
		}
	})
	if left := leftIn(); strings.Contains(left, "cromt") || strings.Contains(left, "sleep 300") && !strings.Contains(left, "sleep 3600") || strings.Contains(left, "sleep 300\n") {
		t.Errorf("left behind:\n%s", left)
	}
	_ = commits
}

func TestContainer(t *testing.T) {
	img := sparkytest.Image(t)
	name := sparkytest.Container(t, img)
	h := startPlaced(t, "")
	everywhere(t, h, map[string]any{"docker": name, "no_sudo": true}, func() string {
		return sparkytest.Docker(t, "exec", name, "sh", "-c", "ls -a /tmp; ps -o args")
	})
	t.Run("folder", func(t *testing.T) {
		sparkytest.Docker(t, "exec", name, "sh", "-c", `mkdir -p /srv/flow/.tom && echo 'hostname; cat .artifacts/in' >/srv/flow/.tom/x.bash`)
		s := inDir("/srv/flow", "x")
		s.In = []sparky.SpecInput{{Name: "in", Path: "in"}}
		id := fmt.Sprintf("job.%d", lastID.Load()+1)
		if code, body := h.do("PUT", "/file/project/p/job/"+id+"/filename/in", "the input\n"); code != 200 {
			t.Fatal(code, body)
		}
		st, log := h.wait("p", h.queueAt("p", s, map[string]any{"docker": name}))
		if st.State != sparky.CodeOK || !strings.Contains(log, name+"\nthe input\n") {
			t.Errorf("%+v\n%s", st, log)
		}
	})
	t.Run("refused", func(t *testing.T) {
		dir := scenarios(t, "x", "echo here\n")
		for _, c := range []struct {
			sparrowdo map[string]any
			want      string
		}{
			{map[string]any{"docker": "cromt-test-none"}, "no container cromt-test-none is there; start it, or name its image in sparrowdo"},
			{map[string]any{"docker": "-v/:/x"}, "is not the name of a container"},
			{map[string]any{"docker": "cromt-test-none", "image": "--privileged"}, "is not the name of an image"},
			{map[string]any{"image": img}, "sparrowdo.image: needs docker"},
			{map[string]any{"host": "-oProxyCommand=id"}, "is not the name of a machine"},
			{map[string]any{"host": "127.0.0.1", "ssh_private_key": "/nosuch"}, "ssh_private_key: stat /nosuch"},
			{map[string]any{"host": "127.0.0.1", "ssh_port": "1"}, "port 1: Connection refused"},
		} {
			st, log := h.wait("p", h.queueAt("p", inDir(dir, "x"), c.sparrowdo))
			if st.State != sparky.CodeFailed || st.Cause != flow.CauseInfrastructure || !strings.Contains(st.Error, c.want) || strings.Contains(log, "here\n") {
				t.Errorf("%v: %+v\n%s", c.sparrowdo, st, log)
			}
		}
	})
	t.Run("gone", func(t *testing.T) {
		gone := sparkytest.Container(t, img)
		dir, _ := repository(t)
		addScenarios(t, dir, "waits", "echo waiting\nsleep 300\n")
		git(t, dir, "add", "-A")
		git(t, dir, "commit", "--quiet", "-m", "waits")
		id := h.queueAt("p", inGit(sparky.SpecSource{URL: dir}, "waits"), map[string]any{"docker": gone})
		h.until("p", id, func(_ sparky.JobStatus, log string) bool { return strings.Contains(log, "waiting\n") })
		sparkytest.Docker(t, "kill", gone)
		if st, log := h.wait("p", id); st.State != sparky.CodeFailed || st.Cause != flow.CauseInfrastructure || !st.Lost {
			t.Errorf("%+v\n%s", st, log)
		}
	})
}

// A container is started from its image, shared, and removed after its last
// job; one that a killed agent has left is removed as well.
func TestContainerFromImage(t *testing.T) {
	img := sparkytest.Image(t)
	root := t.TempDir()
	h := startPlaced(t, root)
	name := fmt.Sprintf("cromt-test-img-%d", os.Getpid())
	t.Cleanup(func() { _ = exec.Command("docker", "rm", "--force", name, name+"-left").Run() })
	dir, _ := repository(t)
	at := map[string]any{"docker": name, "image": img}
	var ids []string
	for i := range 3 {
		ids = append(ids, h.queueAt(fmt.Sprintf("p%d", i), inGit(sparky.SpecSource{URL: dir}, "x"), at))
	}
	for i, id := range ids {
		if st, log := h.wait(fmt.Sprintf("p%d", i), id); st.State != sparky.CodeOK || !strings.Contains(log, "it runs in container "+name+"\n") {
			t.Errorf("%+v\n%s", st, log)
		}
	}
	if left := sparkytest.Docker(t, "ps", "--all", "--quiet", "--filter", "name="+name); left != "" {
		t.Errorf("containers left: %s", left)
	}
	st, log := h.wait("p", h.queueAt("p", inGit(sparky.SpecSource{URL: dir}, "x"), map[string]any{"docker": name, "image": "cromt-test-nosuch"}))
	if st.State != sparky.CodeFailed || !strings.Contains(st.Error, "container "+name+" from image cromt-test-nosuch: docker run: ") {
		t.Errorf("%+v\n%s", st, log)
	}
	h.stop()
	sparkytest.Docker(t, "run", "--detach", "--name", name+"-left", "--label", "cromt.agent="+agent.OwnerOf(root), img, "sleep", "3600")
	h = startPlaced(t, root)
	if st, log := h.wait("p", h.queueAt("p", inGit(sparky.SpecSource{URL: dir}, "x"), at)); st.State != sparky.CodeOK {
		t.Errorf("%+v\n%s", st, log)
	}
	if left := sparkytest.Docker(t, "ps", "--all", "--quiet", "--filter", "name="+name); left != "" {
		t.Errorf("containers left: %s", left)
	}
}

// sshd starts a server on a port of its own that takes one key of this user.
func sshd(t *testing.T) (port int, key string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"host", "key"} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, name)).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v\n%s; apt-get install openssh-server openssh-client", err, out)
		}
	}
	pub, err := os.ReadFile(filepath.Join(dir, "key.pub"))
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port = ln.Addr().(*net.TCPAddr).Port
	_ = ln.Close()
	for name, text := range map[string]string{
		"keys": string(pub),
		"config": fmt.Sprintf("ListenAddress 127.0.0.1:%d\nHostKey %s/host\nAuthorizedKeysFile %s/keys\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPidFile %s/pid\n",
			port, dir, dir, dir),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if os.Getuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // it insists
			t.Fatal(err)
		}
	}
	var said bytes.Buffer
	cmd := exec.Command("/usr/sbin/sshd", "-D", "-e", "-f", filepath.Join(dir, "config"))
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v; apt-get install openssh-server", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("sshd: %.2000s", &said)
		}
	})
	deadline := time.Now().Add(20 * time.Second)
	for {
		conn, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err == nil {
			_ = conn.Close()
			return port, filepath.Join(dir, "key")
		}
		if time.Now().After(deadline) {
			t.Fatalf("sshd does not listen: %v\n%s", err, &said)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestMachine(t *testing.T) {
	port, key := sshd(t)
	t.Setenv("HOME", t.TempDir())
	h := startPlaced(t, "")
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]any{"host": "127.0.0.1", "ssh_port": strconv.Itoa(port), "ssh_private_key": key, "ssh_user": me.Username}
	rooms := func() []string {
		left, err := filepath.Glob("/tmp/cromt-job.*")
		if err != nil {
			t.Fatal(err)
		}
		return left
	}
	before := rooms() // of tests that were killed
	everywhere(t, h, at, func() string {
		return strings.Join(slices.DeleteFunc(rooms(), func(r string) bool { return slices.Contains(before, r) }), "\n")
	})
}
