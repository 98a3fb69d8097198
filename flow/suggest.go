package flow

// Closest returns the one of names that somebody who wrote s may have meant,
// "" when none is close.
func Closest(s string, names []string) string { return closest(s, names, nil) }
