package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/jitagent/jitagent/dpop"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jitmw"
	"github.com/jitagent/jitagent/policy"
)

// A caller is the HTTP API that one tool looks like to package jit: POST with the
// arguments is a call, and the server's answers, refusals among them, are its answers. So
// what jit promises of effects and authority holds for a program as for a server, and
// for a call of which JSON-RPC would make another request each time.
type caller struct {
	server  *server
	tool    string
	trusted bool // with what jit sends to the server: the policy has ceilings for the tool
}

var _ http.RoundTripper = (*caller)(nil)

// A sending is one call on its way through the SDK, which hands on its context.
type sending struct {
	credentials http.Header // for the server's eyes
	id          json.RawMessage
	resumed     atomic.Int32   // times that its stream was asked for again
	sent        bool           // something of it may have left
	refused     *http.Response // what HTTP answered in the place of JSON-RPC; nil when nothing did
	heard       http.Header    // of what HTTP answered
	lost        error          // why there is no answer, which the SDK takes for a request that did not arrive
}

type sendingKey struct{}

// RoundTrip makes the call. An error is an answer that was lost.
func (c *caller) RoundTrip(req *http.Request) (*http.Response, error) {
	args, err := io.ReadAll(req.Body)
	_ = req.Body.Close()
	if err != nil {
		return nil, err
	}
	out, _ := req.Context().Value(outcomeKey{}).(*outcome)
	*out = outcome{} // whatever an earlier attempt came to
	s := &sending{credentials: http.Header{}}
	for _, name := range []string{"Authorization", dpop.Header} {
		if value := req.Header.Get(name); value != "" && c.trusted {
			s.credentials.Set(name, value)
		}
	}
	session, result, err := c.call(req.Context(), s, args)
	// Of a session that is over, here or at the server, nothing was sent or done. That the
	// SDK calls a connection closed says little: it is how it reads codes of the server's, too.
	if errors.Is(err, sdk.ErrConnectionClosed) && !s.sent || s.refused != nil && s.refused.StatusCode == http.StatusNotFound && session.ID() != "" {
		c.server.drop(session)
		s.refused = nil
		session, result, err = c.call(req.Context(), s, args)
	}
	if session == nil {
		out.failure = &jitmw.Failure{Message: "the MCP server " + c.server.Name + " cannot be reached", Advice: "Say so in your answer.", Err: err}
		return nil, &net.OpError{Op: "dial", Net: "mcp", Err: err} // so that it is known: nothing was sent
	}
	said, _ := errors.AsType[*jsonrpc.Error](err)
	switch {
	case s.lost != nil:
		return nil, s.lost
	case s.refused != nil:
		return s.refused, nil
	case said != nil && said.Code == jsonrpc.CodeInternalError: // nobody knows after what
		return answer(req, http.StatusInternalServerError, nil, s.heard), nil
	case said != nil:
		out.failure = failed(map[string]any{"text": said.Message})
	case err != nil:
		return nil, err
	case result.InputRequests != nil:
		out.failure = &jitmw.Failure{Message: "the tool asks for something else first, which is not answered", Advice: "Say so in your answer."}
	case result.IsError:
		out.failure = failed(resultOf(result))
	}
	if out.failure != nil {
		return answer(req, http.StatusUnprocessableEntity, nil, s.heard), nil
	}
	body, err := json.Marshal(resultOf(result))
	return answer(req, http.StatusOK, body, s.heard), err
}

// call makes the call. Without a session nothing was sent.
func (c *caller) call(ctx context.Context, s *sending, args json.RawMessage) (*sdk.ClientSession, *sdk.CallToolResult, error) {
	session, err := c.server.connected(ctx)
	if err != nil {
		return nil, nil, err
	}
	result, err := session.CallTool(context.WithValue(ctx, sendingKey{}, s), &sdk.CallToolParams{Name: c.tool, Arguments: args})
	if has := session.InitializeResult().Capabilities; has != nil && has.Tools != nil && has.Tools.ListChanged {
		c.server.dirty.Store(true) // the server's word of it may come later than the model's next call
	}
	return session, result, err
}

// answer is one of a body, with what package jit reads of the headers that were heard.
func answer(req *http.Request, status int, body []byte, heard http.Header) *http.Response {
	header := http.Header{"Content-Type": {"application/json"}}
	for _, name := range []string{"Date", http.CanonicalHeaderKey(dpop.HeaderNonce)} {
		if values := heard[name]; values != nil {
			header[name] = values
		}
	}
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), Request: req,
	}
}

// A link carries the SDK's requests to an HTTP server.
type link struct {
	base http.RoundTripper // without package jit
	jit  *jit.Transport
	of   *server
	why  atomic.Pointer[error] // what went wrong last
}

var _ http.RoundTripper = (*link)(nil)

