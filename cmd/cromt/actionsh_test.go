//go:build unix

package main_test

import (
	"bytes"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestActionShellNamedBinary(t *testing.T) {
	t.Run("path", func(t *testing.T) {
		s := newShell(t)
		s.env["INPUT_BINARY"] = s.write("bin/of mine", standIn)
		s.wants(0, "stand-in: action\n")
	})
	t.Run("relative path", func(t *testing.T) {
		s := newShell(t)
		s.write("mine", standIn)
		s.env["INPUT_BINARY"] = "./mine"
		s.wants(0, "stand-in: action\n")
	})
	t.Run("on the PATH, not in the workspace", func(t *testing.T) {
		s := newShell(t)
		s.env["INPUT_BINARY"] = "mine"
		s.write("mine", standIn)
		s.wants(2, `::error title=cromt::binary "mine": not found on the PATH; a file of the workspace is ./mine`)
		s.env["PATH"] += ":" + filepath.Dir(s.write("bin/mine", standIn))
		s.wants(0, "stand-in: action\n")
	})
	t.Run("missing", func(t *testing.T) {
		s := newShell(t)
		s.env["INPUT_BINARY"] = "./none%\nof these"
		s.wants(2, `::error title=cromt::binary "./none%25%0Aof these": no such file`)
	})
	t.Run("not executable", func(t *testing.T) {
		s := newShell(t)
		if err := os.Chmod(s.write("mine", standIn), 0o644); err != nil {
			t.Fatal(err)
		}
		s.env["INPUT_BINARY"] = "./mine"
		s.wants(2, "not executable; chmod +x it first")
	})
}

func TestActionShellCommand(t *testing.T) {
	s := newShell(t)
	s.env["INPUT_BINARY"] = s.write("mine", standIn)
	s.env["INPUT_COMMAND"] = "cancel"
	s.wants(0, "stand-in: action cancel\n")
	s.env["INPUT_COMMAND"] = "run; id"
	s.wants(2, `command "run; id": must be run or cancel`)
}

func TestActionShellDownload(t *testing.T) {
	s := newShell(t)
	s.withoutGo()
	s.release(standIn)
	server := s.serve(file(standIn))
	s.wants(0, "stand-in: action\n")
	if got := s.cached(); !slices.Equal(got, []string{"cromt/1.2.3/x64/cromt"}) {
		t.Errorf("in the cache: %q", got)
	}
	s.wants(0, "stand-in: action\n")
	if got := server.asked(); !slices.Equal(got, []string{"/cromt/cromt/releases/download/v1.2.3/cromt-linux-amd64"}) {
		t.Errorf("asked for %q", got)
	}
}

func TestActionShellDamagedCache(t *testing.T) {
	s := newShell(t)
	s.release(standIn)
	cached := filepath.Join(s.env["RUNNER_TOOL_CACHE"], "cromt/1.2.3/x64/cromt")
	s.serve(file(standIn))
	s.wants(0)
	if err := os.WriteFile(cached, []byte("#!/bin/sh\necho evil\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.wants(0, "not what it should be; it is replaced", "stand-in: action\n")
	if got, err := os.ReadFile(cached); err != nil || string(got) != standIn {
		t.Errorf("cached now: %q, %v", got, err)
	}
}

// Go is there, and must not be the way out.
func TestActionShellMismatch(t *testing.T) {
	s := newShell(t)
	s.release(standIn)
	s.serve(file("#!/bin/sh\necho evil\n"))
	out, code := s.run()
	if code != 2 || !strings.Contains(out, "cromt-linux-amd64 of v1.2.3 is not the file that this action's checksums.txt names") || strings.Contains(out, "\nevil") || strings.Contains(out, "built") {
		t.Errorf("exit %d:\n%s", code, out)
	}
	if got := s.cached(); len(got) != 0 {
		t.Errorf("left in the cache: %q", got)
	}
}

func TestActionShellNoDownload(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"not found":       http.NotFound,
		"a page":          func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>sign in")) },
		"redirect":        http.RedirectHandler("/elsewhere", http.StatusFound).ServeHTTP,
		"announced giant": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "1000000000") },
		"giant": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/octet-stream")
			for chunk := range 200 { // MiB, and does not say so
				_, _ = w.Write(bytes.Repeat([]byte{byte(chunk)}, 1<<20))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShell(t)
			s.release(standIn)
			server := s.serve(answer)
			s.wants(0, "::notice title=cromt::cromt-linux-amd64 of v1.2.3 cannot be downloaded from "+s.env["GITHUB_SERVER_URL"], "built v1.2.3: action\n")
			if n := len(server.asked()); n != 1 {
				t.Errorf("asked %d times", n)
			}
			for _, name := range s.cached() {
				if strings.Contains(name, "new.") || strings.Contains(name, "1.2.3") {
					t.Errorf("left in the cache: %q", name)
				}
			}
		})
	}
}

