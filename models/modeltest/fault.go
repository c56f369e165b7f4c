package modeltest

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
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
	return through(func(all []string) ([]string, bool) { return all[:min(events, len(all))], false })
}

// cutBytes closes the connection after so many bytes of the body.
func cutBytes(n int) Fault {
	return through(func(all []string) ([]string, bool) {
		body := strings.Join(all, "")
		return []string{body[:min(n, len(body))]}, false
	})
}

// split sends the body in pieces of n bytes, each in an HTTP chunk of its own.
func split(n int) Fault {
	return through(func(all []string) ([]string, bool) { return chunks(strings.Join(all, ""), n), true })
}

// escape is split, and writes each character beyond ASCII as JSON's \u escapes: what
// is beyond the basic plane as a pair of surrogates, which split may part.
func escape(n int) Fault {
	return through(func(all []string) ([]string, bool) {
		var body []byte
		for _, r := range strings.Join(all, "") {
			if r < utf8.RuneSelf {
				body = utf8.AppendRune(body, r)
				continue
			}
			for _, unit := range utf16.Encode([]rune{r}) {
				body = fmt.Appendf(body, `\u%04x`, unit)
			}
		}
		return chunks(string(body), n), true
	})
}

// watch keeps each event that the server writes.
func watch(seen *[]string) Fault {
	return through(func(all []string) ([]string, bool) { *seen = all; return all, true })
}

func chunks(s string, n int) (out []string) {
	for piece := range slices.Chunk([]byte(s), n) {
		out = append(out, string(piece))
	}
	return out
}

// A recording is an answer as the server wrote it, event by event.
type recording struct {
	http.ResponseWriter
	events []string
}

// Write implements [io.Writer]. The server writes each event at once.
func (r *recording) Write(p []byte) (int, error) {
	r.events = append(r.events, string(p))
	return len(p), nil
}

// FlushError lets [http.ResponseController] through.
func (*recording) FlushError() error { return nil }

// through is a fault of the way back: it sends what change makes of the whole answer,
// and closes the connection after it unless that is whole.
func through(change func(events []string) (sent []string, whole bool)) Fault {
	return func(server http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			kept := &recording{ResponseWriter: w}
			server.ServeHTTP(kept, r)
			events, whole := change(kept.events)
			for _, e := range events {
				_, _ = io.WriteString(w, e) // the client is gone: nobody to tell
				_ = http.NewResponseController(w).Flush()
			}
			if !whole {
				panic(http.ErrAbortHandler)
			}
		})
	}
}
