package config

import (
	"bytes"
	"crypto/x509"
	"errors"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/cromt/cromt/bot/trust"
	"github.com/cromt/cromt/flow"
)

// readHosts reads hosts of the file data, or of the file that CROMT_HOSTS names.
func (l *loader) readHosts(data []byte) {
	name, dir := l.name, l.dir
	if v, ok := l.lookup("hosts"); ok {
		var err error
		name, dir = l.path(v), filepath.Dir(l.path(v))
		if data, err = readFile(name, flow.MaxFileSize); err != nil {
			l.fail(v, "hosts file: "+err.Error(), "")
			return
		}
	} else if !l.hasHosts {
		if l.hasPools {
			return
		}
		l.warn("there are no hosts, so no run can start")
		return
	}
	list, err := flow.ParseHosts(name, data)
	l.addErrors(err)
	first := map[string]string{}
	for _, e := range list {
		at := value{file: name, pos: e.Pos, dir: dir}
		address, err := trust.Address(e.URL)
		switch before, dup := first[address]; {
		case err != nil:
			l.fail(at, "host is refused: "+err.Error(), "write it like https://hostA:4000")
		case dup:
			l.fail(at, "this is the same host as "+before, "remove one")
		default:
			first[address] = e.URL
			l.addHost(e, at)
		}
	}
}

// addHost adds the host of the entry e, at its place at.
func (l *loader) addHost(e flow.HostEntry, at value) {
	h := Host{HostEntry: e}
	switch {
	case e.TokenFile != "":
		at.text = e.TokenFile
		token, err := l.secretFile(at)
		if err != nil {
			l.fail(at, "token_file: "+err.Error(), "")
		}
		h.Token = NewSecret(token)
	case e.TokenSecret != "":
		env := "CROMT_SECRET_" + e.TokenSecret
		h.Token = NewSecret(strings.TrimSpace(l.getenv(env)))
		if !h.Token.IsSet() {
			l.fail(at, "token_secret has no value", "set "+env)
		}
	}
	if e.CAFile != "" {
		at.text = e.CAFile
		ca, err := readFile(l.path(at), MaxCA)
		if err == nil && !x509.NewCertPool().AppendCertsFromPEM(ca) {
			err = errors.New("there is no certificate in PEM in it")
		}
		if err != nil {
			l.fail(at, "ca_file: "+err.Error(), "")
		}
		h.CA = bytes.Clone(ca)
	}
	l.warnOf(h)
	l.c.Hosts = append(l.c.Hosts, h)
}

// warnOf says what makes a host less safe than it looks, or useless.
func (l *loader) warnOf(h Host) {
	u, err := url.Parse(h.URL)
	local := err == nil && isLoopback(u.Hostname())
	if h.InsecureSkipVerify {
		l.warn("INSECURE: the certificate of %s is not checked; whoever is between can read tokens, secrets and code, and change them; give its ca_file instead", h.URL)
	}
	if err == nil && u.Scheme == "http" && !local {
		l.warn("INSECURE: %s is reached without encryption; whoever is between can read tokens, secrets and code, and change them; use https", h.URL)
	}
	if !h.Token.IsSet() && !local {
		l.warn("%s has no token_file: whoever reaches it can run jobs on it", h.URL)
	}
	if len(h.Repos) == 0 {
		l.warn(`no repository may use %s; list some in its repos, like "owner/*"`, h.URL)
	}
	if h.Forks && h.PublicPort {
		l.warn("%s runs code of forks, and has public_port: code of a fork can read there what other jobs have sent", h.URL)
	}
}

// isLoopback reports whether a host is this machine by its name alone.
func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.IsLoopback()
}

// worldReadable reports whether other users can read the file. Windows does
// not say so in the mode.
func worldReadable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o004 != 0
}
