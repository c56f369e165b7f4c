package openai

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/jitagent/jitagent/models/provider"
)

// Check implements [provider.Once].
func (a *attempt) Check(ctx context.Context) error {
	ctx, x := provider.Observe(ctx, provider.Keep{})
	c := call{attempt: a, to: a.target, ctx: ctx, exchange: x}
	if !a.azure { // Azure knows models there, not deployments
		segments := strings.Split(a.target.Model, "/")
		for i := range segments {
			segments[i] = url.PathEscape(segments[i])
		}
		err := c.get("models/"+strings.Join(segments, "/"), nil)
		e, ok := errors.AsType[*provider.Error](err)
		if !ok || !missing(e.Status) {
			return err
		}
		if e.Reason == "model_not_found" {
			c.to.Suggest(e, c.names)
			return e
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
	names, err := c.names()
	if e, ok := errors.AsType[*provider.Error](err); ok && missing(e.Status) && !c.bare {
		return provider.ErrCannotTell
	} else if err != nil {
		return err
	}
	latest := c.to.Model + ":latest" // Ollama's name for no tag
	if c.azure || len(names) < 2 || slices.Contains(names, c.to.Model) || slices.Contains(names, latest) {
		return nil
	}
	e := c.to.Fail(c.to.Status(http.StatusNotFound), nil)
	e.Status = http.StatusNotFound
	c.to.Suggest(e, func() ([]string, error) { return names, nil })
	return e
}

// names returns the models in the server's list.
func (c *call) names() (names []string, err error) {
	var list struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	err = c.get("models", &list)
	for _, entry := range list.Data {
		names = append(names, entry.ID)
	}
	return names, err
}
