package flow

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
)

// Shorter parts of a secret are too common in innocent text.
const (
	minMaskLine = 8 // characters of one line of a secret with several
	minMaskPart = 6 // characters of a piece of an encoded secret
)

// maskPatterns returns every text to look for, each once.
func maskPatterns(secrets []string) []string {
	var list []string
	seen := map[string]bool{"": true}
	add := func(p string) {
		if !seen[p] {
			seen[p] = true
			list = append(list, p)
		}
	}
	for _, s := range secrets {
		if strings.TrimSpace(s) == "" {
			continue // it would mask every blank of a log
		}
		// A secret read from a file often ends in a newline that is not printed with it.
		for _, s := range []string{s, strings.TrimSpace(s)} {
			add(s)
			addEscaped(add, s)
			addBase64(add, s)
		}
		for line := range strings.Lines(s) {
			if line = strings.TrimSpace(line); len(line) >= minMaskLine {
				add(line)
				addEscaped(add, line)
			}
		}
	}
	return list
}

func addEscaped(add func(string), s string) {
	query := url.QueryEscape(s)
	for _, e := range []string{query, strings.ReplaceAll(query, "+", "%20"), url.PathEscape(s)} {
		add(e)
		add(lowerEscapes(e))
	}
	for _, html := range []bool{true, false} {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(html)
		if enc.Encode(s) == nil {
			quoted := strings.TrimSuffix(b.String(), "\n")
			add(quoted[1 : len(quoted)-1])
		}
	}
}

// lowerEscapes turns %2F into %2f.
func lowerEscapes(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:i+3], bytes.ToLower(b[i+1:i+3]))
			i += 2
		}
	}
	return string(b)
}

// addBase64 adds the encodings of s: whole, in lines as the base64 command
// and PEM break them, and the characters that are the same whatever stands
// before and after s in a longer text, for each of the three offsets.
func addBase64(add func(string), s string) {
	if s == "" {
		return
	}
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		whole := enc.EncodeToString([]byte(s))
		bare := strings.TrimRight(whole, "=")
		add(whole)
		add(bare)
		for _, width := range []int{64, 76} {
			for line := bare; len(line) >= minMaskPart && len(bare) > width; line = line[min(width, len(line)):] {
				add(line[:min(width, len(line))])
			}
		}
		for before := range 3 {
			text := enc.EncodeToString(append(make([]byte, before), s...))
			from, to := (before*8+5)/6, (before+len(s))*8/6
			if to-from >= minMaskPart {
				add(text[from:to])
			}
		}
	}
}
