package githubtest

import (
	"maps"
	"path"
	"slices"
	"strings"
)

// treeSHA is what a folder of a repository is called here, whatever is in it.
func treeSHA(ref, dir string) string { return blobSHA("tree " + ref + " " + dir) }

// object is a folder or file that a SHA names; found: there is one.
func (r *Repo) object(sha string) (ref, name string, isTree, found bool) {
	for _, ref := range slices.Sorted(maps.Keys(r.files)) {
		for name, content := range r.files[ref] {
			if r.s.blobSHA(content) == sha && r.modes[name] != "160000" {
				return ref, name, false, true
			}
			for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
				if treeSHA(ref, dir) == sha {
					return ref, dir, true, true
				}
			}
		}
	}
	return "", "", false, false
}

func (c *call) getTree() *answer {
	if len(c.repo.commits) == 0 {
		return refusal(409, "Git Repository is empty.")
	}
	ref, dir := c.params["tree_sha"], ""
	if c.repo.resolve(ref) == "" {
		var isTree, found bool
		if ref, dir, isTree, found = c.repo.object(ref); !found || !isTree {
			return notFound()
		}
	}
	files := c.repo.tree(ref)
	list := []object{}
	for _, e := range c.directory(ref, dir, files) {
		name := e["path"].(string)
		content, mode, kind := files[name], "100644", "blob"
		o := object{"path": e["name"], "sha": c.s.blobSHA(content), "size": len(content)}
		switch set := c.repo.modes[name]; {
		case e["type"] == "dir":
			mode, kind = "040000", "tree"
			o["sha"] = treeSHA(c.repo.refOf(ref, name), name)
			delete(o, "size")
		case set == "160000":
			mode, kind = set, "commit"
			o["sha"] = content
			delete(o, "size")
		case set != "":
			mode = set
		}
		o["mode"], o["type"] = mode, kind
		list = append(list, o)
	}
	return ok(object{"sha": treeSHA(ref, dir), "url": c.url(c.repo, "/git/trees/"+treeSHA(ref, dir)), "truncated": false, "tree": append([]object{}, list...)})
}

// refOf is the name under which a folder of a ref has been set.
func (r *Repo) refOf(ref, dir string) string {
	sha := r.resolve(ref)
	for _, other := range slices.Sorted(maps.Keys(r.files)) {
		if other != ref && (sha == "" || r.resolve(other) != sha) {
			continue
		}
		for name := range r.files[other] {
			if strings.HasPrefix(name, dir+"/") {
				return other
			}
		}
	}
	return ref
}

func (c *call) getBlob() *answer {
	ref, name, isTree, found := c.repo.object(c.params["file_sha"])
	if !found || isTree {
		return notFound()
	}
	content := c.repo.files[ref][name]
	if strings.Contains(c.r.Header.Get("Accept"), "raw") {
		return &answer{status: 200, raw: []byte(content)}
	}
	file := c.file(ref, name, content)
	return ok(c.s.api.fill("blob", object{
		"sha": file["sha"], "size": len(content), "encoding": "base64", "content": file["content"], "url": file["git_url"],
	}))
}
