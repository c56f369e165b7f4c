package docapi

import (
	"cmp"
	"strings"

	"github.com/jitagent/jitagent/internal/lazy"
)

// maxSlug keeps a file name well below the 255 bytes that file systems allow,
// also after the decomposition that some of them do.
const maxSlug = 80 // bytes

var slugWord = lazy.Regexp(`[\p{L}\p{Nd}][\p{L}\p{Nd}\p{M}]*`)

// slug turns a title into the readable part of a file name: letters, marks and
// digits of any script in lower case, everything else a single hyphen. The result
// holds no separator and no dot, is never empty, and never a whole file name, so
// names that Windows reserves cannot come out.
func slug(title string) string {
	s := strings.Join(slugWord().FindAllString(strings.ToLower(title), -1), "-")
	if len(s) > maxSlug {
		s = strings.TrimRight(strings.ToValidUTF8(s[:maxSlug], ""), "-")
	}
	return cmp.Or(s, "report")
}
