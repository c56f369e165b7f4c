package challenge

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/jitagent/jitagent/internal/peer"
	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/rar"
)

// refusal is a JSON body as far as it matters here.
type refusal struct {
	code        jsontext.Value // nil when there is no error member
	hint        jsontext.Value // nil when there is no hint
	description string
}

// demands reports whether the body's error is ours.
func (r refusal) demands() bool {
	var code string
	return r.code != nil && strictjson.Unmarshal(r.code, &code) == nil && code == ErrorCode
}

// fromBody reads the demand from the body, when there is no header that has it.
func fromBody(auth authenticate, h http.Header, body []byte) (*Challenge, error) {
	b, err := readBody(h, body)
	if auth.suspect || auth.err != nil && b.demands() {
		// It may have said something else than the body does.
		return nil, &MalformedError{Source: SourceHeader, Reason: fieldAuthenticate, cause: auth.err}
	}
	if err != nil {
		// Whatever the body is: without a demand it is an ordinary refusal.
		if !auth.demands && (len(body) > MaxBody || !mentions(string(body))) {
			return nil, ErrNone
		}
		return nil, &MalformedError{Source: SourceBody, Reason: "the demand cannot be read", cause: err}
	}
	switch {
	case !auth.demands && !b.demands():
		return nil, ErrNone
	case !auth.demands && auth.foreign != "":
		return nil, malformedBody("a demand beside a WWW-Authenticate with another error")
	case !b.demands() && b.code != nil:
		return nil, malformedBody("its error is not that of WWW-Authenticate")
	case b.hint == nil:
		return nil, malformedBody("no " + MemberHint)
	}
	details, err := rar.Parse(b.hint)
	if err != nil {
		return nil, &MalformedError{Source: SourceBody, Reason: MemberHint, cause: err}
	}
	if details, err = unique(details); err != nil {
		return nil, &MalformedError{Source: SourceBody, Reason: MemberHint, cause: err}
	}
	description := auth.description
	if description == "" {
		description = b.description
	}
	return &Challenge{Details: details, Error: ErrorCode, Description: description, Source: SourceBody}, nil
}

func malformedBody(reason string) error {
	return &MalformedError{Source: SourceBody, Reason: reason}
}

// readBody reads a JSON object. Its error says why the body is none that counts.
func readBody(h http.Header, body []byte) (refusal, error) {
	switch {
	case len(body) > MaxBody:
		return refusal{}, fmt.Errorf("the body is over the limit of %d bytes", MaxBody)
	case len(body) == 0:
		return refusal{}, errors.New("the body is empty, or was not read")
	}
	for _, coding := range fieldLines(h, "Content-Encoding") {
		if c := strings.Trim(coding, " \t"); c != "" && !strings.EqualFold(c, "identity") {
			return refusal{}, errors.New("the body is compressed")
		}
	}
	if !isJSON(fieldLines(h, "Content-Type")) {
		return refusal{}, errors.New("the body is not JSON by its Content-Type")
	}
	members, err := strictjson.Object(body)
	if err != nil {
		return refusal{}, errors.New("the body is no JSON object that can be read in one way only")
	}
	for name := range members {
		for _, known := range []string{MemberError, MemberDescription, MemberHint} {
			if name != known && strings.EqualFold(name, known) {
				return refusal{}, fmt.Errorf("a member differs from %s in case only", known)
			}
		}
	}
	r := refusal{code: members[MemberError], hint: members[MemberHint]}
	var description string
	if strictjson.Unmarshal(members[MemberDescription], &description) == nil {
		r.description = peer.Clean(description, MaxDescription)
	}
	return r, nil
}

// isJSON reports whether a Content-Type names JSON (RFC 6839 suffix included). A
// response without one is taken at its word: the text must still parse.
func isJSON(contentType []string) bool {
	switch len(contentType) {
	case 0:
		return true
	case 1:
		media, _, err := mime.ParseMediaType(contentType[0])
		return err == nil && (media == "application/json" ||
			strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json"))
	}
	return false // more than one: nobody can tell which counts
}
