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

// jwtLike matches signed tokens, also those that this client never saw.
var jwtLike = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*)*`)

// hiding returns what hides credentials in texts, for one goroutine. What is too short
// for a [secret.Scrubber] to find takes the whole text with it.
func hiding(credentials ...secret.String) func(text string) string {
	var scrubber *secret.Scrubber // made when it is needed
	return func(text string) string {
		for _, c := range credentials {
			if v := c.Reveal(); v != "" && len(v) < 8 && strings.Contains(text, v) {
				return secret.Redacted
			}
		}
		if len(text) < 8 {
			return text
		}
		if scrubber == nil {
			scrubber = new(secret.Scrubber)
			for _, c := range credentials {
				scrubber.Add(c)
			}
		}
		return scrubber.Scrub(text)
	}
}

// clean makes peer text fit for errors, logs and a model: credentials cut out, and what
// [peer.Clean] does.
func clean(text string, limit int, hide func(string) string) string {
	if text = hide(text); strings.Contains(text, "eyJ") {
		text = jwtLike.ReplaceAllLiteralString(text, secret.Redacted)
	}
	return peer.Clean(text, limit)
}
