package modeltest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/jitagent/jitagent/dev/modelserver"
)

// A Fault is something that goes wrong with one request. It stands in front of the
// server, and may call it or not.
type Fault func(server http.Handler) http.Handler

// Status answers with an error in the shape of the provider that the request is
// for. reason is OpenAI's code or Google's status, such as context_length_exceeded;
// empty means the usual one. header is sent as well and may be nil. The message
// quotes the request's credentials, as some providers do: a client that repeats it leaks them.
func Status(status int, reason string, header http.Header) Fault {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for name, values := range header {
				w.Header()[name] = values
			}
			modelserver.WriteError(w, r, status, reason, "refused for "+r.Header.Get("Authorization")+r.Header.Get("X-Goog-Api-Key"))
		})
	}
}

// Answer answers with this status, content type and body, whatever was asked.
func Answer(status int, contentType, body string) Fault {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		})
	}
}

// Cut closes the connection after so many events of a stream: after 0, before the
// header. An answer that is no stream is one event.
func Cut(events int) Fault {
	return func(server http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if events <= 0 {
				panic(http.ErrAbortHandler)
			}
			server.ServeHTTP(&writer{ResponseWriter: w, cutAfter: events}, r)
			panic(http.ErrAbortHandler) // a stream that was shorter ends here
		})
	}
}

// CutBytes closes the connection after so many bytes of the body.
func CutBytes(n int) Fault {
	return func(server http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			server.ServeHTTP(&writer{ResponseWriter: w, cutBytes: n + 1}, r)
			panic(http.ErrAbortHandler)
		})
	}
}

// Split sends the body in pieces of n bytes, each in an HTTP chunk of its own.
func Split(n int) Fault {
	return func(server http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			server.ServeHTTP(&writer{ResponseWriter: w, split: max(n, 1)}, r)
		})
	}
}

// Escape is Split, and writes each character beyond ASCII as JSON's \u escapes: what
// is beyond the basic plane as a pair of surrogates, which Split may part.
func Escape(n int) Fault {
	return func(server http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			server.ServeHTTP(&writer{ResponseWriter: w, split: max(n, 1), escape: true}, r)
		})
	}
}

// Stall answers nothing until the client hangs up.
func Stall() Fault {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		})
	}
}

// Delay waits before the request is served, or until the client hangs up.
func Delay(d time.Duration) Fault {
	return func(server http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			timer := time.NewTimer(d)
			defer timer.Stop()
			select {
			case <-timer.C:
				server.ServeHTTP(w, r)
			case <-r.Context().Done():
				panic(http.ErrAbortHandler)
			}
		})
	}
}

// writer does to a body what a bad network does.
type writer struct {
	http.ResponseWriter
	cutAfter int // events; 0 for no end
	cutBytes int // bytes, plus one; 0 for no end
	split    int // bytes; 0 for as they come
	escape   bool
	seen     *[]string // what was written, if somebody wants to know
	events   int
	bytes    int
}

// watch keeps each event that the server writes.
func watch(seen *[]string) Fault {
	return func(server http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			server.ServeHTTP(&writer{ResponseWriter: w, seen: seen}, r)
		})
	}
}

// escaped writes p, in which only strings hold more than ASCII, with escapes.
func escaped(p []byte) []byte {
	var out []byte
	for _, r := range string(p) {
		switch {
		case r < utf8.RuneSelf:
			out = utf8.AppendRune(out, r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}

// Write implements [io.Writer]. The server writes each event at once.
func (w *writer) Write(p []byte) (int, error) {
	if w.seen != nil {
		*w.seen = append(*w.seen, string(p))
	}
	if whole := len(p); w.escape {
		_, err := w.pieces(escaped(p))
		return whole, err
	}
	return w.pieces(p)
}

func (w *writer) pieces(p []byte) (int, error) {
	if w.cutBytes > 0 && w.bytes+len(p) >= w.cutBytes {
		_, _ = w.ResponseWriter.Write(p[:w.cutBytes-1-w.bytes])
		w.flush()
		panic(http.ErrAbortHandler)
	}
	written := 0
	for w.split > 0 && len(p)-written > w.split {
		n, err := w.ResponseWriter.Write(p[written : written+w.split])
		if written += n; err != nil {
			return written, err
		}
		w.flush()
	}
	n, err := w.ResponseWriter.Write(p[written:])
	written += n
	w.bytes += written
	if w.events++; w.events == w.cutAfter && err == nil {
		w.flush()
		panic(http.ErrAbortHandler)
	}
	return written, err
}

// FlushError lets [http.ResponseController] through.
func (w *writer) FlushError() error {
	err := http.NewResponseController(w.ResponseWriter).Flush()
	if errors.Is(err, http.ErrNotSupported) {
		return nil
	}
	return err
}

func (w *writer) flush() { _ = w.FlushError() }
