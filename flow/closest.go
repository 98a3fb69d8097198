package flow

// closest returns the known name that the user may have meant, the first of
// equals; "" when none is close.
func closest(name string, known []string) string {
	best, least := "", max(2, len(name)/3+1)
	for i, k := range known {
		if i == MaxSuggestions {
			break
		}
		if d := distance(foldName(name), foldName(k), least); d < least {
			best, least = k, d
		}
	}
	return best
}
