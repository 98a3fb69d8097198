package main_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/bot"
	"github.com/cromt/cromt/sparky/agent"
)

// The table of attacks names tests that there are.
func TestSecurityTable(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", ".github", "SECURITY.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	name := regexp.MustCompile("`([a-z/]+)\\.((?:Test|Fuzz|Benchmark)[A-Za-z0-9]+)`")
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
	if rows < 28 {
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

// BenchmarkSecretTiming compares how long it takes to refuse a signature and a
// token that are wrong in their first byte with one that is wrong in the last:
// last/first is 1, give or take 5 %, when the time tells nothing. Each pair is
// measured in turn, and the medians count. Run it with -benchtime 20000x.
func BenchmarkSecretTiming(b *testing.B) {
	secret, body := []byte("It's a Secret to Everybody"), "{}"
	hook, err := bot.NewWebhook(secret, func(context.Context, bot.Delivery) (bool, error) {
		return false, errors.New("a forged delivery was taken")
	}, nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(body))
	signature := hex.EncodeToString(mac.Sum(nil))
	b.Run("signature", func(b *testing.B) {
		benchTiming(b, hook, signature, func(text string) *http.Request {
			r := httptest.NewRequest(http.MethodPost, "/webhook", strings.NewReader(body))
			r.Header.Set("X-Hub-Signature-256", "sha256="+text)
			return r
		}, http.StatusUnauthorized)
	})
	key := strings.Repeat("0123456789abcdef", 256) // so long that a comparison byte by byte would show
	a, err := agent.Open(agent.Config{Root: b.TempDir(), Token: key})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = a.Close(context.Background()) }()
	b.Run("token", func(b *testing.B) {
		benchTiming(b, a, key, func(text string) *http.Request {
			r := httptest.NewRequest(http.MethodGet, "/status/p/job.1", nil)
			r.Header.Set("Token", text)
			return r
		}, http.StatusForbidden)
	})
}

// benchTiming sends requests with the secret, wrong in its first or its last byte.
func benchTiming(b *testing.B, h http.Handler, secret string, request func(text string) *http.Request, want int) {
	wrong := [2]string{"e" + secret[1:], secret[:len(secret)-1] + "e"}
	var took [2][]float64
	for n := 0; b.Loop(); n++ {
		for k := range wrong {
			k ^= n & 1 // neither is always the second one
			w, r := httptest.NewRecorder(), request(wrong[k])
			at := time.Now()
			h.ServeHTTP(w, r)
			took[k] = append(took[k], float64(time.Since(at)))
			if w.Code != want {
				b.Fatalf("HTTP %d", w.Code)
			}
		}
	}
	for k := range took {
		slices.Sort(took[k])
	}
	first, last := took[0][len(took[0])/2], took[1][len(took[1])/2]
	b.ReportMetric(first, "first-ns")
	b.ReportMetric(last, "last-ns")
	b.ReportMetric(last/first, "last/first")
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
