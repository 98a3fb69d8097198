// Package githubtest is a fake of GitHub's REST API for tests: the opposite of
// a mock that is content with everything. Each request and each answer is
// checked against GitHub's own description of its API, and the limits that
// GitHub documents beside it are kept (limits.go). What a right program would
// not send is recorded as a violation, which fails the test when it ends unless
// the test takes it with Server.Violations; it is answered as GitHub answers it.
// Where GitHub would take it in silence (a misspelt property or query parameter,
// a page of more than 100) it is refused here, so that nobody relies on it.
//
// Played: repositories, check runs and suites, commit statuses, comments on
// pull requests and reactions to them, pull requests and their files, commits,
// file contents, collaborators' permissions, rate limits; for Apps also JWTs,
// installations, their tokens, webhook deliveries; people who sign in to one. The table in handle.go has
// them all. Any other operation is answered with 501, or 404 where the
// description does not have it either, and is a violation.
//
// Violations: what does not match the description; a broken rule of the Checks
// API or of comments; a request while a Retry-After or a rate limit's reset is
// in force, for which GitHub bans integrations (Server.Banned); an answer of
// this package that does not match the description. No violation: a missing
// permission, an unknown repository or comment, and to be refused by a limit
// for the first time, since a right program may meet all of these.
//
// Stricter than GitHub: every POST, PATCH and PUT counts as creating content;
// comments and reactions can be changed by their author alone; a completed check
// run is not reopened; a request is a violation if it comes any moment after
// the refusal was answered, so that a program with several requests under way
// has to hold back all of them.
//
// Not played: webhooks (nothing is delivered), issues that are no pull
// requests, conditional requests (If-None-Match is ignored), GraphQL, media
// types but JSON and raw files, and what only people see.
//
// The description is github-api.json, compiled in: a test binary finds it
// wherever it is run, and whatever -trimpath made of source paths. That is why
// it is in this folder.
package githubtest
