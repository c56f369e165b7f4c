package strictjson

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A decodeError stands for an error of the decoder, whose own text quotes numbers,
// whole names, and whatever a type's UnmarshalText has to say about its input.
type decodeError struct {
	text  string
	cause error
}

func (e *decodeError) Error() string { return e.text }

// Unwrap returns the decoder's error, for its fields. Its text is not safe.
func (e *decodeError) Unwrap() error { return e.cause }

// Describe says where and how a text is wrong, by the decoder's error.
func Describe(err error) string {
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		if errors.Is(syntax.Err, jsontext.ErrDuplicateName) {
			return "duplicate member " + Quote(syntax.JSONPointer.LastToken())
		}
		return fmt.Sprintf("invalid JSON at byte %d", syntax.ByteOffset)
	}
	semantic, ok := errors.AsType[*json.SemanticError](err)
	switch {
	case !ok:
		return "invalid JSON"
	case errors.Is(semantic.Err, json.ErrUnknownName):
		return "unknown member " + Quote(semantic.JSONPointer.LastToken())
	case semantic.JSONPointer == "":
		return "not the JSON value that is expected"
	}
	return "member " + Quote(string(semantic.JSONPointer)) + ": not the JSON value that is expected"
}

// Quote returns a text of a peer's for an error message: escaped, and cut after 64 bytes.
func Quote(s string) string {
	const most = 64
	if len(s) <= most {
		return strconv.QuoteToASCII(s)
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strconv.QuoteToASCII(s[:cut]) + "..."
}
