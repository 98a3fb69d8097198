//go:build !unix

package sparky

import "net"

// quiet cannot tell here: the request on a closed connection fails.
func quiet(net.Conn) bool { return true }
