package challenge

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/jitagent/jitagent/rar"
)

// fieldLines returns all lines of a header field, whatever the case of its name
// in the map, in an order that does not depend on chance. nil means that there is
// no such field; an empty line is a line.
func fieldLines(h http.Header, name string) []string {
	var lines []string
	keys := make([]string, 0, 4) // mostly one: without an allocation
	for key := range h {
		if strings.EqualFold(key, name) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		lines = append(lines, h[key]...)
	}
	return lines
}

// checkSize refuses lines that are too long together, before anything reads them.
func checkSize(lines []string) error {
	total := 0
	for _, line := range lines {
		if total += len(line); total > MaxHeader {
			return fmt.Errorf("over the limit of %d bytes", MaxHeader)
		}
	}
	return nil
}

// fromHeader reads the demand from the lines of [Header].
func fromHeader(lines []string, auth authenticate, h http.Header, body []byte) (*Challenge, error) {
	if auth.foreign != "" && !auth.demands {
		return nil, malformed(SourceHeader, Header+" beside a WWW-Authenticate with another error", nil)
	}
	details, err := decodeLines(lines)
	if err != nil {
		return nil, malformed(SourceHeader, Header, err)
	}
	description := auth.description
	if description == "" {
		if b, err := readBody(h, body); err == nil {
			description = b.description
		}
	}
	return &Challenge{
		Details:     details,
		Error:       ErrorCode,
		Description: description,
		Source:      SourceHeader,
	}, nil
}

// decodeLines decodes all values of all lines. Empty list elements are skipped
// (RFC 9110, section 5.6.1.2), but there must be a value.
func decodeLines(lines []string) ([]rar.Detail, error) {
	if err := checkSize(lines); err != nil {
		return nil, err
	}
	var all []rar.Detail
	for _, line := range lines {
		for value := range strings.SplitSeq(line, ",") {
			value = strings.Trim(value, " \t")
			if value == "" {
				continue
			}
			text, err := decodeBase64(value)
			if err != nil {
				return nil, err
			}
			details, err := rar.Parse(text)
			if err != nil {
				return nil, err
			}
			all = append(all, details...)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("empty")
	}
	return unique(all)
}

// readDetails reads one detail or an array of them.
func readDetails(text []byte) ([]rar.Detail, error) {
	details, err := rar.Parse(text)
	if err != nil {
		return nil, err
	}
	return unique(details)
}

// unique drops details that are equal to an earlier one, and bounds the rest.
func unique(all []rar.Detail) ([]rar.Detail, error) {
	if len(all) == 1 {
		return all, nil // the usual case
	}
	seen := make(map[string]bool, len(all))
	kept := all[:0]
	for _, d := range all {
		digest, err := d.Digest()
		if err != nil {
			return nil, err
		}
		if !seen[digest] {
			seen[digest] = true
			kept = append(kept, d)
		}
	}
	if len(kept) > rar.MaxDetails {
		return nil, fmt.Errorf("%d details, over the limit of %d", len(kept), rar.MaxDetails)
	}
	return slices.Clip(kept), nil
}

// decodeBase64 accepts the standard and the URL alphabet (RFC 4648, sections 4
// and 5), with padding or without, but not both alphabets in one value, and no
// stray bits: each text has one spelling per alphabet.
func decodeBase64(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("not base64") // the decoder would skip them
	}
	enc := base64.StdEncoding
	if strings.ContainsAny(s, "-_") {
		enc = base64.URLEncoding // which refuses + and /
	}
	if !strings.HasSuffix(s, "=") {
		enc = enc.WithPadding(base64.NoPadding)
	}
	text, err := enc.Strict().DecodeString(s)
	if err != nil {
		return nil, errors.New("not base64")
	}
	return text, nil
}
