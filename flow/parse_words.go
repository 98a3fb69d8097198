package flow

import (
	"errors"
	"strings"
)

// SplitWords splits s as a POSIX shell splits a line, without expansion: white
// space separates; single quotes, double quotes and backslashes quote; $, ~, *
// and # mean themselves. The error names the quote that is not closed.
func SplitWords(s string) ([]string, error) {
	var words []string
	var word strings.Builder
	in := false // inside a word, which may be empty: ''
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case ' ', '\t', '\n', '\r':
			if in {
				words = append(words, word.String())
				word.Reset()
				in = false
			}
		case '\\':
			if i++; i == len(s) {
				return nil, errors.New("backslash at the end quotes nothing")
			}
			if s[i] != '\n' { // a quoted line end joins the lines
				in = true
				word.WriteByte(s[i])
			}
		case '\'', '"':
			n, err := quoted(&word, s[i:])
			if err != nil {
				return nil, err
			}
			in = true
			i += n - 1
		default:
			in = true
			word.WriteByte(c)
		}
	}
	if in {
		words = append(words, word.String())
	}
	return words, nil
}

// quoted appends the text of the quotes that s begins with to word, and
// returns their length in s.
func quoted(word *strings.Builder, s string) (int, error) {
	if s[0] == '\'' {
		end := strings.IndexByte(s[1:], '\'')
		if end < 0 {
			return 0, errors.New("single quote is not closed")
		}
		word.WriteString(s[1 : 1+end])
		return end + 2, nil
	}
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return i + 1, nil
		case c == '\\' && i+1 < len(s) && strings.IndexByte("\\\"$`\n", s[i+1]) >= 0:
			if i++; s[i] != '\n' {
				word.WriteByte(s[i])
			}
		default:
			word.WriteByte(c)
		}
	}
	return 0, errors.New("double quote is not closed")
}
