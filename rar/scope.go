package rar

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jitagent/jitagent/internal/strictjson"
)

// ScopeType is the type of what [Scopes] returns. It is this package's own: no API and
// no authorization server uses it, and [Parse] refuses it.
const ScopeType = "oauth_scope"

// Scopes returns OAuth scopes as one detail, sorted and each once, so that a demand of
// scopes is compared, recorded and shown like any other. It is valid if each is a scope
// token (RFC 6749, section 3.3), and they are as many and as long as the limits allow.
// Its actions are the scopes, and it has no other member.
//
// One lies within another if all its scopes are among the other's, byte for byte: no
// scope is known to include another. No scope at all is a login: the token may do
// whatever its server gives to whoever asks for none, and so lies only within itself.
func Scopes(tokens ...string) Detail {
	return Detail{Type: ScopeType, Actions: slices.Compact(slices.Sorted(slices.Values(tokens)))}
}

// IsScopes reports whether the detail stands for OAuth scopes, see [Scopes].
func (d Detail) IsScopes() bool { return d.Type == ScopeType }

// checkScopes holds a detail of [ScopeType] to what [Scopes] promises.
func (d Detail) checkScopes() error {
	switch n := len(d.Actions); {
	case n > MaxList:
		return fmt.Errorf("%d scopes, over the limit of %d", n, MaxList)
	case d.Locations != nil || d.DataTypes != nil || d.Identifier != "" || d.Privileges != nil || len(d.Extra) > 0:
		return errors.New("a member beside the scopes")
	}
	for _, s := range d.Actions {
		if !isScope(s) {
			return fmt.Errorf("%s is no scope", strictjson.Quote(s))
		}
	}
	return nil
}

func isScope(s string) bool {
	other := func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }
	return s != "" && len(s) <= MaxString && !strings.ContainsFunc(s, other)
}
