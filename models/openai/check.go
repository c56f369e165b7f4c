package openai

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/models/provider"
)

// Check asks the server about the model: the key is accepted, and the model is there
// as far as the server can be asked: one that has no list of models gives
// [provider.ErrCannotTell]. No document is sent.
func (m *Model) Check(ctx context.Context) error {
	a := m.once
	ctx, x := provider.Observe(ctx, provider.Keep{})
	c := call{attempt: a, to: a.target, ctx: ctx, exchange: x}
	if !a.azure { // Azure knows models there, not deployments
		segments := strings.Split(a.target.Model, "/")
		for i := range segments {
			segments[i] = url.PathEscape(segments[i])
		}
		err := c.get("models/"+strings.Join(segments, "/"), nil)
		if e, ok := errors.AsType[*provider.Error](err); !ok || !missing(e.Status) || e.Reason == "model_not_found" {
			return err
		}
	}
	return c.checkList()
}

// get asks for one of the API's lists and reads it into v, or only sees that it is there.
func (c *call) get(path string, v any) error {
	resp, err := c.do(c.ctx, http.MethodGet, c.endpoint(path, ""), nil, false)
	if err != nil {
		return c.explain(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && v != nil {
		err = decode(body, v)
	}
	if err != nil {
		return c.explain(err)
	}
	return nil
}

func missing(status int) bool {
	return status == http.StatusNotFound || status == http.StatusMethodNotAllowed
}

// checkList looks for the model in the server's list. A server with one model
// answers under any name.
func (c *call) checkList() error {
	var list struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if err := c.get("models", &list); err != nil {
		if e, ok := errors.AsType[*provider.Error](err); ok && missing(e.Status) && !c.bare {
			return provider.ErrCannotTell
		}
		return err
	}
	if c.azure || len(list.Data) < 2 {
		return nil
	}
	for _, entry := range list.Data {
		if entry.ID == c.to.Model || entry.ID == c.to.Model+":latest" { // Ollama's name for no tag
			return nil
		}
	}
	var names []string
	for _, entry := range list.Data {
		names = append(names, entry.ID)
	}
	problem := c.to.Status(http.StatusNotFound)
	if near := plain.Nearest(c.to.Model, names); near != "" {
		problem.Remedy = "did you mean " + provider.Shorten(near) + "?"
	}
	e := c.to.Fail(problem, nil)
	e.Status = http.StatusNotFound
	return e
}
