package lumoauth

import (
	"regexp"
	"strings"

	"github.com/jitagent/jitagent/internal/peer"
	"github.com/jitagent/jitagent/secret"
)

// Limits of what is kept of a server's words, in bytes.
const (
	maxMessage = 400
	maxLabel   = 64
)

// minScrub is the length from which a credential can be cut out of a text. A
// shorter one would match by chance, so a text that holds one is dropped whole.
const minScrub = 8

// jwtLike matches signed tokens, also those that this client never saw.
var jwtLike = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*)*`)

// clean makes peer text fit for errors, logs and a model: credentials cut out,
// and what [peer.Clean] does.
func clean(text string, limit int, hide ...secret.String) string {
	for _, s := range hide {
		text = scrub(text, s)
	}
	text = jwtLike.ReplaceAllLiteralString(text, secret.Redacted)
	return peer.Clean(text, limit)
}

// scrub cuts s out of text, as it is and as it may be encoded.
func scrub(text string, s secret.String) string {
	v := s.Reveal()
	if v == "" || len(text) < len(v) {
		return text // no form of it is shorter, and making them all is not cheap
	}
	if len(v) < minScrub {
		if strings.Contains(text, v) {
			return secret.Redacted
		}
		return text
	}
	for _, form := range s.Forms() {
		text = strings.ReplaceAll(text, form, secret.Redacted)
	}
	return text
}
