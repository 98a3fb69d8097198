package githubtest

import (
	"crypto/sha1" // Git's own
	"fmt"
)

// blobSHA is what Git calls a file of a content.
func blobSHA(content string) string {
	return fmt.Sprintf("%x", sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(content), content)))
}

// blobSHA remembers: large files are asked for often. The caller holds the lock.
func (s *Server) blobSHA(content string) string {
	sum, known := s.sums[content]
	if !known {
		sum = blobSHA(content)
		s.sums[content] = sum
	}
	return sum
}
