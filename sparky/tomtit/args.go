package tomtit

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// stringifyArgs replaces an array args of a task's config by the text of a
// command line, as Sparrow6 does: text and whole numbers stay, an array in it
// has flags, a hash has options with values.
func stringifyArgs(config map[string]any) error {
	args, ok := config["args"].(list)
	if !ok || !args.array {
		return nil
	}
	var words []string
	for i, item := range args.items {
		switch v := item.(type) {
		case string, bool:
			words = append(words, text(v))
		case number:
			if strings.Trim(v.text, "-0123456789") != "" {
				return fmt.Errorf("args, element %d, unsupported type: Rat", i+1)
			}
			words = append(words, v.text)
		case map[string]any:
			for _, k := range slices.Sorted(maps.Keys(v)) {
				value := text(v[k])
				if !strings.HasPrefix(strings.TrimLeftFunc(value, unicode.IsSpace), "=") {
					value = " " + value
				}
				words = append(words, dashed(k)+value)
			}
		case list:
			for _, flag := range v.items {
				words = append(words, dashed(text(flag)))
			}
		default:
			return fmt.Errorf("args, element %d, unsupported type: Any", i+1)
		}
	}
	config["args"] = strings.Join(words, " ")
	return nil
}

// dashed returns the name of an option as a command line has it.
func dashed(name string) string {
	if strings.HasPrefix(name, "-") {
		return name
	}
	return "--" + name
}