func (l *link) RoundTrip(req *http.Request) (*http.Response, error) {
	s, ok := req.Context().Value(sendingKey{}).(*sending)
	if !ok {
		return l.ask(req)
	}
	var id json.RawMessage
	switch req.Method {
	case http.MethodPost:
		if id = idOf(req); id != nil {
			s.sent, s.id = true, id
		}
	case http.MethodGet:
		if s.resumed.Add(1) > maxResumed { // the SDK bounds only those without another event
			text := `data: {"jsonrpc":"2.0","id":` + string(s.id) + `,"error":{"code":-32603,"message":"no end"}}` + "\n\n"
			ended := answer(req, http.StatusOK, []byte(text), nil)
			ended.Header.Set("Content-Type", "text/event-stream")
			return ended, nil
		}
	}
	req = req.Clone(req.Context())
	for name, values := range s.credentials {
		req.Header[name] = values
	}
	resp, err := l.base.RoundTrip(req)
	if err == nil && id != nil {
		s.heard = resp.Header
	}
	switch {
	case err != nil && id != nil:
		s.lost = err
		return nil, err
	case err != nil || resp.StatusCode/100 == 2 || id == nil:
		return bounded(resp), err
	case resp.StatusCode/100 == 3: // a proxy that wants a login, say: nobody knows how far the call came
		_ = resp.Body.Close()
		s.lost = &jitmw.Failure{Message: fmt.Sprintf("the MCP server answered %d, a redirect, which is no answer to a call", resp.StatusCode), Advice: "Say so in your answer."}
		return nil, s.lost
	}
	// The SDK would take the connection for broken. What HTTP answered is for package jit.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if resp.StatusCode == http.StatusBadRequest && isError(body, id) { // it is an answer, as one with 200 would be
		return answer(req, http.StatusOK, body, nil), nil
	}
	s.refused = resp
	text := `{"jsonrpc":"2.0","id":` + string(id) + `,"error":{"code":-32000,"message":"refused"}}`
	return answer(req, http.StatusOK, []byte(text), nil), nil
}

// ask makes a request about the session, under the server's own ceiling.
func (l *link) ask(req *http.Request) (resp *http.Response, err error) {
	if l.of.scope != nil {
		ctx, cancel := context.WithCancel(l.of.scope)
		context.AfterFunc(req.Context(), cancel)
		if timer, ok := req.Context().Value(silenceKey{}).(*time.Timer); ok {
			timer.Stop() // of the login of the agent itself, its authority has the bounds
			defer timer.Reset(patience)
			ctx = context.WithValue(ctx, silenceKey{}, timer)
		}
		resp, err = l.jit.RoundTrip(req.WithContext(ctx))
	} else if resp, err = l.base.RoundTrip(req); err == nil && (resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden) {
		_ = resp.Body.Close()
		resp, err = nil, l.of.unauthorized()
	}
	if err != nil {
		l.why.Store(&err)
	}
	return bounded(resp), err
}

// heard makes the round trips about the session, and has the server's silence measured
// while it is its turn to speak.
type heard struct{ base http.RoundTripper }

func (h heard) RoundTrip(req *http.Request) (*http.Response, error) {
	timer, ok := req.Context().Value(silenceKey{}).(*time.Timer)
	if ok && req.Method == http.MethodPost {
		timer.Reset(patience)
	}
	resp, err := h.base.RoundTrip(req)
	if ok && err == nil && (resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden) {
		timer.Stop() // until more is sent: a person may have to decide
	}
	return resp, err
}

// unauthorized says why a server that demands authority before it says anything gets none.
func (s *server) unauthorized() error {
	name := s.Name + policy.Remote
	if len(s.ceiling(s.cfg.Policy)) > 0 {
		return fmt.Errorf("it demands authority, and there is no task to ask for it under %s", name)
	}
	return fmt.Errorf("it demands authority, and the policy file gives it none: what it may ask for stands there as %s", name)
}

// idOf returns the id of the JSON-RPC request in a body; nil for what has none.
func idOf(req *http.Request) json.RawMessage {
	body, err := req.GetBody()
	if err != nil {
		return nil
	}
	var message struct{ ID json.RawMessage }
	if json.NewDecoder(body).Decode(&message) != nil {
		return nil
	}
	return message.ID
}

// isError reports whether a body is the JSON-RPC error that answers the request with an id.
func isError(body []byte, id json.RawMessage) bool {
	var message struct{ ID, Error json.RawMessage }
	return json.Unmarshal(body, &message) == nil && bytes.Equal(message.ID, id) && message.Error != nil
}

// bounded caps a body that is one JSON text. Streams have bounds for each event.
func bounded(resp *http.Response) *http.Response {
	if resp != nil && !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		resp.Body = http.MaxBytesReader(nil, resp.Body, maxMessage)
	}
	return resp
}

// transport returns how the server is spoken to, what waits for its end, and why it could
// not be spoken to, if that is known.
func (s *server) transport() (sdk.Transport, func(), func() error) {
	if s.URL == nil {
		return s.program()
	}
	l := &link{base: s.cfg.Base, of: s}
	if l.base == nil {
		l.base = &jit.Transport{} // of no origin: it passes all on
	}
	l.jit = &jit.Transport{Base: heard{l.base}, ReadOnly: true} // what a server is asked of itself is no effect
	l.jit.Origin, _ = jit.OriginOf(s.URL)                       // it was checked
	client := &http.Client{
		Transport:     l,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	l.why.Store(new(error))
	why := func() error { return *l.why.Load() }
	return &sdk.StreamableClientTransport{Endpoint: s.URL.String(), HTTPClient: client, MaxEventSize: maxMessage}, func() {}, why
}
