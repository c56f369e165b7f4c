package lumoauth

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

// maxToken bounds an access token, in bytes. Larger ones do not fit the header
// limits of common servers.
const maxToken = 16 << 10

// A tokenResponse is a success of the token endpoint (RFC 6749, section 5.1) or
// of a request's redemption.
type tokenResponse struct {
	token     secret.String
	lifetime  time.Duration // 0 when not said
	scopes    []string
	details   []rar.Detail
	said      jsontext.Value // details as they were written
	taskID    string
	requestID string
}

// decodeToken reads a token response and refuses what cannot be used as a bearer
// token. Its errors quote nothing.
func decodeToken(a answer) (tokenResponse, error) {
	o, err := decodeObject(a.body)
	if err != nil {
		return tokenResponse{}, err
	}
	t := tokenResponse{taskID: o.text("task_id"), requestID: o.text("jit_request_id")}
	token := secret.New(o.text("access_token"))
	if err := checkToken(token); err != nil {
		return tokenResponse{}, fmt.Errorf("access_token %w", err)
	}
	switch kind := o.text("token_type"); {
	case strings.EqualFold(kind, "Bearer"):
	case strings.EqualFold(kind, "DPoP"):
		return tokenResponse{}, errors.New("the token is bound to a key (DPoP), which is not supported: register the client for bearer tokens")
	case kind == "":
		return tokenResponse{}, errors.New("token_type is missing")
	default:
		return tokenResponse{}, errors.New("token_type is not Bearer")
	}
	if t.lifetime, err = o.lifetime("expires_in"); err != nil {
		return tokenResponse{}, err
	}
	if t.details, err = o.details(); err != nil {
		return tokenResponse{}, err
	}
	t.said = o[memberDetails]
	for _, s := range o.texts("scope") {
		t.scopes = append(t.scopes, strings.Fields(s)...)
	}
	t.token = token
	return t, nil
}

// checkToken accepts what fits into an Authorization header as one word (RFC
// 6750, section 2.1; opaque tokens of other visible characters are let through).
func checkToken(token secret.String) error {
	switch v := token.Reveal(); {
	case v == "":
		return errors.New("is missing")
	case len(v) > maxToken:
		return fmt.Errorf("is larger than %d bytes", maxToken)
	case !visible(v) || strings.ContainsAny(v, `",\`):
		return errors.New("has characters that no bearer token has")
	}
	return nil
}
