// Package checks shows a run on GitHub: as a summary in Markdown, as
// annotations found in logs, and as check runs that follow the run while it
// goes on, within every limit that GitHub documents. The App and the Action
// share it.
package checks
