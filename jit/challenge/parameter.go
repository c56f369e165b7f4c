package challenge

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/jitagent/jitagent/internal/peer"
	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/rar"
)

// The wire names of draft-ietf-oauth-rar-metadata-remediation, section 4, and of its
// predecessors, whose error is [ErrorCode].
const (
	// RemediationCode is the value of error in WWW-Authenticate. Its status is 401.
	RemediationCode = "insufficient_authorization"
	// ParamRemediation is the parameter beside it: base64url of a JSON object with
	// [MemberDetails] and perhaps [MemberReference].
	ParamRemediation = "authorization_remediation"
	// MemberDetails are authorization details: in [ParamRemediation]; in the body, with
	// Cache-Control: no-store; or base64url as a parameter of WWW-Authenticate.
	MemberDetails   = "authorization_details"
	MemberReference = "authorization_reference"
)

// fromParameter reads the demand from a parameter of WWW-Authenticate.
func fromParameter(c AuthChallenge) (*Challenge, error) {
	code := c.Params[MemberError]
	name := MemberDetails
	if code == RemediationCode {
		name = ParamRemediation
	}
	text, err := decodeBase64URL(c.Params[name])
	if err != nil {
		return nil, malformed(SourceHeader, name, err)
	}
	var reference string
	if code == RemediationCode {
		if text, reference, err = readRemediation(text); err != nil {
			return nil, malformed(SourceHeader, name, err)
		}
	}
	details, err := readDetails(text)
	if err != nil {
		return nil, malformed(SourceHeader, name, err)
	}
	return &Challenge{
		Details: details, Error: code, Reference: reference,
		Description: peer.Clean(c.Params[MemberDescription], MaxDescription), Source: SourceParameter,
	}, nil
}

// readRemediation returns the details and the reference of a remediation. Members that
// deployments add are left alone, as the draft allows.
func readRemediation(text []byte) (details []byte, reference string, err error) {
	members, err := strictjson.Object(text)
	if err != nil {
		return nil, "", errors.New("no JSON object that can be read in one way only")
	}
	if err := checkCase(members, MemberDetails, MemberReference); err != nil {
		return nil, "", err
	}
	if value := members[MemberReference]; value != nil {
		if strictjson.Unmarshal(value, &reference) != nil || reference == "" || len(reference) > MaxReference {
			return nil, "", fmt.Errorf("%s is no string of 1 to %d bytes", MemberReference, MaxReference)
		}
	}
	if members[MemberDetails] == nil {
		return nil, "", errors.New("no " + MemberDetails)
	}
	return members[MemberDetails], reference, nil
}

// decodeBase64URL accepts base64url (RFC 4648, section 5), with padding or without.
func decodeBase64URL(s string) ([]byte, error) {
	if s == "" || strings.ContainsAny(s, "+/") {
		return nil, errors.New("not base64url")
	}
	return decodeBase64(s)
}

// WriteRemediation answers a call with the demand for detail in the words of
// draft-ietf-oauth-rar-metadata-remediation: 401, and all that counts is in
// WWW-Authenticate. The reference is the digest of detail. Else, and for scopes, it is as
// [Write].
func WriteRemediation(w http.ResponseWriter, detail rar.Detail, description string) error {
	if detail.IsScopes() {
		return Write(w, http.StatusForbidden, detail, description)
	}
	object, err := detail.Canonical()
	if err != nil {
		return fmt.Errorf("challenge: %w", err)
	}
	digest, err := detail.Digest()
	if err != nil {
		return fmt.Errorf("challenge: %w", err)
	}
	text, err := json.Marshal(struct {
		Details   []jsontext.Value `json:"authorization_details"`
		Reference string           `json:"authorization_reference"`
	}{[]jsontext.Value{object}, digest})
	if err != nil {
		return fmt.Errorf("challenge: %w", err)
	}
	refusal := refusalBody{Error: RemediationCode, Description: peer.Clean(description, MaxDescription)}
	return answer(w, http.StatusUnauthorized, refusal, ParamRemediation, base64.RawURLEncoding.EncodeToString(text))
}
