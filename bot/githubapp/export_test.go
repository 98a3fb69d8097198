package githubapp

import "io"

// Repack is repack, with the limits that there are but for so many entries.
func Repack(in io.Reader, out io.Writer, sha string, entries int) (Packed, error) {
	limits := defaultArchiveLimits()
	limits.entries = min(entries, limits.entries)
	return repack(in, out, sha, limits)
}
