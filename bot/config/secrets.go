package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// ErrNoSecret is what Lookup's error wraps when there is no such secret.
var ErrNoSecret = errors.New("there is no such secret")

// Secrets are those of the repositories: files OWNER/REPO/NAME in a folder.
// They are read at each Lookup, so that a changed one needs no restart.
type Secrets struct{ dir string }

// Secrets returns those in SecretsDir.
func (c *Config) Secrets() Secrets { return Secrets{c.SecretsDir} }

// Lookup returns the secret of a repository, owner/name as GitHub writes it,
// without the newline at its end. Nothing outside of the folder is read: links
// may lead to within it only. Errors do not tell what is in the file.
func (s Secrets) Lookup(repo, name string) (Secret, error) {
	if !isRepo(repo, "") || !isSecretName(name) {
		return Secret{}, fmt.Errorf("secret: %w: a name has letters, digits and underscores", ErrNoSecret)
	}
	if s.dir == "" {
		return Secret{}, fmt.Errorf("secret %s of %s: %w: set secrets_dir in bot.yaml", name, repo, ErrNoSecret)
	}
	text, err := readSecret(s.dir, path.Join(repo, name))
	if errors.Is(err, fs.ErrNotExist) {
		return Secret{}, fmt.Errorf("secret %s of %s: %w: write it to the file %[2]s/%[1]s in secrets_dir", name, repo, ErrNoSecret)
	}
	if err != nil {
		return Secret{}, fmt.Errorf("secret %s of %s: %w", name, repo, bare(err))
	}
	return NewSecret(text), nil
}

func readSecret(dir, name string) (string, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	info, err := root.Stat(name) // before it is opened: opening a pipe waits
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("is not a regular file")
	}
	f, err := root.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxSecret+1))
	text, ok := strings.CutSuffix(string(data), "\r\n")
	if !ok {
		text = strings.TrimSuffix(text, "\n")
	}
	switch {
	case err != nil:
		return "", err
	case len(data) > MaxSecret:
		return "", fmt.Errorf("the file is larger than %d KiB", MaxSecret>>10)
	case text == "":
		return "", errors.New("the file is empty")
	case strings.Contains(text, "\x00"):
		return "", errors.New("the file has a zero byte, which no variable can hold")
	}
	return text, nil
}

// isSecretName reports whether s can be the name of a variable.
func isSecretName(s string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
	return s != "" && len(s) <= 200 && strings.Trim(s, letters+"0123456789") == "" && strings.Contains(letters, s[:1])
}
