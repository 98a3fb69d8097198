package config

import "errors"

// PublicURL checks what public_url would be, and returns it as Load does.
func PublicURL(text string) (string, error) {
	l := &loader{c: &Config{}}
	if problem, hint := takePublicURL(l, value{text: text}); problem != "" {
		return "", errors.New(problem + "; " + hint)
	}
	return l.c.PublicURL, nil
}

// APIURL checks what github.api_url would be, and returns it as Load does. ""
// is DefaultAPIURL.
func APIURL(text string) (string, error) {
	if text == "" {
		return DefaultAPIURL, nil
	}
	l := &loader{c: &Config{}}
	if problem, hint := takeAPIURL(l, value{text: text}); problem != "" {
		return "", errors.New(problem + "; " + hint)
	}
	return l.c.GitHub.APIURL, nil
}
