package models

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"

	"github.com/jitagent/jitagent/internal/strictjson"
)

// maxBody bounds one answer of a provider, after decompression.
const maxBody = 16 << 20

var errBodyTooLarge = errors.New("body over the size limit")

// baseURL returns where requests go.
func baseURL(p Provider, override string) (*url.URL, error) {
	if override == "" {
		return &url.URL{Scheme: "https", Host: p.Host, Path: "/"}, nil
	}
	u, err := url.Parse(override)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		// Not repeated: it may hold a password.
		return nil, fmt.Errorf("models: malformed base URL for %s: use one such as https://host/path", p.Name)
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		return u, nil
	}
	return nil, fmt.Errorf("models: base URL for %s must be https, or http on loopback: the API key is sent there", p.Name)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// boundedClient copies c so that it follows no redirect and caps bodies.
func boundedClient(c *http.Client) *http.Client {
	var out http.Client
	if c != nil {
		out = *c
	}
	if out.Transport == nil {
		out.Transport = http.DefaultTransport
	}
	out.Transport = &boundedTransport{out.Transport}
	out.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &out
}

// boundedTransport caps bodies and lets the call's feedback see their beginning.
type boundedTransport struct{ base http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (t *boundedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	watcher, _ := req.Context().Value(feedbackKey{}).(*feedback)
	resp.Body = &boundedBody{ReadCloser: resp.Body, left: maxBody, feedback: watcher}
	return resp, nil
}

type boundedBody struct {
	io.ReadCloser
	left     int64
	feedback *feedback
}

func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, errBodyTooLarge
	}
	b.feedback.write(p[:n])
	return n, err
}

type feedbackKey struct{}

// feedback keeps the beginning of a unary answer. ADK's adapter reports an answer
// without candidates as empty and drops promptFeedback, which says why.
type feedback struct {
	mu   sync.Mutex
	head bytes.Buffer
}

func watchFeedback(ctx context.Context) (context.Context, *feedback) {
	f := &feedback{}
	return context.WithValue(ctx, feedbackKey{}, f), f
}

func (f *feedback) write(p []byte) {
	if f == nil {
		return
	}
	const most = 4 << 10 // a blocked answer is a few hundred bytes
	f.mu.Lock()
	defer f.mu.Unlock()
	if room := most - f.head.Len(); room > 0 {
		f.head.Write(p[:min(room, len(p))])
	}
}

// blocked returns why the provider blocked the prompt, and "" when it did not.
func (f *feedback) blocked() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var answer struct {
		Candidates     []any `json:"candidates"`
		PromptFeedback struct {
			BlockReason string `json:"blockReason"`
		} `json:"promptFeedback"`
	}
	if strictjson.Unmarshal(f.head.Bytes(), &answer) != nil || len(answer.Candidates) > 0 {
		return ""
	}
	return answer.PromptFeedback.BlockReason
}
