// Package comment reads the commands of a comment:
//
//	/cromt <verb> [project...] [KEY=value | KEY="quoted value"] [--flags]
//
// A command is a line that begins with /cromt, in ASCII, and white space or
// its end; several lines may hold one each. Nothing in a code block, in inline
// code, in a quote or in an HTML comment is a command. Where a line may or may
// not be one of these, depending on what Markdown makes of what is above it,
// it is an error and no command. Who may give a command, and whether its
// projects and variables exist, is not for this package to say.
package comment
