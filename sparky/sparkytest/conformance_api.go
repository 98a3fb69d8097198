package sparkytest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/cromt/cromt/sparky"
)

func (s *suite) unknown(t *testing.T) {
	project, id := s.id("unknown"), s.id("nosuch")
	for _, path := range []string{
		"/status/" + project + "/" + id, "/report/raw/" + project + "/" + id, "/report_jid/" + project + "/" + id,
		"/trigger/" + project + "/" + id, "/file/" + project + "/" + id + "/name", "/nosuch", "/status/" + project,
	} {
		if a := s.send(t, "GET", path, ""); a.status != http.StatusNotFound {
			t.Errorf("GET %s: %v, want 404", path, a)
		}
	}
	if a := s.send(t, "GET", "/stash/"+project+"/"+id, ""); a.status != 200 || strings.TrimSpace(a.body) != "{}" {
		t.Errorf("stash of an unknown job: %v, want {}", a)
	}
	if _, err := s.client.Status(t.Context(), project, id); sparky.KindOf(err) != sparky.KindNotFound {
		t.Errorf("Status: %v", err)
	}
}

func (s *suite) wire(t *testing.T) {
	project, id := s.id("wire"), s.id("wire")
	s.queue(t, project, id, Succeeds)
	path := "/status/" + project + "/" + id
	if a := s.send(t, "GET", path, ""); a.status != 200 || !strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") || strings.TrimSpace(a.body) != a.body {
		t.Errorf("status: %v, %v", a, a.header)
	}
	for _, tt := range []struct {
		method, path string
		want         int
	}{
		{"POST", path, 405}, {"HEAD", path, 405}, {"GET", path + "/", 404}, {"GET", path + "?wait=1&x=y", 200},
		{"GET", "/status/" + strings.ReplaceAll(project, "c", "%63") + "/" + id, 200},
	} {
		if a := s.send(t, tt.method, tt.path, ""); a.status != tt.want {
			t.Errorf("%s %s: %v, want %d", tt.method, tt.path, a, tt.want)
		}
	}
	s.until(t, project, id, sparky.CodeOK)
	a := s.send(t, "GET", "/badge/"+project, "")
	if loc := a.header.Get("Location"); a.status != http.StatusSeeOther || !strings.Contains(loc, "message=Build") || !strings.Contains(loc, "color=green") {
		t.Errorf("badge: %v, %q", a, loc)
	}
	a = s.send(t, "GET", "/report_jid/"+project+"/"+id, "")
	if a.status != http.StatusSeeOther || !strings.HasPrefix(a.header.Get("Location"), "/report/"+project+"/") {
		t.Fatalf("report_jid: %v, %v", a, a.header)
	}
	if page := s.send(t, "GET", a.header.Get("Location"), ""); page.status != 200 || !strings.Contains(page.header.Get("Content-Type"), "text/html") {
		t.Errorf("report page: %d, %v", page.status, page.header)
	}
	// The Raku client evaluates this before it queues a child.
	if a := s.send(t, "GET", "/trigger/"+project+"/"+id, ""); a.status != 200 || !strings.HasPrefix(a.body, "{:cwd(") || !strings.Contains(a.body, ":sparrowdo(") {
		t.Errorf("trigger: %v", a)
	}
}

func (s *suite) malformed(t *testing.T) {
	const js = "application/json"
	good, err := json.Marshal(s.request(s.id("bad"), s.id("bad"), Succeeds))
	if err != nil {
		t.Fatal(err)
	}
	without := func(key string) string {
		m := map[string]any{}
		_ = json.Unmarshal(good, &m) // made above
		delete(m, key)
		b, _ := json.Marshal(m)
		return string(b)
	}
	tests := []struct{ name, contentType, body string }{
		{"not JSON", js, "{"},
		{"empty", js, ""},
		{"a list", js, "[]"},
		{"nothing in it", js, "{}"},
		{"no content type", "", string(good)},
		{"text", "text/plain", string(good)},
		{"no config", js, without("config")},
		{"no trigger", js, without("trigger")},
		{"no job-id", js, `{"config":{"project":"` + s.id("bad") + `"},"trigger":{},"sparrowfile":"say 1"}`},
		{"tags as a string", js, `{"config":{"project":"` + s.id("bad") + `","job-id":"` + s.id("bad") + `","tags":"a=1"},"trigger":{},"sparrowfile":"say 1"}`},
	}
	for _, tt := range tests {
		var headers []string
		if tt.contentType != "" {
			headers = []string{"Content-Type", tt.contentType}
		}
		if a := s.send(t, "POST", "/queue", tt.body, headers...); !a.refused() {
			t.Errorf("%s: %v, want an error", tt.name, a)
		}
	}
	if _, err := s.client.Status(t.Context(), s.id("bad"), s.id("bad")); sparky.KindOf(err) != sparky.KindNotFound {
		t.Errorf("after refused requests the job has a status: %v", err)
	}
	if a := s.send(t, "POST", "/queue", string(good), "Content-Type", "application/json; charset=utf-8"); a.status != 200 || a.refused() {
		t.Errorf("with a charset: %v", a)
	}
	if s.Real {
		return // it would write outside its folders, or hang
	}
	for _, name := range []string{"../x", "a/b", "a b", "", "a'b", strings.Repeat("x", 300), "é", "-rf", ".hidden"} {
		for _, body := range []string{
			`{"config":{"project":` + quote(name) + `,"job-id":"` + s.id("name") + `"},"trigger":{}}`,
			`{"config":{"project":"p","job-id":` + quote(name) + `},"trigger":{}}`,
		} {
			if a := s.send(t, "POST", "/queue", body, "Content-Type", js); a.status < 400 || a.status >= 500 {
				t.Errorf("name %q: %v", name, a)
			}
		}
	}
}

