package githubtest

import (
	"crypto/sha1" // Git's own
	"fmt"
)

// blobSHA is what Git calls a file of a content.
func blobSHA(content string) string {
	return fmt.Sprintf("%x", sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(content), content)))
}
