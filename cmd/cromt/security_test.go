package main_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The table of attacks names tests that there are.
func TestSecurityTable(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", ".github", "SECURITY.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	name := regexp.MustCompile("`([a-z/]+)\\.((?:Test|Fuzz)[A-Za-z0-9]+)`")
	for line := range strings.Lines(string(page)) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| attack") {
			continue
		}
		rows++
		names := name.FindAllStringSubmatch(line, -1)
		if len(names) == 0 {
			t.Errorf("no test for this: %s", line)
		}
		for _, m := range names {
			if !hasTest(t, filepath.Join("..", "..", m[1]), m[2]) {
				t.Errorf("%s has no %s, which is named here: %s", m[1], m[2], line)
			}
		}
	}
	if rows < 26 {
		t.Errorf("%d rows", rows)
	}
}

// hasTest reports whether a test of the folder has that name.
func hasTest(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "\nfunc "+name+"(") {
			return true
		}
	}
	return false
}

// secretName is how the code calls what nobody must find out byte by byte.
var secretName = regexp.MustCompile(`(?i)(secret|token|password|signature|credential|hmac|mac|nonce)$`)

// No secret is compared by ==, bytes.Equal or their like, which take the
// longer the more of it was guessed.
func TestSecretsAreComparedInConstantTime(t *testing.T) {
	root := filepath.Join("..", "..")
	compared := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if d.IsDir() && strings.HasSuffix(d.Name(), "test") { // doubles of others
			return filepath.SkipDir
		}
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			a, b := operands(n)
			if a == nil {
				return true
			}
			compared++
			if (isSecret(a) || isSecret(b)) && !isPlain(a) && !isPlain(b) {
				t.Errorf("%s: a secret is compared; use hmac.Equal or subtle.ConstantTimeCompare", fset.Position(n.Pos()))
			}
			return true
		})
		return nil
	})
	if err != nil || compared < 1000 {
		t.Errorf("%d comparisons, %v", compared, err)
	}
}

// operands returns the two sides of a comparison; nil: it is none.
func operands(n ast.Node) (a, b ast.Expr) {
	switch n := n.(type) {
	case *ast.BinaryExpr:
		if n.Op == token.EQL || n.Op == token.NEQ {
			return n.X, n.Y
		}
	case *ast.CallExpr:
		f, ok := n.Fun.(*ast.SelectorExpr)
		if ok && len(n.Args) == 2 && regexp.MustCompile(`^(Equal|EqualFold|Compare|DeepEqual)$`).MatchString(f.Sel.Name) {
			if pkg, ok := f.X.(*ast.Ident); ok && pkg.Name != "hmac" {
				return n.Args[0], n.Args[1]
			}
		}
	}
	return nil, nil
}

// isSecret reports whether an expression is called like a secret.
func isSecret(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return secretName.MatchString(e.Name)
	case *ast.SelectorExpr:
		return secretName.MatchString(e.Sel.Name) && e.Sel.Name != "TokenSecret" // the name of one
	case *ast.SliceExpr:
		return isSecret(e.X)
	case *ast.CallExpr: // a conversion, or something that gives a secret
		return len(e.Args) == 1 && isConversion(e.Fun) && isSecret(e.Args[0]) || len(e.Args) == 0 && isSecret(e.Fun)
	}
	return false
}

func isConversion(f ast.Expr) bool {
	id, ok := f.(*ast.Ident)
	_, slice := f.(*ast.ArrayType)
	return slice || ok && id.Name == "string"
}

// isPlain reports whether the program itself says what it is.
func isPlain(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return true
	case *ast.Ident:
		return e.Name == "nil"
	}
	return false
}
