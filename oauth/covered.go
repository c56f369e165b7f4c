package oauth

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/jitagent/jitagent/rar"
)

// Covered returns what the token covers: what its response says and, where the token
// itself says more, an error. A response that says nothing leaves it to the token; nil
// says that neither does.
func (t Token) Covered() ([]rar.Detail, error) {
	claimed, err := claimedDetails(t.Value.Reveal(), t.Said)
	if err != nil {
		return nil, err
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

// claimedDetails reads the authorization_details that a token itself carries, if
// it is a JWT that does (RFC 9396, section 9.1): nil when it is opaque, says
// nothing, or says to the letter what its response said. The signature is not
// checked. A client must not rely on what a token says; this is read for one
// purpose, to find a token that says more than its response does, and then not to
// use it.
func claimedDetails(token string, said jsontext.Value) ([]rar.Detail, error) {
	parts := strings.Split(token, ".")
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
	if len(said) > 0 && bytes.Equal(o[memberDetails], said) {
		return nil, nil
	}
	details, err := o.Details()
	if err != nil {
		return nil, fmt.Errorf("the token's own %w", err)
	}
	return details, nil
}
