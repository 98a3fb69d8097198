// Package console shows a run on a terminal, as plain lines, or as JSON
// events for machines, and writes the report at its end. A [Console] is a
// flow.Reporter, and its Output is where the engine writes what jobs print.
//
// One rule separates the two streams: results (what jobs print, how they
// ended, the report) go to Out, messages of cromt itself (what it does on its
// own account, hints) to Err. What hosts print is cleaned before it reaches
// either: see flow.PlainText.
package console
