package openai

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"

	"github.com/jitagent/jitagent/secret"
)

// doer is the library's HTTP client. It adds the key, which the library is never
// given, and takes answers that come in one piece: the library reads an empty object
// in their place, and they are read once, strictly.
type doer struct {
	client *http.Client // a [provider.Client]
	key    secret.String
	azure  bool
}

type takeKey struct{}

// taking returns a context whose request leaves its answer in to.
func taking(ctx context.Context, to *[]byte) context.Context {
	return context.WithValue(ctx, takeKey{}, to)
}

// Do sends req. The request is the library's own, for the base URL alone.
func (d *doer) Do(req *http.Request) (*http.Response, error) {
	if key := d.key.Reveal(); key != "" {
		if d.azure {
			req.Header.Set("Api-Key", key)
		} else {
			req.Header.Set("Authorization", "Bearer "+key)
		}
	}
	resp, err := d.client.Do(req) //nolint:gosec // the address is what the operator configured
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		_ = resp.Body.Close()
		return nil, &failure{status: resp.StatusCode} // the library would take it for an answer
	}
	to, _ := req.Context().Value(takeKey{}).(*[]byte)
	if to == nil || resp.StatusCode >= 300 || strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		return resp, nil
	}
	streamed := req.Header.Get("Accept") == "text/event-stream"
	if streamed && !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		return resp, nil
	}
	// Its client bounds the body. What it says of its length is a hint, no more.
	const most = 1 << 20
	body := bytes.NewBuffer(make([]byte, 0, max(bytes.MinRead, min(resp.ContentLength+bytes.MinRead, most))))
	_, err = body.ReadFrom(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return nil, err
	}
	*to = body.Bytes()
	instead := "{}"
	if streamed {
		instead = ""
	}
	resp.Body = io.NopCloser(strings.NewReader(instead))
	return resp, nil
}
