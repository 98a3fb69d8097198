//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cromt/cromt/sparky/sparkytest"
)

// hide makes the secrets, and looks from now on that none is in a command line.
func (c *chaos) hide(site *appSite) {
	c.t.Helper()
	key, err := os.ReadFile(filepath.Join(c.dir, "app.pem"))
	if err != nil {
		c.t.Fatal(err)
	}
	c.secrets = map[string]string{
		"the App's key": strings.Split(string(key), "\n")[5], "the webhook's secret": webhookSecret,
		"the hosts' token": "t0ken-of-the-hosts-Wm4", "a flow's secret": "s3cret-of-the-flow-Qx9",
	}
	site.file("token", c.secrets["the hosts' token"]+"\n")
	sparkytest.WatchCommandLines(c.t, slices.Collect(maps.Values(c.secrets))...)
}

// secret gives a repository the flow's.
func (c *chaos) secret(repo string) {
	c.t.Helper()
	dir := filepath.Join(c.dir, "secrets", repo)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "CHAOS"), []byte(c.secrets["a flow's secret"]+"\n"), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

func (c *chaos) noSecret(where string, data []byte) {
	for what, secret := range c.secrets {
		if i := bytes.Index(data, []byte(secret)); i >= 0 {
			c.t.Errorf("%s is in %s: %q", what, where, data[max(0, i-100):min(len(data), i+100)])
		}
	}
}

// checkSecrets looks for the secrets in all that the App has written.
func (c *chaos) checkSecrets() {
	c.t.Helper()
	for _, s := range c.sites {
		c.noSecret("the log", []byte(s.log.String()))
	}
	for _, r := range c.gh.Requests() {
		c.noSecret("a request to GitHub: "+r.Path, []byte(r.Body))
	}
	if c.plan.postgres != nil {
		dump, err := exec.CommandContext(c.t.Context(), "pg_dump", c.database()).CombinedOutput()
		if err != nil || len(dump) < 10_000 {
			c.t.Errorf("pg_dump: %v: %.1000s", err, dump)
		}
		c.noSecret("the database", dump)
		return
	}
	files, _ := filepath.Glob(filepath.Join(c.dir, "cromt.db*"))
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			c.t.Error(err)
		}
		c.noSecret("the database", data)
	}
}

// checkPages looks for the secrets in pages of runs and jobs, while the App is
// there to show them.
func (c *chaos) checkPages() {
	c.t.Helper()
	const public = "http://127.0.0.1:8080" // as it is configured
	for i := 0; i < len(c.commits); i += c.plan.commits {
		for n, k := range c.commits[i].repo.CheckRuns() {
			for _, text := range []string{k.Title, k.Summary, k.Text} {
				c.noSecret("a check run", []byte(text))
			}
			path, ok := strings.CutPrefix(k.DetailsURL, public)
			if n > 2 || !ok {
				continue
			}
			page, err := getText("http://" + c.address(0) + path)
			if err != nil {
				c.t.Errorf("page %s: %v", path, err)
			}
			c.noSecret("page "+path, []byte(page))
			c.counts.add("pages", 1)
		}
	}
}

// errNotOK says that an answer is another than 200.
var errNotOK = errors.New("not answered 200")

// getText is what an address answers.
func getText(url string) (string, error) {
	resp, err := http.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%w but %s", errNotOK, resp.Status)
	}
	return string(data), err
}
