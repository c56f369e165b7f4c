package journal

import (
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
)

// A Head names an entry by number and hash. Kept outside the state directory it
// shows, later, that the chain up to there is still the same. The zero Head stands
// before the first entry.
type Head struct {
	Seq  int64
	Hash [32]byte
}

// String returns "SEQ:HASH", for [ParseHead].
func (h Head) String() string {
	return strconv.FormatInt(h.Seq, 10) + ":" + hex.EncodeToString(h.Hash[:])
}

// MarshalText returns the form of [Head.String].
func (h Head) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads the form of [Head.String].
func (h *Head) UnmarshalText(text []byte) error {
	parsed, err := ParseHead(string(text))
	if err == nil {
		*h = parsed
	}
	return err
}

// ParseHead reads the form of [Head.String], and no other spelling of it.
func ParseHead(s string) (Head, error) {
	seq, digits, _ := strings.Cut(s, ":")
	var h Head
	n, err := strconv.ParseInt(seq, 10, 64)
	hash, herr := hex.DecodeString(digits)
	if err != nil || herr != nil || n < 0 || len(hash) != len(h.Hash) {
		return Head{}, errors.New("journal: not a head, which reads NUMBER:HASH")
	}
	h.Seq, h.Hash = n, [32]byte(hash)
	if h.String() != s {
		return Head{}, errors.New("journal: not a head in its usual spelling")
	}
	return h, nil
}
