package peer

import (
	"bytes"
	"io"
	"net/http"
	"time"
)

// Peek reads the beginning of a body, at most limit bytes and one, and puts it back. It
// does not wait longer than within for it: what is not there by then is lost.
func Peek(resp *http.Response, limit int64, within time.Duration) ([]byte, error) {
	if resp.Body == nil {
		return nil, nil
	}
	tooLong := time.AfterFunc(within, func() { _ = resp.Body.Close() })
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	tooLong.Stop()
	rest := io.Reader(resp.Body)
	if err != nil {
		rest = broken{err} // the caller must not take a part for the whole
	}
	resp.Body = rejoined{io.MultiReader(bytes.NewReader(body), rest), resp.Body}
	return body, err
}

// rejoined is a body whose start was read and put back.
type rejoined struct {
	io.Reader
	io.Closer
}

// broken is the rest of a body that could not be read.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

// A connection is worth reading and waiting for that much.
const (
	maxDrained = 64 << 10
	maxDrain   = 250 * time.Millisecond
)

// Drain frees the connection of a response that nobody will read, unless that
// means reading more, or longer, than a new connection costs.
func Drain(resp *http.Response) {
	enough := time.AfterFunc(maxDrain, func() { _ = resp.Body.Close() })
	_, _ = io.CopyN(io.Discard, resp.Body, maxDrained)
	enough.Stop()
	_ = resp.Body.Close()
}
