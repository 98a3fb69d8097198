// Package githubtest is a fake of GitHub's REST API for tests: the opposite of
// a mock that is content with everything. Each request and each answer is
// checked against GitHub's own description of its API, and the limits that
// GitHub documents beside it are kept. Whatever a right program would not send
// is refused as GitHub refuses it, or worse, taken in silence as GitHub takes
// it, and in both cases recorded as a violation that fails the test.
package githubtest
