package githubtest_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/cromt/cromt/bot/githubtest"
)

// sign makes an App's JWT.
func sign(t *testing.T, key *rsa.PrivateKey, issuer string, issued, expires time.Time) string {
	t.Helper()
	part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	text := part(`{"alg":"RS256","typ":"JWT"}`) + "." + part(fmt.Sprintf(`{"iss":%s,"iat":%d,"exp":%d}`, issuer, issued.Unix(), expires.Unix()))
	digest := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func newKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestApp(t *testing.T) {
	s, _, _ := world(t)
	s.AddRepo("octo/second")
	key := newKey(t)
	id := s.AddApp("cromt", &key.PublicKey)
	in := s.AddInstallation(id, "octo", []string{"octo/app", "octo/second"}, all())
	now := time.Now()
	c := client(s, sign(t, key, fmt.Sprintf(`"%d"`, id), now.Add(-time.Minute), now.Add(9*time.Minute)))

	if got, _, err := c.Apps.Get(t.Context(), ""); err != nil || got.GetID() != id || got.GetSlug() != "cromt" {
		t.Errorf("app %v, %v", got, err)
	}
	if list, _, err := c.Apps.ListInstallations(t.Context(), nil); err != nil || len(list) != 1 || list[0].GetID() != in || list[0].GetAccount().GetLogin() != "octo" {
		t.Errorf("installations %v, %v", list, err)
	}
	if got, _, err := c.Apps.GetInstallation(t.Context(), in); err != nil || got.GetAppID() != id {
		t.Errorf("installation %v, %v", got, err)
	}
	if got, _, err := c.Apps.FindRepositoryInstallation(t.Context(), "octo", "app"); err != nil || got.GetID() != in {
		t.Errorf("installation of a repository %v, %v", got, err)
	}
	if _, _, err := c.PullRequests.Get(t.Context(), "octo", "app", 7); statusOf(err) != http.StatusForbidden {
		t.Errorf("a JWT for a pull request: %v", err)
	}
	tok, _, err := c.Apps.CreateInstallationToken(t.Context(), in, &github.InstallationTokenOptions{
		Repositories: []string{"app"}, Permissions: &github.InstallationPermissions{Checks: github.String("write")},
	})
	if err != nil || len(tok.Repositories) != 1 {
		t.Fatalf("token %v, %v", tok, err)
	}
	narrow := client(s, tok.GetToken())
	if got, _, err := narrow.Checks.CreateCheckRun(t.Context(), "octo", "app", github.CreateCheckRunOptions{Name: "cromt", HeadSHA: sha}); err != nil || got.GetApp().GetID() != id {
		t.Errorf("check run %v, %v", got, err)
	}
	if _, _, err := narrow.PullRequests.Get(t.Context(), "octo", "app", 7); statusOf(err) != http.StatusForbidden {
		t.Errorf("permission that was narrowed away: %v", err)
	}
	if _, _, err := narrow.Repositories.Get(t.Context(), "octo", "second"); statusOf(err) != http.StatusNotFound {
		t.Errorf("repository that was narrowed away: %v", err)
	}
	if list, _, err := narrow.Apps.ListRepos(t.Context(), nil); err != nil || list.GetTotalCount() != 1 {
		t.Errorf("repositories %v, %v", list, err)
	}
	if _, _, err := narrow.Apps.GetInstallation(t.Context(), in); statusOf(err) != http.StatusUnauthorized {
		t.Errorf("an installation's token for the App: %v", err)
	}
	for name, opts := range map[string]*github.InstallationTokenOptions{
		"foreign repository": {Repositories: []string{"else"}},
		"wider permission":   {Permissions: &github.InstallationPermissions{Contents: github.String("write")}},
	} {
		if _, _, err := c.Apps.CreateInstallationToken(t.Context(), in, opts); statusOf(err) != http.StatusUnprocessableEntity {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAppJWT(t *testing.T) {
	s := githubtest.New(t)
	key := newKey(t)
	id := fmt.Sprint(s.AddApp("cromt", &key.PublicKey))
	now := time.Now()
	for name, tc := range map[string]struct {
		jwt    string
		status int
		want   string
	}{
		"fine":        {sign(t, key, id, now, now.Add(9*time.Minute)), 200, ""},
		"too long":    {sign(t, key, id, now, now.Add(11*time.Minute)), 401, "too far in the future"},
		"expired":     {sign(t, key, id, now.Add(-time.Hour), now.Add(-time.Minute)), 401, ""},
		"from future": {sign(t, key, id, now.Add(time.Minute), now.Add(9*time.Minute)), 401, ""},
		"unknown App": {sign(t, key, "999", now, now.Add(9*time.Minute)), 401, ""},
		"wrong key":   {sign(t, newKey(t), id, now, now.Add(9*time.Minute)), 401, ""},
		"not a JWT":   {"a.b.c", 401, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if status, _, body := send(t, s, tc.jwt, "GET", "/app", ""); status != tc.status {
				t.Errorf("status %d, want %d: %s", status, tc.status, body)
			}
			takeOne(t, s, tc.want)
		})
	}
}

func TestInstallationTokenExpires(t *testing.T) {
	key := newKey(t)
	synctest.Test(t, func(t *testing.T) {
		s, _, _ := world(t)
		id := s.AddApp("cromt", &key.PublicKey)
		in := s.AddInstallation(id, "octo", []string{"octo/app"}, all())
		tok, _, err := client(s, sign(t, key, fmt.Sprint(id), time.Now(), time.Now().Add(9*time.Minute))).Apps.CreateInstallationToken(t.Context(), in, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []int{200, 401} {
			if status, _, _ := send(t, s, tok.GetToken(), "GET", "/repos/octo/app/pulls/7", ""); status != want {
				t.Errorf("status %d, want %d", status, want)
			}
			time.Sleep(time.Until(tok.GetExpiresAt().Time))
		}
	})
}

func TestDeliveries(t *testing.T) {
	s := githubtest.New(t)
	key := newKey(t)
	id := s.AddApp("cromt", &key.PublicKey)
	s.AddDelivery(githubtest.Delivery{GUID: "old", Event: "push", StatusCode: 500, DeliveredAt: time.Now().Add(-73 * time.Hour)})
	var failed []int64
	for i := range 5 {
		failed = append(failed, s.AddDelivery(githubtest.Delivery{GUID: fmt.Sprint(i), Event: "push", StatusCode: 502}))
	}
	s.AddDelivery(githubtest.Delivery{GUID: "good", Event: "push", StatusCode: 202})
	c := client(s, sign(t, key, fmt.Sprint(id), time.Now(), time.Now().Add(time.Minute))).Apps
	var got []string
	opts := &github.ListCursorOptions{PerPage: 4}
	for {
		list, res, err := c.ListHookDeliveries(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range list {
			got = append(got, d.GetGUID())
		}
		if res.Cursor == "" {
			break
		}
		opts.Cursor = res.Cursor
	}
	if fmt.Sprint(got) != "[good 4 3 2 1 0]" {
		t.Errorf("deliveries %v", got)
	}
	send(t, s, sign(t, key, fmt.Sprint(id), time.Now(), time.Now().Add(time.Minute)), "POST", "/app/hook/deliveries/"+itoa(failed[2])+"/attempts", "")
	if _, _, err := c.RedeliverHookDelivery(t.Context(), 999); statusOf(err) != http.StatusNotFound {
		t.Errorf("unknown delivery: %v", err)
	}
	if fmt.Sprint(s.Redeliveries()) != fmt.Sprint(failed[2:3]) {
		t.Errorf("redeliveries %v", s.Redeliveries())
	}
}
