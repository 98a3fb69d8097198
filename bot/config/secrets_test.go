package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cromt/cromt/bot/config"
)

// TestSecretIsNotSeen prints one in every way that the program has, within
// what may hold it.
func TestSecretIsNotSeen(t *testing.T) {
	const text = "hunter2-hunter2"
	s := config.NewSecret(text)
	type private struct{ s config.Secret }
	c := &config.Config{GitHub: config.GitHub{WebhookSecret: s}, Hosts: []config.Host{{Token: s}}}
	values := []any{s, &s, []config.Secret{s}, map[string]config.Secret{"k": s}, map[config.Secret]int{s: 1}, private{s}, &private{s}, c, *c, errors.Join(fmt.Errorf("x: %v", s))}
	var out bytes.Buffer
	for _, v := range values {
		for _, verb := range "vsdqxXpTtbcoOUeEfFgG" {
			for _, flags := range []string{"", "+", "#", "+#", " ", "0", "-20", ".3", "20.3"} {
				fmt.Fprintf(&out, "%"+flags+string(verb)+"\n", v)
			}
		}
		fmt.Fprintln(&out, v)
		for _, h := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
			slog.New(h).Info(fmt.Sprint(v), "v", v, slog.Group("g", "v", v))
		}
		if data, err := json.Marshal(v); err == nil {
			out.Write(data)
		}
	}
	for _, seen := range []string{text, "hunter", fmt.Sprintf("%x", text), fmt.Sprintf("%X", text), fmt.Sprintf("%d", []byte(text))} {
		if i := strings.Index(out.String(), seen); i >= 0 {
			t.Errorf("%s is seen: %.100s", seen, out.String()[max(0, i-50):])
		}
	}
	if got := fmt.Sprintf("%s %v %q %d %#v", s, s, s, s, s); got != "*** *** *** *** ***" || s.String() != "***" {
		t.Errorf("%s", got)
	}
	if data, err := json.Marshal(s); err != nil || string(data) != `"***"` || s.LogValue().String() != "***" {
		t.Errorf("%s, %v, %v", data, err, s.LogValue())
	}
	if s.Reveal() != text || !s.IsSet() || (config.Secret{}).IsSet() || config.NewSecret("").IsSet() || (config.Secret{}).Reveal() != "" {
		t.Error("Reveal or IsSet")
	}
}

func TestSecrets(t *testing.T) {
	outside := t.TempDir()
	write(t, outside, "OUT", "outside")
	dir := folder(t, least+"secrets_dir: secrets\n")
	secrets := filepath.Join(dir, "secrets")
	for name, text := range map[string]string{
		"owner/repo/TOKEN": "sesame\n", "owner/repo/_x1": "a", "owner/repo/WINDOWS": "b\r\n", "owner/repo/LINES": "a\nb\n\n", "owner/repo/SPACE": " s \n",
		"owner/repo/EMPTY": "\n", "owner/repo/ZERO": "a\x00b", "owner/repo/LARGE": strings.Repeat("x", config.MaxSecret+1), "owner/repo/MOST": strings.Repeat("x", config.MaxSecret),
		"other/repo/TOKEN": "theirs", "owner/TOKEN": "above", "TOKEN": "top", "owner/repo/sub/TOKEN": "below",
	} {
		write(t, secrets, name, text)
	}
	for link, to := range map[string]string{
		"owner/repo/LINK": "TOKEN", "owner/repo/OUT": filepath.Join(outside, "OUT"), "owner/repo/UP": "../../../secret", "evil": outside, "owner/linked": "repo",
	} {
		if err := os.Symlink(to, filepath.Join(secrets, link)); err != nil {
			t.Fatal(err)
		}
	}
	c, err := config.Load(filepath.Join(dir, "bot.yaml"), env(nil))
	if err != nil {
		t.Fatal(err)
	}
	const none = "there is no such secret"
	for _, tt := range []struct{ repo, name, want, err string }{
		{"owner/repo", "TOKEN", "sesame", ""},
		{"owner/repo", "_x1", "a", ""},
		{"owner/repo", "WINDOWS", "b", ""},
		{"owner/repo", "LINES", "a\nb\n", ""},
		{"owner/repo", "SPACE", " s ", ""},
		{"owner/repo", "MOST", strings.Repeat("x", config.MaxSecret), ""},
		{"owner/repo", "LINK", "sesame", ""},
		{"owner/linked", "TOKEN", "sesame", ""},
		{"other/repo", "TOKEN", "theirs", ""},
		{"owner/repo", "NOSUCH", "", none},
		{"owner/nosuch", "TOKEN", "", none},
		{"nosuch/repo", "TOKEN", "", none},
		{"owner/repo", "EMPTY", "", "the file is empty"},
		{"owner/repo", "ZERO", "", "zero byte"},
		{"owner/repo", "LARGE", "", "larger than 64 KiB"},
		{"owner/repo", "sub", "", "not a regular file"},
		{"owner/repo", "OUT", "", "escapes"},
		{"owner/repo", "UP", "", "escapes"},
		{"evil/repo", "OUT", "", ""},
		{"owner/repo", "sub/TOKEN", "", none},
		{"owner/repo", "../TOKEN", "", none},
		{"owner/repo", "../../../secret", "", none},
		{"owner/repo", "", "", none},
		{"owner/repo", ".", "", none},
		{"owner/repo", "TO KEN", "", none},
		{"owner/repo", "1X", "", none},
		{"owner/repo", "TOKEN\x00", "", none},
		{"owner/repo", strings.Repeat("A", 300), "", none},
		{"owner", "TOKEN", "", none},
		{"owner/", "TOKEN", "", none},
		{"owner/.", "TOKEN", "", none},
		{"owner/..", "TOKEN", "", none},
		{"../secrets", "TOKEN", "", none},
		{"./owner", "TOKEN", "", none},
		{"/owner/repo", "TOKEN", "", none},
		{"owner/repo/sub", "TOKEN", "", none},
		{`owner\repo`, "TOKEN", "", none},
		{"owner/re*", "TOKEN", "", none},
		{"", "TOKEN", "", none},
	} {
		got, err := c.Secrets().Lookup(tt.repo, tt.name)
		if got.Reveal() != tt.want || (err == nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%q of %q: %.20q, %v; want %.20q, %s", tt.name, tt.repo, got.Reveal(), err, tt.want, tt.err)
		}
		if tt.err == none && !errors.Is(err, config.ErrNoSecret) {
			t.Errorf("%q of %q: %v is not ErrNoSecret", tt.name, tt.repo, err)
		}
		if err != nil && strings.Contains(err.Error(), secrets) {
			t.Errorf("the error tells the folder: %v", err)
		}
	}
	if _, err := (config.Secrets{}).Lookup("owner/repo", "TOKEN"); !errors.Is(err, config.ErrNoSecret) || !strings.Contains(err.Error(), "set secrets_dir") {
		t.Errorf("without a folder: %v", err)
	}
	write(t, secrets, "owner/repo/TOKEN", "changed")
	if got, err := c.Secrets().Lookup("owner/repo", "TOKEN"); got.Reveal() != "changed" {
		t.Errorf("a changed one: %v", err)
	}
}
