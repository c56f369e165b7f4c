package openai

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
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
	shown    bool // something of it
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

// ask posts body and reads the answer, in one piece or in many: a server that does not
// stream answers in one piece, which is as good.
func (c *call) ask(path string, body any, stream bool, read reader) error {
	resp, err := c.do(c.ctx, http.MethodPost, c.endpoint(path, c.to.Model), body, stream)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	for value, err := range provider.Values(resp.Body) {
		if err != nil && c.answer.complete() && c.ctx.Err() == nil {
			break // after the end nothing is missed but the usage
		}
		if err != nil {
			return err
		}
		if string(value) == provider.Done {
			c.answer.close()
			break
		}
		d, err := read(&c.answer, value)
		if err != nil {
			return err
		}
		// An answer that came in one piece has its final response alone.
		if stream && (c.shown || !c.answer.complete()) && !c.show(d) {
			return errLeft
		}
	}
	final, err := c.answer.response(c.to)
	if err == nil && !c.yield(final, nil) {
		return errLeft
	}
	return err
}

// written is how requests are written: the library's types are made for encoding/json.
var written = json.JoinOptions(jsonv1.OmitEmptyWithLegacySemantics(true), json.Deterministic(true), jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))

// do sends a request with the key, and returns an answer that is a success.
func (a *attempt) do(ctx context.Context, method, address string, body any, stream bool) (*http.Response, error) {
	var reader io.Reader
	if body != nil {
		b, err := json.Marshal(body, written)
		if err != nil {
			return nil, provider.Unsupported("what is no JSON")
		}
		reader = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, address, reader)
	if err != nil {
		return nil, provider.ErrUnreadable // the address was checked when the model was opened
	}
	accept := "application/json"
	if stream {
		accept = "text/event-stream"
	}
	req.Header = http.Header{"Accept": {accept}}
	if body != nil {
		req.Header["Content-Type"] = []string{"application/json"}
	}
	if key := a.key.Reveal(); key != "" && a.azure {
		req.Header["Api-Key"] = []string{key}
	} else if key != "" {
		req.Header["Authorization"] = []string{"Bearer " + key}
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
	if a.version == "" {
		return a.server + "/" + path
	}
	if path == "chat/completions" {
		path = "deployments/" + deployment + "/" + path
	}
	return a.server + "/openai/" + path + "?api-version=" + url.QueryEscape(a.version)
}

// errLeft ends a call whose consumer has left. Nobody hears it.
var errLeft = errors.New("the consumer has left")

// show yields what has come since the last time.
func (c *call) show(d delta) bool {
	if d == (delta{}) {
		return true
	}
	c.shown = true
	return c.yield(&model.LLMResponse{Partial: true, Content: genai.NewContentFromParts(provider.Spoken(d.thought, d.text), genai.RoleModel)}, nil)
}
