package flow

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// OwnPath reports whether a project is from the repository that holds the
// flow file, by its path alone, and where below the file's folder: "" is
// there.
func (p *Project) OwnPath() (below string, own bool) {
	at := p.Path.Value
	if at != "" && at != "." && !strings.HasPrefix(at, "./") {
		return "", false
	}
	if below = path.Clean("./" + at); below == "." {
		below = ""
	}
	return below, true
}

// Relocate returns the text of a flow file for a place outside its repository:
// projects that are from the folder of the file get url as their path, and
// branch where they have none. data is a file that Parse takes; comments stay,
// the layout may change. A project from a folder below has no such path, and
// is an error.
func Relocate(name string, data []byte, url, branch string) ([]byte, error) {
	f, err := Parse(name, data)
	if err != nil {
		return nil, err
	}
	own := map[string]bool{}
	for _, p := range f.Projects {
		below, ok := p.OwnPath()
		if ok && below != "" {
			return nil, &Error{File: name, Pos: p.Path.Pos, Msg: fmt.Sprintf("the path of %q is a folder of this repository, which no URL names", p.Name)}
		}
		own[p.Name] = ok
	}
	root := newParser(name, data).document(data)
	projects := valueOf(root, "projects")
	if projects == nil {
		return nil, errors.New("flow file relocate: no projects")
	}
	plainMerges(root)
	done := map[*yaml.Node]bool{} // several names may share one map by an alias
	for i := 0; i+1 < len(projects.Content); i += 2 {
		key, value := projects.Content[i], projects.Content[i+1]
		if !own[key.Value] {
			continue
		}
		if value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		if value.Kind != yaml.MappingNode { // null: a project without keys
			value = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Style: yaml.FlowStyle}
			projects.Content[i+1] = value
		}
		if !done[value] {
			done[value] = true
			place(value, url, branch)
		}
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := errors.Join(enc.Encode(root), enc.Close()); err != nil {
		return nil, fmt.Errorf("flow file relocate: %w", err)
	}
	again, err := Parse(name, b.Bytes())
	if err != nil {
		return nil, fmt.Errorf("flow file relocate: %w", err)
	}
	for _, p := range again.Projects { // by a merge that was overlooked
		if _, own := p.OwnPath(); own {
			return nil, fmt.Errorf("flow file relocate: project %q keeps its path; write path and branch into it", p.Name)
		}
	}
	return b.Bytes(), nil
}

// plainMerges makes the library write a merge key as people do, without its tag.
func plainMerges(n *yaml.Node) {
	if n.Tag == "!!merge" {
		n.Tag = ""
	}
	for _, c := range n.Content {
		plainMerges(c)
	}
}

// place sets a project's path, and its branch where it has none.
func place(project *yaml.Node, url, branch string) {
	if at := valueOf(project, "path"); at != nil {
		at.Kind, at.Tag, at.Value, at.Style, at.Alias, at.Content = yaml.ScalarNode, "!!str", url, yaml.DoubleQuotedStyle, nil, nil
	} else {
		project.Content = slices.Insert(project.Content, 0, keyNode("path"), textNode(url))
	}
	if branch != "" && valueOf(project, "branch") == nil {
		project.Content = append(project.Content, keyNode("branch"), textNode(branch))
	}
}

func keyNode(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s} }

// textNode is quoted, so that no branch is read as a number.
func textNode(s string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s, Style: yaml.DoubleQuotedStyle}
}

// valueOf returns the value of a key that a map itself has, or nil.
func valueOf(m *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return m.Content[i+1]
		}
	}
	return nil
}
