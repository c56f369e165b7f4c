package rar

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// canonicalExtra returns the RFC 8785 form of one member's value, held to the
// limits of the package.
func canonicalExtra(raw []byte) ([]byte, error) {
	if len(raw) > MaxBytes {
		return nil, fmt.Errorf("%d bytes, over the limit of %d", len(raw), MaxBytes)
	}
	dec := jsontext.NewDecoder(bytes.NewBuffer(raw))
	// An array of details and the detail itself are the two levels above. The
	// array counts where there is none, too: what stands alone fits into one.
	if err := walk(dec, 2); err != nil {
		return nil, err
	}
	// Canonicalize may work in place. It also refuses text after the value.
	value := jsontext.Value(bytes.Clone(raw))
	if err := value.Canonicalize(); err != nil {
		return nil, err
	}
	return value, nil
}

// walk reads one value that lies below depth arrays and objects, and checks it.
func walk(dec *jsontext.Decoder, depth int) error {
	tok, err := dec.ReadToken()
	if err != nil {
		return err
	}
	switch tok.Kind() {
	case '"':
		if s := tok.String(); len(s) > MaxString {
			return fmt.Errorf("a string of %d bytes, over the limit of %d", len(s), MaxString)
		}
	case '0':
		return checkNumber(tok.String())
	case '[', '{':
		if depth == MaxDepth {
			return fmt.Errorf("nested deeper than %d", MaxDepth)
		}
		if tok.Kind() == '[' {
			return walkArray(dec, depth+1)
		}
		return walkObject(dec, depth+1)
	}
	return nil
}

func walkArray(dec *jsontext.Decoder, depth int) error {
	for n := 0; dec.PeekKind() != ']'; n++ {
		if n == MaxList {
			return fmt.Errorf("an array of more than %d elements", MaxList)
		}
		if err := walk(dec, depth); err != nil {
			return err
		}
	}
	_, err := dec.ReadToken() // ']'
	return err
}

func walkObject(dec *jsontext.Decoder, depth int) error {
	names := newNameSet()
	for dec.PeekKind() != '}' {
		if len(names) == MaxMembers {
			return fmt.Errorf("an object of more than %d members", MaxMembers)
		}
		tok, err := dec.ReadToken()
		if err != nil {
			return err
		}
		if err := names.add(tok.String()); err != nil {
			return err
		}
		if err := walk(dec, depth); err != nil {
			return err
		}
	}
	_, err := dec.ReadToken() // '}'
	return err
}

// checkNumber refuses a number whose canonical form denotes another number, such
// as 9007199254740993 or 1e400 (RFC 8785, section 3.2.2.3, and RFC 7493, section
// 2.2): two readers could take it for two values.
func checkNumber(text string) error {
	lossy := errors.New("a number that a float64 does not keep")
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return lossy
	}
	was, ok := parseDecimal(text)
	if !ok {
		return lossy
	}
	if is, ok := parseDecimal(jsontext.Float(f).String()); !ok || is != was {
		return lossy
	}
	return nil
}

// A decimal is the number 0.digits x 10^exp, with neither a leading nor a
// trailing zero in digits, so equal numbers are equal decimals. It costs as much
// as the text is long, whatever the exponent. The zero decimal is 0 (and -0).
type decimal struct {
	negative bool
	digits   string
	exp      int
}

// parseDecimal reads a JSON number. It fails on an exponent of absurd size.
func parseDecimal(text string) (decimal, bool) {
	var d decimal
	text, d.negative = strings.CutPrefix(text, "-")
	mantissa, exponent := text, ""
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		mantissa, exponent = text[:i], text[i+1:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	d.digits = strings.TrimLeft(whole+fraction, "0")
	if d.digits == "" {
		return decimal{}, true
	}
	d.exp = len(d.digits) - len(fraction)
	d.digits = strings.TrimRight(d.digits, "0")
	if exponent != "" {
		e, err := strconv.ParseInt(exponent, 10, 32)
		if err != nil {
			return decimal{}, false
		}
		d.exp += int(e)
	}
	return d, true
}
