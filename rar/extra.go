package rar

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
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
	names := nameSet{}
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
	mantissa, exponent, _ := strings.Cut(strings.ToLower(text), "e")
	if zero := strings.Trim(mantissa, "-0.") == ""; zero || f == 0 {
		if zero {
			return nil
		}
		return lossy
	}
	// Neither 0 nor infinite, so the exponent is no larger than the text is long: big
	// numbers do not cost more than their digits. One of absurd length is left out.
	if len(exponent) > 8 {
		return lossy
	}
	was, ok := new(big.Rat).SetString(text)
	is, same := new(big.Rat).SetString(jsontext.Float(f).String())
	if !ok || !same || was.Cmp(is) != 0 {
		return lossy
	}
	return nil
}
