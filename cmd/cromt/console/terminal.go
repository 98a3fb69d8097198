package console

import (
	"io"
	"os"
	"runtime"

	"golang.org/x/term"
)

// Detect sets what of the options depends on the terminal: Live and Size when
// Out and Err are one, Color when Out is and NO_COLOR is not set.
func (o *Options) Detect(getenv func(string) string) {
	out, ok := o.Out.(*os.File)
	if !ok || !isTerminal(o.Out, getenv) {
		return
	}
	o.Color = getenv("NO_COLOR") == "" && !o.JSON
	o.Live = isTerminal(o.Err, getenv) && !o.JSON
	o.Size = func() (columns, rows int) {
		columns, rows, err := term.GetSize(int(out.Fd()))
		if err != nil || columns <= 0 || rows <= 0 {
			return 80, 24
		}
		return columns, rows
	}
}

// isTerminal reports whether w is a terminal that understands escape
// sequences. Of Windows, that is the one that says so.
func isTerminal(w io.Writer, getenv func(string) string) bool {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return false
	}
	if runtime.GOOS == "windows" {
		return getenv("WT_SESSION") != ""
	}
	return getenv("TERM") != "dumb" && getenv("TERM") != ""
}