// Plain http is for this machine alone: 0.0.0.0 gets there, and is not its name.
func TestActionShellOnlyHTTPS(t *testing.T) {
	s := newShell(t)
	s.release(standIn)
	server := s.serve(file(standIn))
	s.env["GITHUB_SERVER_URL"] = strings.Replace(s.env["GITHUB_SERVER_URL"], "127.0.0.1", "0.0.0.0", 1)
	s.wants(0, "built v1.2.3: action\n")
	if got := server.asked(); len(got) != 0 {
		t.Errorf("asked over http: %q", got)
	}
}

func TestActionShellBuild(t *testing.T) {
	s := newShell(t)
	maps.Copy(s.env, map[string]string{"GOOS": "plan9", "GOARCH": "mips", "GOFLAGS": "-mod=vendor", "GO111MODULE": "off"}) // the job's own
	server := s.serve(file(standIn))
	s.wants(0, "building from source with go", "built : action\n")
	if got := server.asked(); len(got) != 0 {
		t.Errorf("no release, and asked for %q", got)
	}

	path := s.env["PATH"]
	s.withoutGo()
	s.wants(0, "built : action\n") // from the cache
	built := s.cached()
	if err := os.WriteFile(filepath.Join(s.env["RUNNER_TOOL_CACHE"], built[0]), []byte("torn"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.wants(2, "not what it should be")

	s.env["PATH"] = path
	s.wants(0, "built : action\n")
	s.write("cmd/cromt/main.go", strings.Replace(builtStandIn, "built ", "changed ", 1))
	s.wants(0, "changed : action\n")

	s.write("cmd/cromt/main.go", "package main\n\nfunc main() { undefined() }\n")
	s.wants(2, "undefined: undefined", "cromt does not build: see above; it needs Go 1.24")
	if got := s.cached(); len(got) != 4 { // two binaries with their sums
		t.Errorf("in the cache: %q", got)
	}
}

func TestActionShellNoGo(t *testing.T) {
	const hint = "there is no Go to build it with; name one with the input binary, or put actions/setup-go before this step"
	t.Run("no release", func(t *testing.T) {
		s := newShell(t)
		s.withoutGo()
		s.wants(2, "::error title=cromt::no cromt for linux/amd64: this checkout is no release, and "+hint)
	})
	t.Run("no network", func(t *testing.T) {
		s := newShell(t)
		s.withoutGo()
		s.release(standIn)
		s.env["GITHUB_OUTPUT"] = s.write("output", "")
		s.wants(2, "no cromt for linux/amd64: its release cannot be downloaded, and "+hint)
		if got, err := os.ReadFile(s.env["GITHUB_OUTPUT"]); err != nil || string(got) != "conclusion=failure\nfailed=[]\n" {
			t.Errorf("outputs %q, %v", got, err)
		}
	})
}

func TestActionShellDamagedRelease(t *testing.T) {
	for name, content := range map[string]string{"version": "main\n", "checksums.txt": "0000  cromt-linux-amd64\n"} {
		t.Run(name, func(t *testing.T) {
			s := newShell(t)
			s.release(standIn)
			s.write(".github/action/"+name, content)
			s.wants(2, "use the action at a release's tag or commit")
		})
	}
}

func TestActionShellPlatforms(t *testing.T) {
	for _, c := range []struct{ os, arch, asset string }{
		{"Linux", "X64", "cromt-linux-amd64"},
		{"Linux", "ARM64", "cromt-linux-arm64"},
		{"macOS", "X64", "cromt-darwin-amd64"},
		{"macOS", "ARM64", "cromt-darwin-arm64"},
		{"Windows", "X64", "cromt-windows-amd64.exe"},
		{"Windows", "ARM64", "cromt-windows-arm64.exe"},
		{"Linux", "ARM", ""},
		{"Plan9", "X64", ""},
	} {
		t.Run(c.os+" "+c.arch, func(t *testing.T) {
			s := newShell(t)
			s.withoutGo()
			s.release(standIn)
			s.env["RUNNER_OS"], s.env["RUNNER_ARCH"] = c.os, c.arch
			server := s.serve(file(standIn))
			if c.asset == "" {
				s.wants(2, "its release has none")
			} else {
				s.wants(0, "stand-in: action\n")
			}
			if got := strings.Join(server.asked(), " "); filepath.Base(got) != filepath.Base(c.asset) {
				t.Errorf("asked for %q", got)
			}
		})
	}
}

// A self-hosted runner without the variables, or with a tool cache that it
// cannot write to.
func TestActionShellNoToolCache(t *testing.T) {
	for _, missing := range [][]string{{"RUNNER_TOOL_CACHE"}, {"RUNNER_TOOL_CACHE", "RUNNER_TEMP"}, {"RUNNER_TOOL_CACHE", "RUNNER_TEMP", "RUNNER_OS", "RUNNER_ARCH"}} {
		t.Run(strings.Join(missing, " "), func(t *testing.T) {
			s := newShell(t)
			s.release(standIn)
			s.serve(file(standIn))
			for _, name := range missing {
				s.env[name] = ""
			}
			s.wants(0, "stand-in: action\n")
		})
	}
	t.Run("a file in its place", func(t *testing.T) {
		s := newShell(t)
		s.release(standIn)
		s.serve(file(standIn))
		s.env["RUNNER_TOOL_CACHE"] = s.write("file", "")
		s.wants(0, "stand-in: action\n")
	})
}

func TestActionShellInputsUnchanged(t *testing.T) {
	s := newShell(t)
	s.release(standIn)
	s.serve(file(standIn))
	inputs := map[string]string{
		"INPUT_VARS":        "A='quo\"ted' $(touch pwned) `id` ${HOME} \\ %0A\nB=two  spaces\n\nC=über *\n",
		"INPUT_SECRETS":     "KEY<<EOF\n-----BEGIN-----\n  x\n-----END-----\nEOF\n",
		"INPUT_CLONE_TOKEN": "-n --version",
		"INPUT_CONFIG":      "a folder/jobs.yaml",
	}
	maps.Copy(s.env, inputs)
	s.wants(0, "stand-in: action\n")
	seen, err := os.ReadFile(s.env["SEEN"])
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range inputs {
		if !bytes.Contains(seen, []byte("\x00"+name+"="+value+"\x00")) && !bytes.HasPrefix(seen, []byte(name+"="+value+"\x00")) {
			t.Errorf("%s did not arrive as it was", name)
		}
	}
	if _, err := os.Stat(filepath.Join(s.root, "pwned")); err == nil {
		t.Error("an input was run")
	}
}

// The runner signals the process that it started.
func TestActionShellSignal(t *testing.T) {
	s := newShell(t)
	s.env["INPUT_BINARY"] = s.write("mine", "#!/usr/bin/env bash\nsleep 60 & trap 'kill $!; exit 42' INT\necho $$\nwait\n")
	cmd := s.command()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 32)
	n, _ := out.Read(line)
	if pid, _ := strconv.Atoi(strings.TrimSpace(string(line[:n]))); pid != cmd.Process.Pid {
		t.Errorf("the program is %q, the runner started %d", line[:n], cmd.Process.Pid)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 42 {
		t.Errorf("exit %d, want the program's 42", code)
	}
}
