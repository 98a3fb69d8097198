package githubtest

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
)

func (c *call) getContents() *answer {
	ref := orDefault(c.query("ref"), defaultBranch)
	name := strings.Trim(c.params["path"], "/")
	files := c.repo.tree(ref)
	content, isFile := files[name]
	raw := strings.Contains(c.r.Header.Get("Accept"), "raw")
	switch {
	case isFile && raw:
		return &answer{status: http.StatusOK, raw: []byte(content)}
	case isFile:
		return ok(c.file(ref, name, content))
	}
	list := c.directory(ref, name, files)
	if len(list) == 0 {
		return notFound()
	}
	return ok(list)
}

// tree is the files at a ref, by path; those set by another name of the same
// commit are there as well.
func (r *Repo) tree(ref string) map[string]string {
	files := map[string]string{}
	sha := r.resolve(ref)
	for _, other := range slices.Sorted(maps.Keys(r.files)) {
		if other == ref || sha != "" && r.resolve(other) == sha {
			maps.Copy(files, r.files[other])
		}
	}
	return files
}

// file is a file as JSON; a large one without its content, as GitHub has it.
func (c *call) file(ref, name, content string) object {
	o := c.entry("file", ref, name, content)
	o["encoding"], o["content"] = "base64", lines(base64.StdEncoding.EncodeToString([]byte(content)))
	if len(content) > maxJSONFile {
		o["encoding"], o["content"] = "none", ""
	}
	return o
}

func (c *call) entry(kind, ref, name, content string) object {
	self := c.url(c.repo, "/contents/"+name+"?ref="+ref)
	sum := c.s.blobSHA(content)
	git, html := c.url(c.repo, "/git/blobs/"+sum), c.repo.web("/blob/"+ref+"/"+name)
	return object{
		"type": kind, "size": len(content), "name": path.Base(name), "path": name, "sha": sum,
		"url": self, "git_url": git, "html_url": html, "download_url": c.repo.web("/raw/" + ref + "/" + name),
		"_links": object{"self": self, "git": git, "html": html},
	}
}

// directory lists what is directly below a folder.
func (c *call) directory(ref, name string, files map[string]string) []object {
	seen := map[string]bool{}
	list := []object{}
	for _, f := range slices.Sorted(maps.Keys(files)) {
		below := f
		if name != "" {
			rest, ok := strings.CutPrefix(f, name+"/")
			if !ok {
				continue
			}
			below = rest
		}
		first, _, deeper := strings.Cut(below, "/")
		if seen[first] {
			continue
		}
		seen[first] = true
		kind, content := "file", files[f]
		if deeper {
			kind, content = "dir", ""
		}
		list = append(list, c.entry(kind, ref, path.Join(name, first), content))
	}
	return list
}

// lines breaks Base64 as GitHub does.
func lines(s string) string {
	const width = 60
	var b strings.Builder
	for len(s) > width {
		fmt.Fprintln(&b, s[:width])
		s = s[width:]
	}
	fmt.Fprintln(&b, s)
	return b.String()
}
