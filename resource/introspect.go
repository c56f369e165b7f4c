package resource

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

// introspection is what this package reads of an introspection response (RFC
// 7662, section 2.2; RFC 9396, section 9.2).
type introspection struct {
	Active       *bool          `json:"active"`
	TokenType    string         `json:"token_type"`
	Issuer       string         `json:"iss"`
	Subject      string         `json:"sub"`
	ID           string         `json:"jti"`
	ClientID     string         `json:"client_id"`
	AgentID      string         `json:"agent_id"`
	TaskID       string         `json:"task_id"`
	Expires      unixTime       `json:"exp"`
	Confirmation jsontext.Value `json:"cnf"`
	Details      jsontext.Value `json:"authorization_details"`
}

// An introspector asks the authorization server about tokens.
type introspector struct {
	client *http.Client
	url    string
	id     string
	secret secret.String
}

// ask returns what the server says about an active token, ErrInvalidToken for an
// inactive one, and ErrUnavailable for everything else.
func (i *introspector) ask(ctx context.Context, raw string) (*introspection, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	form := url.Values{"token": {raw}, "token_type_hint": {"access_token"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, i.url, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, unavailable(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	// Both halves are form-encoded first (RFC 6749, section 2.3.1).
	req.SetBasicAuth(url.QueryEscape(i.id), url.QueryEscape(i.secret.Reveal()))
	body, err := do(i.client, req)
	if s, ok := errors.AsType[*statusError](err); ok && s.status == http.StatusUnauthorized {
		return nil, unavailable(errors.New("the introspection endpoint refuses this API's own credentials: " +
			"check ClientID and ClientSecret"))
	}
	if err != nil {
		return nil, unavailable(err)
	}
	var in introspection
	if strictjson.Unmarshal(body, &in) != nil || in.Active == nil {
		return nil, unavailable(errors.New("introspection response is not what RFC 7662 says"))
	}
	if !*in.Active {
		return nil, invalid("not active")
	}
	return &in, nil
}

// agree checks that in speaks of the token t and of an access token, and narrows
// t to what both say. Members that the server leaves out decide nothing: LumoAuth
// promises few.
func (v *Verifier) agree(t *Token, in *introspection) error {
	switch {
	case in.TokenType != "" && !strings.EqualFold(in.TokenType, "Bearer"):
		return invalid("introspection: not a bearer access token")
	case present(in.Confirmation):
		return invalid("introspection: bound to a key, not a bearer token")
	case in.Issuer != "" && in.Issuer != v.issuer:
		return invalid("introspection: wrong issuer")
	case !in.Expires.IsZero() && !v.now().Before(in.Expires.Add(v.leeway)):
		return invalid("introspection: expired")
	case !same(&t.ID, in.ID), !same(&t.Subject, in.Subject), !same(&t.ClientID, in.ClientID),
		!same(&t.AgentID, in.AgentID), !same(&t.TaskID, in.TaskID):
		return invalid("introspection speaks of another token")
	}
	if !in.Expires.IsZero() && in.Expires.Before(t.ExpiresAt) {
		t.ExpiresAt = in.Expires.Time
	}
	if len(in.Details) == 0 {
		return nil
	}
	said, err := parseDetails(in.Details)
	if err != nil {
		return unavailable(errors.New("introspection response has unreadable authorization_details"))
	}
	t.Details = confirmed(t.Details, said)
	return nil
}

// same reports whether got may stand for *have, and fills *have when the token
// itself was silent.
func same(have *string, got string) bool {
	if *have == "" {
		*have = got
	}
	return got == "" || got == *have
}

// confirmed returns the details that lie within one of said.
func confirmed(details, said []rar.Detail) []rar.Detail {
	var out []rar.Detail
	server := &Token{Details: said}
	for _, d := range details {
		if server.Covers(d) {
			out = append(out, d)
		}
	}
	return out
}
