package tomtit

import (
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// numeric is a number as Raku prints it.
type numeric struct{ text string }

// numericForm is compiled at its first use: most programs that link this
// package read no scenario.
var numericForm = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[+-]?(?:(0x[0-9A-Fa-f]+(?:_[0-9A-Fa-f]+)*|0o[0-7]+(?:_[0-7]+)*|0b[01]+(?:_[01]+)*)|(\d+(?:_\d+)*)|(\d*(?:_\d+)*\.\d+(?:_\d+)*)|((?:\d+(?:_\d+)*)?(?:\.?\d+)[eE][+-]?\d+)|(\d+)/(\d+))$`)
})

// parseNumeric reads a number as Raku's val() does, which is also how it sees
// the values of %*ENV: 007 is 7, 1_000 is 1000, 0x10 is 16, 1/3 is 0.333333.
func parseNumeric(s string) (numeric, bool) {
	s = strings.TrimSpace(s)
	if len(s) > 1000 {
		return numeric{}, false
	}
	switch s {
	case "":
		return numeric{"0"}, true
	case "Inf", "+Inf", "-Inf", "NaN":
		return numeric{""}, true // JSON has no such number
	}
	m := numericForm().FindStringSubmatch(s)
	if m == nil {
		return numeric{}, false
	}
	sign := ""
	if s[0] == '-' {
		sign = "-"
	}
	plain := func(s string) string { return strings.ReplaceAll(s, "_", "") }
	switch {
	case m[1] != "", m[2] != "":
		base, digits := 10, plain(m[2])
		if m[1] != "" {
			base = map[byte]int{'x': 16, 'o': 8, 'b': 2}[m[1][1]]
			digits = plain(m[1][2:])
		}
		n, ok := new(big.Int).SetString(digits, base)
		if !ok {
			return numeric{}, false
		}
		return signed(sign, n.String()), true
	case m[3] != "":
		d := strings.TrimRight(strings.TrimRight(plain(m[3]), "0"), ".")
		d = strings.TrimLeft(d, "0")
		if d == "" || d[0] == '.' {
			d = "0" + d
		}
		return signed(sign, d), true
	case m[4] != "":
		f, err := strconv.ParseFloat(plain(m[4]), 64)
		if err != nil || math.IsInf(f, 0) {
			return numeric{""}, true
		}
		return signed(sign, strconv.FormatFloat(f, 'f', -1, 64)), true
	}
	r, ok := new(big.Rat).SetString(m[5] + "/" + m[6])
	if !ok {
		return numeric{}, false
	}
	d := r.FloatString(6)
	if strings.Contains(d, ".") {
		d = strings.TrimRight(strings.TrimRight(d, "0"), ".")
	}
	return signed(sign, d), true
}

func signed(sign, digits string) numeric {
	if digits == "0" {
		sign = ""
	}
	return numeric{sign + digits}
}
