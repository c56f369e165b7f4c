package oauth

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/jitagent/jitagent/rar"
)

// Covered returns what the token covers: what its response says and, where the token
// itself says more, an error. A response that says nothing leaves it to the token; nil
// says that neither does.
func (t Token) Covered() ([]rar.Detail, error) {
	claims, err := t.Claims()
	if err == nil {
		err = claims.once(memberDetails)
	}
	if err != nil {
		return nil, err
	}
	var claimed []rar.Detail // unless they are to the letter what the response said
	if len(t.Said) == 0 || !bytes.Equal(claims[memberDetails], t.Said) {
		if claimed, err = claims.Details(); err != nil {
			return nil, fmt.Errorf("the token's own %w", err)
		}
	}
	if t.Details == nil || claimed == nil {
		return append(t.Details, claimed...), nil
	}
	for _, d := range claimed {
		if _, err := rar.WithinAny(d, t.Details); err != nil {
			return nil, errors.New("the token covers more than its response says")
		}
	}
	return t.Details, nil
}

// Claims returns what the token itself says, if it is a JWT (RFC 9068, section 2.2): nil
// when it is opaque. The signature is not checked. A client must not rely on what a token
// says; this is read for one purpose, to find a token that says more than its response
// does, or less than what was asked for, and then not to use it.
func (t Token) Claims() (Object, error) {
	parts := strings.Split(t.Value.Reveal(), ".")
	if len(parts) != 3 {
		return nil, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || !bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		return nil, nil // encrypted, or no JWT at all
	}
	o, err := Decode(text)
	if err != nil {
		// Duplicate claims, say: another reader may see what we cannot.
		return nil, errors.New("the token's claims cannot be read in one way only")
	}
	return o, nil
}
