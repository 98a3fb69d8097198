package tomtit

import (
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"unicode"
)

// number is a Raku number: the text that it prints as, and its JSON form.
// Scenarios do not calculate, so no more of it is needed.
type number struct {
	text string
	json string // "null" for an infinite one
	zero bool
}

// allomorph is text that is a number as well, as Raku has it for <…> and for
// environment variables: it prints as written, and counts as its number.
type allomorph struct {
	text string
	num  number
}

// numeric is what Raku takes for a number, without fractions and signs.
var numeric = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?:` +
		`0([xbod])_?([0-9a-fA-F]+(?:_[0-9a-fA-F]+)*)(?:\.([0-9a-fA-F]+(?:_[0-9a-fA-F]+)*))?|` +
		`([0-9]+(?:_[0-9]+)*)?(?:\.([0-9]+(?:_[0-9]+)*))?(?:[eE]([+-]?[0-9]+(?:_[0-9]+)*))?` +
		`)$`)
})

// maxDigits of a number in text: longer ones stay text, for big numbers take
// quadratic time.
const maxDigits = 400

// textValue returns text as Raku's val does: an allomorph when it looks like a
// number, the string itself otherwise.
func textValue(text string) any {
	if text == "" {
		return allomorph{"", intNumber(new(big.Int))}
	}
	if n, ok := parseNumber(strings.TrimFunc(text, unicode.IsSpace)); ok {
		return allomorph{text, n}
	}
	return text
}

// parseNumber reads a number as Raku's val does, except for complex numbers
// and :16<ff>, which stay text.
func parseNumber(s string) (number, bool) {
	if s == "" || len(s) > maxDigits {
		return number{}, false
	}
	if c := s[0]; c < utf8Self && c != '+' && c != '-' && c != '.' && (c < '0' || c > '9') && c != 'I' && c != 'N' {
		return number{}, false
	}
	s = asciiDigits(s)
	over, under, fraction := strings.Cut(s, "/")
	a, ok := parseReal(over)
	if !ok || !fraction {
		return a.number(), ok
	}
	b, ok := parseReal(under)
	if !ok || a.inf || b.inf || b.isZero() {
		return number{}, false
	}
	q := real{rat: new(big.Rat), float: a.float || b.float}
	q.rat.Quo(a.rat, b.rat)
	q.whole = false
	return q.number(), true
}

const utf8Self = 0x80

// asciiDigits replaces decimal digits and the minus sign of other scripts.
func asciiDigits(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r < utf8Self:
			return r
		case r == '−':
			return '-'
		case unicode.Is(unicode.Nd, r):
			zero := r
			for r-zero < 9 && unicode.Is(unicode.Nd, zero-1) {
				zero--
			}
			return '0' + (r-zero)%10
		}
		return r
	}, s)
}

// real is a number while it is read.
type real struct {
	rat   *big.Rat
	whole bool // an Int
	float bool // a Num
	inf   bool // Inf or NaN
	minus bool // of a Num: -0 is one
}

func (r real) isZero() bool { return r.rat.Sign() == 0 }

func parseReal(s string) (real, bool) {
	minus := false
	if s != "" && (s[0] == '+' || s[0] == '-') {
		minus, s = s[0] == '-', s[1:]
	}
	if s == "Inf" || s == "NaN" {
		return real{inf: true, float: true, rat: new(big.Rat)}, true
	}
	m := numeric().FindStringSubmatch(s)
	if m == nil || s == "" || m[1] == "" && m[4] == "" && m[5] == "" {
		return real{}, false
	}
	r := real{rat: new(big.Rat), minus: minus}
	var ok bool
	if m[1] != "" {
		ok = r.setDigits(m[2], m[3], map[string]int{"x": 16, "b": 2, "o": 8, "d": 10}[m[1]])
	} else {
		ok = r.setDigits(m[4], m[5], 10)
		r.float = m[6] != ""
		if ok && r.float {
			r.setExponent(m[6])
		}
	}
	if minus {
		r.rat.Neg(r.rat)
	}
	return r, ok
}

func (r *real) setDigits(whole, part string, base int) bool {
	whole, part = strings.ReplaceAll(whole, "_", ""), strings.ReplaceAll(part, "_", "")
	n, ok := new(big.Int).SetString("0"+whole+part, base)
	if !ok {
		return false
	}
	scale := new(big.Int).Exp(big.NewInt(int64(base)), big.NewInt(int64(len(part))), nil)
	r.rat.SetFrac(n, scale)
	r.whole = part == ""
	return true
}

func (r *real) setExponent(exp string) {
	r.whole = false
	e, err := strconv.Atoi(strings.ReplaceAll(exp, "_", ""))
	switch {
	case r.isZero():
	case err != nil || e > 1000 || e < -1000:
		r.inf = err != nil && exp[0] != '-' || e > 1000
		if !r.inf {
			r.rat.SetInt64(0)
		}
	default:
		scale := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(e, -e))), nil))
		if e < 0 {
			scale.Inv(scale)
		}
		r.rat.Mul(r.rat, scale)
	}
}

func (r real) number() number {
	switch {
	case r.rat == nil:
		return number{}
	case r.inf:
		return number{text: "Inf", json: "null"}
	case r.whole:
		return intNumber(r.rat.Num())
	case r.float || r.rat.Denom().BitLen() > 64:
		f, _ := r.rat.Float64()
		if f == 0 && r.minus {
			f = math.Copysign(0, -1)
		}
		return floatNumber(f)
	}
	return ratNumber(r.rat)
}

func intNumber(n *big.Int) number {
	s := n.String()
	return number{text: s, json: s, zero: n.Sign() == 0}
}

// ratNumber prints as Raku does: six decimals, or one more than the
// denominator has digits when that is a long one.
func ratNumber(r *big.Rat) number {
	places := 6
	if d := r.Denom(); d.Cmp(big.NewInt(100_000)) >= 0 {
		places = len(d.String()) + 1
	}
	s := r.FloatString(places)
	if strings.Contains(s, ".") {
		s = strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
	}
	if s == "-0" {
		s = "0"
	}
	return number{text: s, json: s, zero: r.Sign() == 0}
}

func floatNumber(f float64) number {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return number{text: "Inf", json: "null"}
	}
	s := strconv.FormatFloat(f, 'e', -1, 64)
	exp, _ := strconv.Atoi(s[strings.IndexByte(s, 'e')+1:])
	if exp >= -4 && exp < 15 {
		s = strconv.FormatFloat(f, 'f', -1, 64)
	}
	return number{text: s, json: s, zero: f == 0}
}
