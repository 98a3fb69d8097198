package agent

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// userFile holds who may sign in, one a line: name:hash, as htpasswd -B
// writes it. It is read again when it has changed.
type userFile struct {
	path string

	mu     sync.Mutex
	mod    time.Time
	size   int64
	hashes map[string][]byte
}

// loginName is a user's name.
var loginName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`) })

// openUsers reads the file, which must be there and readable by its owner alone.
func openUsers(path string) (*userFile, error) {
	u := &userFile{path: path}
	if fi, err := os.Stat(path); err == nil && fi.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("users file %s: others can read or write it (mode %o); chmod 600 it", path, fi.Mode().Perm())
	}
	hashes, err := u.load()
	if err == nil && len(hashes) == 0 {
		err = fmt.Errorf("users file %s: has no users; add one with cromt agent --users %s --add-user NAME", path, path)
	}
	return u, err
}

// load returns the hashes by name.
func (u *userFile) load() (map[string][]byte, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	fi, err := os.Stat(u.path)
	if err != nil {
		return nil, fmt.Errorf("users file: %w", err)
	}
	if u.hashes != nil && fi.ModTime().Equal(u.mod) && fi.Size() == u.size {
		return u.hashes, nil
	}
	data, err := readRegular(u.path, maxSettings)
	if err != nil {
		return nil, fmt.Errorf("users file: %w", err)
	}
	hashes := map[string][]byte{}
	for i, line := range strings.Split(string(data), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, hash, _ := strings.Cut(line, ":")
		cost, err := bcrypt.Cost([]byte(hash))
		if !loginName().MatchString(name) || err != nil || cost > maxCost {
			return nil, fmt.Errorf("users file %s:%d: must be name:hash, with a bcrypt hash of cost %d at most; write it with cromt agent --add-user or htpasswd -B", u.path, i+1, maxCost)
		}
		hashes[name] = []byte(hash)
	}
	u.hashes, u.mod, u.size = hashes, fi.ModTime(), fi.Size()
	return hashes, nil
}

// noHash is compared with when there is no such user, so that the time it
// takes does not tell.
var noHash = sync.OnceValue(func() []byte {
	hash, err := bcrypt.GenerateFromPassword([]byte("no user has this"), userCost)
	if err != nil {
		panic(err) // the password and the cost are right
	}
	return hash
})

// check returns the user's hash when the password is theirs, else nil.
func (u *userFile) check(name, password string) ([]byte, error) {
	hashes, err := u.load()
	if err != nil {
		return nil, err
	}
	hash, known := hashes[name]
	if !known {
		hash = noHash()
	}
	if bcrypt.CompareHashAndPassword(hash, []byte(password)) != nil || !known {
		return nil, nil
	}
	return hash, nil
}

// has reports whether the user still has that hash.
func (u *userFile) has(name string, hash []byte) bool {
	hashes, err := u.load()
	return err == nil && len(hash) > 0 && bytes.Equal(hashes[name], hash)
}

// AddUser adds a user to the file, or changes their password. The file is made
// when it is not there, with mode 0600.
func AddUser(path, name, password string) error {
	switch {
	case !loginName().MatchString(name):
		return fmt.Errorf("user %q: must match %s", cut(name, 70), loginName())
	case len(password) < minPassword:
		return fmt.Errorf("password: must have %d bytes at least", minPassword)
	case len(password) > 72 || strings.ContainsRune(password, 0):
		return errors.New("password: must have 72 bytes at most, and no NUL byte")
	}
	old, err := readRegular(path, maxSettings)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("users file: %w", err)
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), userCost)
	if err != nil {
		return fmt.Errorf("password: %w", err)
	}
	var b strings.Builder
	for line := range strings.Lines(string(old)) {
		if !strings.HasPrefix(line, name+":") {
			b.WriteString(strings.TrimRight(line, "\n") + "\n")
		}
	}
	fmt.Fprintf(&b, "%s:%s\n", name, hash)
	tmp := path + ".new"
	if err := os.WriteFile(tmp, []byte(b.String()), 0o600); err != nil {
		return fmt.Errorf("users file: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("users file: %w", errors.Join(err, os.Remove(tmp)))
	}
	return nil
}
