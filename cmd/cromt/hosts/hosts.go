package hosts

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
)

// maxTokenFile is the size of a token or certificate file, in bytes: larger
// ones are another file by mistake.
const maxTokenFile = 1 << 20

// Book is what is known of hosts by their URLs. Its zero value knows none.
type Book struct {
	dir     string // that files are relative to
	home    string
	file    string
	entries map[string]flow.HostEntry
	tokens  map[string]string
	secret  func(name string) string
}

// Load reads a hosts file. One that does not exist is an error only when it
// was asked for. home is what ~ stands for. Errors name file, line and column.
func Load(file string, asked bool, home string) (*Book, error) {
	if file == "" {
		return newBook(file, home), nil
	}
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && !asked {
		return newBook(file, home), nil
	}
	if err != nil {
		return nil, fmt.Errorf("hosts file: %w", err)
	}
	b, err := Parse(file, data, home)
	if err != nil {
		return nil, err
	}
	b.dir = filepath.Dir(file)
	return b, nil
}

// Parse reads hosts that are not in a file; name is what errors call them.
// The files of their entries are relative to the working directory.
func Parse(name string, data []byte, home string) (*Book, error) {
	list, err := flow.ParseHosts(name, data)
	if err != nil {
		return nil, err
	}
	b := newBook(name, home)
	for _, e := range list {
		b.entries[Key(e.URL)] = e
	}
	return b, nil
}

func newBook(file, home string) *Book {
	return &Book{home: home, file: file, entries: map[string]flow.HostEntry{}, tokens: map[string]string{}}
}

// Secrets sets where the values of entries' token_secret come from: lookup
// returns "" for a secret that has none, as they all are without it.
func (b *Book) Secrets(lookup func(name string) string) { b.secret = lookup }

// SetToken takes a --host-token: URL=TOKEN. It goes before the hosts file.
func (b *Book) SetToken(arg string) error {
	u, token, ok := strings.Cut(arg, "=")
	if p, err := url.Parse(u); !ok || token == "" || err != nil || p.Host == "" {
		return errors.New("--host-token: write URL=TOKEN, as in https://hostA:4000=secret") // not arg: it may be the token
	}
	b.tokens[Key(u)] = token
	return nil
}

// Name returns the name that the hosts file gives a URL, or "".
func (b *Book) Name(u string) string { return b.entries[Key(u)].Name }

// Entry returns the entry of the host with that URL.
func (b *Book) Entry(u string) (flow.HostEntry, bool) {
	e, ok := b.entries[Key(u)]
	return e, ok
}

// IsToken reports whether an entry has the secret of that name as its token.
func (b *Book) IsToken(name string) bool {
	for _, e := range b.entries {
		if e.TokenSecret == name {
			return true
		}
	}
	return false
}

// Config returns how a host is reached. Its files are read at each call.
func (b *Book) Config(u string) (sparky.HostConfig, error) {
	e := b.entries[Key(u)]
	c := sparky.HostConfig{
		URL: u, Name: e.Name, InsecureSkipVerify: e.InsecureSkipVerify,
		Slots: e.Slots, SparrowRepo: e.SparrowRepo, PublicPort: e.PublicPort, Token: b.tokens[Key(u)],
	}
	if c.Token == "" {
		token, err := b.token(e)
		if err != nil {
			return c, err
		}
		c.Token = token
	}
	if e.CAFile != "" {
		data, err := b.read(e, "ca_file", e.CAFile)
		if err != nil {
			return c, err
		}
		c.CA = data
	}
	return c, nil
}

// token returns the token that the entry names, "" when it names none.
func (b *Book) token(e flow.HostEntry) (token string, err error) {
	switch {
	case e.TokenSecret != "":
		if b.secret != nil {
			token = strings.TrimSpace(b.secret(e.TokenSecret))
		}
		if token == "" {
			err = b.problem(e, fmt.Sprintf("secret %s, the token of %s, has no value", e.TokenSecret, e.URL),
				fmt.Sprintf("set CROMT_SECRET_%s or give --secret-file %[1]s=FILE; in a workflow, list it in the secrets of the step", e.TokenSecret))
		}
	case e.TokenFile != "":
		var data []byte
		data, err = b.read(e, "token_file", e.TokenFile)
		if token = strings.TrimSpace(string(data)); token == "" && err == nil {
			err = b.problem(e, "token_file "+e.TokenFile+" is empty", "")
		}
	}
	return token, err
}

func (b *Book) read(e flow.HostEntry, key, name string) ([]byte, error) {
	path := name
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		path = filepath.Join(b.home, rest)
	} else if !filepath.IsAbs(path) {
		path = filepath.Join(b.dir, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, b.problem(e, fmt.Sprintf("%s: %v", key, err), "")
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxTokenFile+1))
	if err == nil && len(data) > maxTokenFile {
		err = errors.New("larger than 1 MiB; is it the right file?")
	}
	if err != nil {
		return nil, b.problem(e, fmt.Sprintf("%s %s: %v", key, name, err), "")
	}
	return data, nil
}

func (b *Book) problem(e flow.HostEntry, msg, hint string) error {
	return flow.ErrorList{{File: b.file, Pos: e.Pos, Msg: msg, Hint: hint}}
}

// Key makes equal what names the same host: upper and lower case, a trailing
// slash, the scheme's own port.
func Key(u string) string {
	p, err := url.Parse(u)
	if err != nil || p.Host == "" {
		return u
	}
	scheme, host := strings.ToLower(p.Scheme), strings.ToLower(p.Host)
	switch scheme {
	case "http":
		host = strings.TrimSuffix(host, ":80")
	case "https":
		host = strings.TrimSuffix(host, ":443")
	}
	return scheme + "://" + host + strings.TrimRight(p.Path, "/")
}
