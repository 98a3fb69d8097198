package trust

import (
	"errors"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Address returns the one way to write a host's URL: scheme, host and port in
// lower case, without the scheme's own port and without a slash at the end.
// Two URLs of one address name the same host, whatever reads them: what
// programs understand differently (escapes, backslashes, users, other than
// ASCII, a dot at the end, unusual numbers) is an error.
func Address(rawURL string) (string, error) {
	if len(rawURL) > MaxURL {
		return "", errors.New("it is too long")
	}
	for _, c := range []byte(rawURL) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`\%@?#"'<>^`+"`{|}", c) >= 0 {
			return "", errors.New("it must be a scheme, a host and a port, in plain characters")
		}
	}
	u, err := url.Parse(rawURL)
	if err != nil || u.Opaque != "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", errors.New("it must be an http or https URL")
	}
	if u.Path != "" && u.Path != "/" {
		return "", errors.New("it must not have a path")
	}
	host, err := hostName(u)
	if err != nil {
		return "", err
	}
	port, err := portOf(u)
	if err != nil {
		return "", err
	}
	return u.Scheme + "://" + host + port, nil
}

// hostName returns the host of u, an IPv6 address in brackets and shortest form.
func hostName(u *url.URL) (string, error) {
	name := strings.ToLower(u.Hostname())
	if strings.HasPrefix(u.Host, "[") {
		ip, err := netip.ParseAddr(name)
		if err != nil || !ip.Is6() || ip.Zone() != "" {
			return "", errors.New("it has no valid IPv6 address")
		}
		return "[" + ip.String() + "]", nil
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return "", errors.New("it has no valid host name")
		}
	}
	return name, nil
}

// portOf returns the port of u with its colon, "" for the scheme's own.
func portOf(u *url.URL) (string, error) {
	port := u.Port()
	if port == "" && !strings.HasSuffix(u.Host, ":") {
		return "", nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || port[0] == '0' {
		return "", errors.New("it has no valid port")
	}
	if u.Scheme == "http" && n == 80 || u.Scheme == "https" && n == 443 {
		return "", nil
	}
	return ":" + port, nil
}
