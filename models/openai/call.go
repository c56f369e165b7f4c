package openai

import (
	"context"
	"errors"

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
	taken    []byte // an answer that came in one piece
	answer   answer
	yield    func(*model.LLMResponse, error) bool
}

// run asks, and yields the answer. The error it returns is not yielded yet; a
// consumer that has left is no error.
func (c *call) run(contents []*genai.Content, stream bool) error {
	c.ctx = taking(c.ctx, &c.taken)
	q, err := c.query(contents)
	if err != nil {
		return c.explain(err)
	}
	ask := c.chat
	switch responses := c.family.byResponses(c.settings.API, len(q.tools) > 0, q.effort); {
	case responses && stream:
		ask = c.responsesStream
	case responses:
		ask = c.responses
	case stream:
		ask = c.chatStream
	}
	if err := ask(q); err != nil && !errors.Is(err, errLeft) {
		return err
	}
	return nil
}
