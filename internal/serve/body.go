package serve

import (
	"errors"
	"net/http"
	"os"
)

// Unread says why a body could not be read whole, by the error of who read it: with a status
// of HTTP, and in words for the client.
func Unread(err error) (status int, text string) {
	_, large := errors.AsType[*http.MaxBytesError](err)
	switch {
	case large:
		return http.StatusRequestEntityTooLarge, "the body is too large"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return http.StatusRequestTimeout, "the body did not come in time"
	}
	return http.StatusBadRequest, "the body did not come whole, or is not what is expected"
}
