package modeltest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/jitagent/jitagent/dev/modelserver"
)

// A Fault is something that goes wrong with one request. It stands in front of the
// server, and may call it or not.
type Fault func(server http.Handler) http.Handler

// answers is a fault that asks no server.
func answers(with http.HandlerFunc) Fault {
	return func(http.Handler) http.Handler { return with }
}

// Status answers with an error in the shape of the provider that the request is
// for. reason is OpenAI's code or Google's status, such as context_length_exceeded;
// empty means the usual one. header is sent as well and may be nil. The message
// quotes the request's credentials, as some providers do: a client that repeats it leaks them.
func Status(status int, reason string, header http.Header) Fault {
	return answers(func(w http.ResponseWriter, r *http.Request) {
		for name, values := range header {
			w.Header()[name] = values
		}
		modelserver.WriteError(w, r, status, reason, "refused for "+r.Header.Get("Authorization")+r.Header.Get("X-Goog-Api-Key")+r.Header.Get("X-Api-Key"))
	})
}

// Answer answers with this status, content type and body, whatever was asked.
func Answer(status int, contentType, body string) Fault {
	return answers(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

// stall answers nothing until the client hangs up.
func stall() Fault {
	return answers(func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	})
}

// Cut closes the connection after so many events of a stream: after 0, before the
// header. An answer that is no stream is one event.
func Cut(events int) Fault {
	if events <= 0 {
		return answers(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	}
	return through(writer{cutAfter: events})
}

// cutBytes closes the connection after so many bytes of the body.
func cutBytes(n int) Fault { return through(writer{cutBytes: n + 1}) }

// split sends the body in pieces of n bytes, each in an HTTP chunk of its own.
func split(n int) Fault { return through(writer{split: n}) }

// escape is split, and writes each character beyond ASCII as JSON's \u escapes: what
// is beyond the basic plane as a pair of surrogates, which split may part.
func escape(n int) Fault { return through(writer{split: n, escape: true}) }

// watch keeps each event that the server writes.
func watch(seen *[]string) Fault { return through(writer{seen: seen}) }

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

// through is a fault of the way back.
func through(how writer) Fault {
	return func(server http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			way := how
			way.ResponseWriter = w
			server.ServeHTTP(&way, r)
			if how.cutAfter > 0 || how.cutBytes > 0 {
				panic(http.ErrAbortHandler) // an answer that was shorter ends here
			}
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
	whole := len(p)
	if w.seen != nil {
		*w.seen = append(*w.seen, string(p))
	}
	if w.escape {
		p = escaped(p)
	}
	cut := w.cutBytes > 0 && w.bytes+len(p) >= w.cutBytes
	if cut {
		p = p[:w.cutBytes-1-w.bytes]
	}
	w.bytes += len(p)
	for w.split > 0 && len(p) > w.split {
		if _, err := w.ResponseWriter.Write(p[:w.split]); err != nil {
			return 0, err
		}
		w.flush()
		p = p[w.split:]
	}
	_, err := w.ResponseWriter.Write(p)
	if w.events++; cut || w.events == w.cutAfter {
		w.flush()
		panic(http.ErrAbortHandler)
	}
	return whole, err
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
