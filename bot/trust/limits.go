package trust

// MaxURL of a host, in bytes: a scheme, a DNS name of 253 and a port are less.
const MaxURL = 300

// maxShown of a URL in an error: more cannot be read in an annotation.
const maxShown = 80