func quote(s string) string {
	b, _ := json.Marshal(s) // a string
	return string(b)
}

func (s *suite) token(t *testing.T) {
	if s.Host.Token == "" {
		return // there is nothing to guard with
	}
	project, id := s.id("tok"), s.id("tok")
	body, err := json.Marshal(s.request(project, id, Succeeds))
	if err != nil {
		t.Fatal(err)
	}
	for _, header := range [][]string{{"Token", "wrong"}, {"Token", ""}, {"Token", "", "Authorization", "Bearer " + s.Host.Token}} {
		for _, r := range []struct{ method, path, body string }{
			{"POST", "/queue", string(body)},
			{"POST", "/stash", `{"config":{"project":"` + project + `","job-id":"` + id + `"},"data":{}}`},
			{"PUT", "/file/project/" + project + "/job/" + id + "/filename/f", "abc"},
			{"GET", "/trigger/" + project + "/" + id, ""},
		} {
			a := s.send(t, r.method, r.path, r.body, append([]string{"Content-Type", "application/json"}, header...)...)
			if a.status != http.StatusForbidden || a.body != "bad token" {
				t.Errorf("%s %s with %q: %v, want 403 bad token", r.method, r.path, header, a)
			}
		}
	}
	if _, err := s.client.Status(t.Context(), project, id); sparky.KindOf(err) != sparky.KindNotFound {
		t.Errorf("after refused requests the job has a status: %v", err)
	}
}

func (s *suite) stash(t *testing.T) {
	project, id := s.id("stash"), s.id("stash") // neither exists
	put := map[string]any{"vars": map[string]any{"WORKER": "1", "q": "it's \"x\"\nline2 é 😀"}, "list": []any{true, nil, "a"}}
	if err := s.client.PutStash(t.Context(), project, id, put); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := s.client.GetStash(t.Context(), project, id, &got); err != nil || !reflect.DeepEqual(got, put) {
		t.Errorf("got %v, %v; put %v", got, err, put)
	}
	if err := s.client.PutStash(t.Context(), project, id, map[string]any{"other": "x"}); err != nil {
		t.Fatal(err)
	}
	got = nil
	if err := s.client.GetStash(t.Context(), project, id, &got); err != nil || len(got) != 1 {
		t.Errorf("not replaced whole: %v, %v", got, err)
	}
	for _, data := range []any{[]int{1}, "text", 5, nil} {
		if err := s.client.PutStash(t.Context(), project, id, data); err == nil {
			t.Errorf("data %v was taken", data)
		}
	}
}

func (s *suite) files(t *testing.T) {
	project, id := s.id("files"), s.id("files") // neither exists
	big := bytes.Repeat([]byte{0, 1, 0xff, '\r', '\n', 0x80}, 200_000)
	for name, content := range map[string][]byte{"art.bin": []byte("a b\xff\r\nc"), "empty": {}, "big": big} {
		if err := s.client.PutFile(t.Context(), project, id, name, bytes.NewReader(content), int64(len(content))); err != nil {
			t.Fatal(err)
		}
		if got := s.file(t, project, id, name); !bytes.Equal(got, content) {
			t.Errorf("%s: %d bytes came back, %d were put", name, len(got), len(content))
		}
	}
	base := "/file/project/" + project + "/job/" + id + "/filename/"
	// The Raku client sends the content type twice.
	if a := s.send(t, "PUT", base+"two", "abc", "Content-Type", "application/octet-stream", "Content-Type", "application/octet-stream"); a.status != 200 || a.refused() {
		t.Errorf("content type sent twice: %v", a)
	}
	if a := s.send(t, "PUT", base+"chunked", "abc", "Transfer-Encoding", "chunked"); a.status != 200 || a.refused() {
		t.Errorf("chunked: %v", a)
	}
	if got := s.file(t, project, id, "chunked"); string(got) != "abc" {
		t.Errorf("chunked: %q", got)
	}
	if a := s.send(t, "GET", "/file/"+project+"/"+id+"/art.bin", ""); a.header.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("content type %q", a.header.Get("Content-Type"))
	}
	if a := s.send(t, "GET", "/file_view/"+project+"/"+id+"/two", ""); a.status != 200 || a.body != "abc" || !strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") {
		t.Errorf("file_view: %v, %v", a, a.header)
	}
	if s.Real {
		return // it would hand out its own configuration
	}
	for _, path := range []string{
		"/file/" + project + "/" + id + "/..%2Fart.bin", "/file/" + project + "/" + id + "/%2Fetc%2Fpasswd", "/file/" + project + "/..%2F" + id + "/art.bin",
		"/file/" + project + "/" + id + "/..", "/stash/" + project + "/..%2F..%2Fx",
	} {
		if a := s.send(t, "GET", path, ""); a.status < 300 || a.status >= 500 {
			t.Errorf("GET %s: %v", path, a)
		}
	}
	if a := s.send(t, "PUT", base+"..%2Fup", "abc"); a.status < 400 || a.status >= 500 {
		t.Errorf("a file outside its job: %v", a)
	}
}

func (s *suite) file(t *testing.T, project, id, name string) []byte {
	t.Helper()
	body, _, err := s.client.GetFile(t.Context(), project, id, name)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	b, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
