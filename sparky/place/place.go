package place

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
)

// Place is where a room can be opened.
type Place struct {
	name string
	// argv is the command that runs a shell's line there.
	argv func(line string) []string
	env  []string // of that command
}

// String names the place for people.
func (p *Place) String() string { return p.name }

var (
	containerName = form(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$`)
	imageName     = form(`^[a-zA-Z0-9][a-zA-Z0-9_./:@-]{0,254}$`)
	hostName      = form(`^[a-zA-Z0-9\[][a-zA-Z0-9_.:\[\]%-]{0,254}$`)
	userName      = form(`^[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,63}$`)
	portNumber    = form(`^[1-9][0-9]{0,4}$`)
)

// form is compiled when it is needed, which in most processes is never.
func form(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}

// Container returns a running container of Docker, by its name or id. env is
// the environment of the docker command: PATH, HOME, DOCKER_HOST, …
func Container(name string, env []string) (*Place, error) {
	if !containerName().MatchString(name) {
		return nil, fmt.Errorf("%.50q is not the name of a container", name)
	}
	return &Place{
		name: "container " + name, env: env,
		argv: func(line string) []string { return []string{"docker", "exec", "-i", name, "sh", "-c", line} },
	}, nil
}

// SSH says how another machine is reached.
type SSH struct {
	Host string
	User string // "": ssh's own default
	Port string // "": likewise
	Key  string // file with a private key, ~/ is Home; "": likewise
	Home string
}

// Machine returns a machine that is reached by ssh, which asks nobody: keys
// must do, and a machine that was never seen is remembered. env is the
// environment of the ssh command: PATH, HOME, SSH_AUTH_SOCK.
func Machine(s SSH, env []string) (*Place, error) {
	argv := []string{
		"ssh", "-T", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=accept-new", "-o", "ConnectTimeout=20",
		"-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4",
	}
	switch {
	case !hostName().MatchString(s.Host):
		return nil, fmt.Errorf("%.50q is not the name of a machine", s.Host)
	case s.User != "" && !userName().MatchString(s.User):
		return nil, fmt.Errorf("ssh_user %.50q is not the name of a user", s.User)
	case s.Port != "" && !portNumber().MatchString(s.Port):
		return nil, fmt.Errorf("ssh_port %.50q is not a port", s.Port)
	}
	if s.User != "" {
		argv = append(argv, "-l", s.User)
	}
	if s.Port != "" {
		argv = append(argv, "-p", s.Port)
	}
	if s.Key != "" {
		key := s.Key
		if rest, ok := strings.CutPrefix(key, "~/"); ok {
			key = filepath.Join(s.Home, rest)
		}
		if _, err := os.Stat(key); err != nil {
			return nil, fmt.Errorf("ssh_private_key: %w", err)
		}
		argv = append(argv, "-i", key, "-o", "IdentitiesOnly=yes")
	}
	argv = append(argv, "--", s.Host)
	return &Place{
		name: "machine " + s.Host, env: env,
		argv: func(line string) []string { return append(append([]string{}, argv...), line) },
	}, nil
}

// ErrLost is wrapped by an error that leaves open how a scenario ended: the
// place or the connection to it is gone.
var ErrLost = errors.New("the connection ended before the scenario did")
