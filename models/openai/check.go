package openai

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/jitagent/jitagent/models/provider"
)

// Check asks the server about the model: the key is accepted, and the model is there
// as far as the server can be asked. One that has no list of models counts as
// reachable. No document is sent.
func (m *Model) Check(ctx context.Context) error {
	a := m.once
	ctx, x := provider.Observe(ctx, provider.Keep{})
	c := call{attempt: a, to: a.target, ctx: ctx, exchange: x}
	if !a.azure { // Azure knows models there, not deployments
		var body []byte
		segments := strings.Split(a.target.Model, "/")
		for i := range segments {
			segments[i] = url.PathEscape(segments[i])
		}
		_, err := a.client.GetModel(taking(ctx, &body), strings.Join(segments, "/"))
		if err == nil {
			return nil
		}
		err = c.explain(err)
		if e, ok := errors.AsType[*provider.Error](err); !ok || !missing(e.Status) || e.Reason == "model_not_found" {
			return err
		}
	}
	return c.checkList()
}

func missing(status int) bool {
	return status == http.StatusNotFound || status == http.StatusMethodNotAllowed
}

// checkList looks for the model in the server's list. A server with one model
// answers under any name.
func (c *call) checkList() error {
	var body []byte
	if _, err := c.client.ListModels(taking(c.ctx, &body)); err != nil {
		err = c.explain(err)
		if e, ok := errors.AsType[*provider.Error](err); ok && missing(e.Status) {
			return nil
		}
		return err
	}
	var list struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if err := decode(body, &list); err != nil {
		return c.explain(err)
	}
	if c.azure || len(list.Data) < 2 {
		return nil
	}
	for _, entry := range list.Data {
		if entry.ID == c.to.Model || entry.ID == c.to.Model+":latest" { // Ollama's name for no tag
			return nil
		}
	}
	e := c.to.Fail(c.to.Status(http.StatusNotFound, ""), nil)
	e.Status = http.StatusNotFound
	return e
}
