package openai

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"

	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/models/provider"
)

// call is one question and what has come of it.
type call struct {
	*attempt
	to       provider.Target
	family   family
	config   *genai.GenerateContentConfig
	ctx      context.Context //nolint:containedctx // a call lives as long as its context
	exchange *provider.Exchange
	answer   answer
	yield    func(*model.LLMResponse, error) bool
}

// run asks, and yields the answer. The error it returns is not yielded yet; a
// consumer that has left is no error.
func (c *call) run(contents []*genai.Content, stream bool) error {
	q, err := c.query(contents)
	if err != nil {
		return c.explain(err)
	}
	c.answer = answer{server: c.server, known: q.declares, bound: q.config.MaxOutputTokens}
	c.answer.splitter.hold = c.startless.Load()
	path, read := "chat/completions", readChat
	var body any
	if c.family.byResponses(c.settings.API, len(q.tools) > 0, q.effort) {
		path, read = "responses", readResponses
		body, err = c.responsesRequest(q, stream)
	} else {
		body, err = c.chatRequest(q, stream)
	}
	if err == nil {
		err = c.ask(path, body, stream, read)
	}
	switch {
	case errors.Is(err, errLeft):
		return nil
	case err != nil:
		return c.explain(err)
	}
	return nil
}

// ask posts body and reads the answer, in one piece or in events: a server that does
// not stream answers in one piece, which is as good.
func (c *call) ask(path string, body any, stream bool, read reader) error {
	resp, err := c.do(c.ctx, http.MethodPost, c.endpoint(path, c.to.Model), body, stream)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if provider.Streams(resp) {
		err = c.follow(resp.Body, read)
	} else {
		err = c.whole(resp, read)
	}
	if err != nil {
		return err
	}
	if d := c.answer.say(delta{}, true); stream && d != (delta{}) && !c.yield(partial(d), nil) {
		return errLeft
	}
	final, err := c.answer.response(c.to)
	switch {
	case err != nil:
		return err
	case !c.yield(final, nil):
		return errLeft
	}
	if c.answer.splitter.hold {
		c.startless.Store(true)
	}
	return nil
}

// do sends a request with the key, and returns an answer that is a success.
func (a *attempt) do(ctx context.Context, method, address string, body any, stream bool) (*http.Response, error) {
	var reader io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, provider.Unsupported("what is no JSON")
		}
		reader = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, address, reader)
	if err != nil {
		return nil, errUnreadable // the address was checked when the model was opened
	}
	req.Header.Set("Accept", "application/json")
	if stream {
		req.Header.Set("Accept", "text/event-stream")
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if key := a.key.Reveal(); key != "" && a.azure {
		req.Header.Set("Api-Key", key)
	} else if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := a.client.Do(req) //nolint:gosec // the address is what the operator configured
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < 200 || resp.StatusCode >= 300 {
		text, _ := io.ReadAll(resp.Body) // bounded by the client; what there is of it
		_ = resp.Body.Close()
		f := readFailure(text)
		f.Status = resp.StatusCode
		return nil, f
	}
	return resp, nil
}

// endpoint returns the address of one of the API's paths.
func (a *attempt) endpoint(path, deployment string) string {
	u := a.base
	switch {
	case a.version == "":
		u = *u.JoinPath(path)
	case path == "chat/completions":
		u = *u.JoinPath("openai", "deployments", deployment, path)
		u.RawQuery = url.Values{"api-version": {a.version}}.Encode()
	default:
		u = *u.JoinPath("openai", path)
		u.RawQuery = url.Values{"api-version": {a.version}}.Encode()
	}
	return u.String()
}

// whole reads an answer that came in one piece.
func (c *call) whole(resp *http.Response, read reader) error {
	// Its client bounds the body. What it says of its length is a hint, no more.
	const most = 1 << 20
	body := bytes.NewBuffer(make([]byte, 0, max(bytes.MinRead, min(resp.ContentLength+bytes.MinRead, most))))
	if _, err := body.ReadFrom(resp.Body); err != nil {
		return err
	}
	_, err := read(&c.answer, body.Bytes(), false)
	return err
}

// follow reads a stream's events, one a line, and yields what may be shown at once.
func (c *call) follow(body io.Reader, read reader) error {
	lines := provider.Lines(body)
	for lines.Scan() {
		event := bytes.TrimSpace(bytes.TrimPrefix(lines.Bytes(), []byte("data:")))
		if len(event) == 0 {
			continue
		}
		if string(event) == "[DONE]" {
			return nil
		}
		d, err := read(&c.answer, event, true)
		if err != nil {
			return err
		}
		if d != (delta{}) && !c.yield(partial(d), nil) {
			return errLeft
		}
	}
	if err := lines.Err(); err != nil && (!c.answer.complete() || c.ctx.Err() != nil) {
		return err // after the end nothing is missed but the usage
	}
	return nil
}

// errLeft ends a call whose consumer has left. Nobody hears it.
var errLeft = errors.New("the consumer has left")

// partial shows what has come since the last one.
func partial(d delta) *model.LLMResponse {
	var parts []*genai.Part
	if d.thought != "" {
		parts = append(parts, &genai.Part{Text: d.thought, Thought: true})
	}
	if d.text != "" {
		parts = append(parts, &genai.Part{Text: d.text})
	}
	return &model.LLMResponse{Partial: true, Content: &genai.Content{Role: genai.RoleModel, Parts: parts}}
}
