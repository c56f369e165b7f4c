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
	"github.com/jitagent/jitagent/rar"
)

// Write answers a call with the demand for detail, in all carriers that clients
// read: [Header] with one object in padded standard base64, WWW-Authenticate, and
// a JSON body with the hint. Status is 401 or 403. Description is for people and
// may be ""; it is cleaned and cut as [Challenge] says, and goes into
// WWW-Authenticate only when it needs no escape there (RFC 6750, section 3).
// [rar.Scopes] are demanded as the RFC has it, by [ScopeCode] in WWW-Authenticate.
//
// Write must be called before anything is written to w. With an invalid detail,
// one that does not fit into [MaxHeader], or another status it writes nothing and
// returns an error: the caller then answers with an ordinary error.
func Write(w http.ResponseWriter, status int, detail rar.Detail, description string) error {
	if status != http.StatusUnauthorized && status != http.StatusForbidden {
		return fmt.Errorf("challenge: status %d carries no demand", status)
	}
	object, err := detail.Canonical()
	if err != nil {
		return fmt.Errorf("challenge: %w", err)
	}
	if detail.IsScopes() {
		if len(detail.Actions) == 0 {
			return errors.New("challenge: no scope to demand")
		}
		refusal := refusalBody{Error: ScopeCode, Description: peer.Clean(description, MaxDescription)}
		return answer(w, status, refusal, paramScope, strings.Join(detail.Actions, " "))
	}
	text := base64.StdEncoding.EncodeToString(object)
	if len(text) > MaxHeader {
		return tooLong(len(text))
	}
	w.Header().Set(Header, text)
	return answer(w, status, refusalBody{ErrorCode, peer.Clean(description, MaxDescription), object}, "", "")
}

func tooLong(n int) error {
	return fmt.Errorf("challenge: the detail needs a header of %d bytes, over the limit of %d", n, MaxHeader)
}

// A refusalBody is the body of a refusal, and what WWW-Authenticate says too.
type refusalBody struct {
	Error       string         `json:"error"`
	Description string         `json:"error_description,omitzero"`
	Hint        jsontext.Value `json:"authorization_details_hint,omitzero"`
}

// answer writes a refusal. WWW-Authenticate has what it says and the parameter, if any.
func answer(w http.ResponseWriter, status int, refusal refusalBody, parameter, value string) error {
	authenticate := authenticateValue(refusal)
	if parameter != "" {
		authenticate += ", " + parameter + `="` + value + `"`
	}
	if len(authenticate) > MaxHeader {
		return tooLong(len(authenticate))
	}
	body, err := json.Marshal(refusal)
	if err != nil {
		return fmt.Errorf("challenge: %w", err)
	}
	h := w.Header()
	h.Del("Content-Encoding")
	h.Del("Content-Length")
	h.Set(fieldAuthenticate, authenticate)
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if _, err := w.Write(append(body, '\n')); err != nil {
		return fmt.Errorf("challenge: %w", err)
	}
	return nil
}

func authenticateValue(refusal refusalBody) string {
	value := Scheme + " " + MemberError + `="` + refusal.Error + `"`
	if d := refusal.Description; d != "" && strings.IndexFunc(d, needsEscape) < 0 {
		value += ", " + MemberDescription + `="` + d + `"`
	}
	return value
}

// needsEscape reports a character that RFC 6750, section 3, keeps out of
// error_description.
func needsEscape(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }
