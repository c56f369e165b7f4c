// Package lazy makes what few runs of a program need when it is first needed, and not
// whenever the program starts.
package lazy

import (
	"regexp"
	"sync"
)

// Regexp returns what compiles a regular expression, once, at its first call, and is
// safe for concurrent use. That call panics where [regexp.MustCompile] does. It is for
// expressions that repeat a class up to some bound: those take a copy of the class for
// each time, and longer to compile than most runs use them.
func Regexp(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}
