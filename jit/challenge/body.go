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
)

// refusal is a JSON body as far as it matters here.
type refusal struct {
	code        jsontext.Value // nil when there is no error member
	hint        jsontext.Value // nil when there is no hint
	details     jsontext.Value // as the predecessors have them; nil when there are none
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
		return nil, malformed(SourceHeader, fieldAuthenticate, auth.err)
	}
	if err != nil {
		// Whatever the body is: without a demand it is an ordinary refusal.
		if !auth.demands && (len(body) > MaxBody || !mentions(string(body), ErrorCode)) {
			return nil, ErrNone
		}
		return nil, malformed(SourceBody, "the demand cannot be read", err)
	}
	switch {
	case !auth.demands && !b.demands():
		return nil, ErrNone
	case !auth.demands && auth.foreign != "":
		return nil, malformedBody("a demand beside a WWW-Authenticate with another error")
	case !b.demands() && b.code != nil:
		return nil, malformedBody("its error is not that of WWW-Authenticate")
	case b.hint != nil && b.details != nil:
		return nil, malformedBody(MemberHint + " beside " + MemberDetails)
	case b.details != nil && !noStore(h):
		return nil, malformedBody(MemberDetails + " without Cache-Control: no-store, so it may be about another request")
	case b.hint == nil && b.details == nil:
		return nil, malformedBody("no " + MemberHint)
	}
	member, value := MemberHint, b.hint
	if b.details != nil {
		member, value = MemberDetails, b.details
	}
	details, err := readDetails(value)
	if err != nil {
		return nil, malformed(SourceBody, member, err)
	}
	description := auth.description
	if description == "" {
		description = b.description
	}
	return &Challenge{Details: details, Error: ErrorCode, Description: description, Source: SourceBody}, nil
}

func malformedBody(reason string) error {
	return malformed(SourceBody, reason, nil)
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
	if err := checkCase(members, MemberError, MemberDescription, MemberHint, MemberDetails); err != nil {
		return refusal{}, err
	}
	r := refusal{code: members[MemberError], hint: members[MemberHint], details: members[MemberDetails]}
	var description string
	if strictjson.Unmarshal(members[MemberDescription], &description) == nil {
		r.description = peer.Clean(description, MaxDescription)
	}
	return r, nil
}

// checkCase refuses a member that differs from a known name in case only: others may
// take it for that.
func checkCase(members map[string]jsontext.Value, names ...string) error {
	for name := range members {
		for _, known := range names {
			if name != known && strings.EqualFold(name, known) {
				return fmt.Errorf("a member differs from %s in case only", known)
			}
		}
	}
	return nil
}

// noStore reports whether Cache-Control forbids to store the response, so that it is
// about this very request.
func noStore(h http.Header) bool {
	for _, line := range fieldLines(h, "Cache-Control") {
		for directive := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.Trim(directive, " \t"), "no-store") {
				return true
			}
		}
	}
	return false
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
