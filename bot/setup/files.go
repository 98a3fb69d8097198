package setup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/cromt/cromt/bot/config"
	"github.com/cromt/cromt/bot/githubapp"
)

// The names of the files beside bot.yaml.
const (
	keyFile     = "app.pem"
	webhookFile = "webhook.secret"
	clientFile  = "client.secret"
)

// checkFiles refuses to begin what could not be ended: GitHub hands the keys
// out once.
func checkFiles(file string) error {
	dir := filepath.Dir(file)
	for _, name := range []string{file, filepath.Join(dir, keyFile), filepath.Join(dir, webhookFile), filepath.Join(dir, clientFile)} {
		if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			if err != nil {
				return fmt.Errorf("setup: %w", err)
			}
			return fmt.Errorf("setup: %s is there already, and is not overwritten; name another folder with --config, or move it away", name)
		}
	}
	probe, err := os.CreateTemp(dir, ".setup-*")
	if err != nil {
		return fmt.Errorf("setup: %w; name a folder that can be written to with --config", err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// writeFiles writes the keys and bot.yaml, or nothing.
func writeFiles(c Config, public string, made *githubapp.Made) (err error) {
	dir := filepath.Dir(c.File)
	var written []string
	defer func() {
		if err != nil {
			for _, name := range written {
				os.Remove(name)
			}
		}
	}()
	for _, f := range []struct{ name, text string }{
		{filepath.Join(dir, keyFile), made.PrivateKey},
		{filepath.Join(dir, webhookFile), made.WebhookSecret + "\n"},
		{filepath.Join(dir, clientFile), made.ClientSecret + "\n"},
		{c.File, botYAML(c, public, made)},
	} {
		if err := create(f.name, f.text); err != nil {
			return err
		}
		written = append(written, f.name)
	}
	return nil
}

// create writes a file that was not there, for its owner alone.
func create(name, text string) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		os.Remove(name)
	}
	return err
}

// botYAML is a configuration to begin with.
func botYAML(c Config, public string, made *githubapp.Made) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# The App %s\n", quote(made.Page))
	fmt.Fprintf(&b, "listen: %s\npublic_url: %s\n", quote(c.Listen), quote(public))
	fmt.Fprintf(&b, "github:\n  app_id: %d\n  private_key_file: %s\n  webhook_secret_file: %s\n  client_id: %s\n  client_secret_file: %s\n",
		made.ID, keyFile, webhookFile, quote(made.ClientID), clientFile)
	if c.GitHub.APIURL != config.DefaultAPIURL {
		fmt.Fprintf(&b, "  api_url: %s\n", quote(c.GitHub.APIURL))
	}
	b.WriteString(`database: sqlite:cromt.db       # postgres://… for several replicas

# The hosts that runs may use, and who may use each. Without one nothing runs.
# hosts:
#   - url: https://hostA:4000
#     name: hostA
#     token_file: hostA.token
#     ca_file: hostA.pem         # for a certificate of your own
#     repos: ["owner/*"]
`)
	return b.String()
}

// quote is a text as YAML has it: JSON's strings are YAML's.
func quote(s string) string {
	text, _ := json.Marshal(s) // a string can be encoded
	return string(text)
}
