package telemetry

import (
	"context"
	"iter"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"
)

// Model returns llm with its answers counted: how long they took and the tokens that the
// provider says they came to, in the metrics of the GenAI conventions. ADK itself makes the
// span of a model call.
func (t *Telemetry) Model(llm model.LLM) model.LLM {
	if t == nil {
		return llm
	}
	return counted{llm, t}
}

type counted struct {
	model.LLM
	t *Telemetry
}

// GetGoogleLLMVariant passes on what ADK asks a model, and shapes requests and spans by.
func (c counted) GetGoogleLLMVariant() genai.Backend {
	if g, ok := c.LLM.(interface{ GetGoogleLLMVariant() genai.Backend }); ok {
		return g.GetGoogleLLMVariant()
	}
	return genai.BackendUnspecified
}

func (c counted) GenerateContent(ctx context.Context, req *model.LLMRequest, stream bool) iter.Seq2[*model.LLMResponse, error] {
	return func(yield func(*model.LLMResponse, error) bool) {
		begun, failed := time.Now(), false
		var usage *genai.GenerateContentResponseUsageMetadata
		about := []attribute.KeyValue{attribute.String("gen_ai.operation.name", "generate_content"), attribute.String("gen_ai.request.model", c.Name())}
		defer func() {
			if failed {
				about = append(about, attribute.String("error.type", "_OTHER"))
			}
			ctx := context.WithoutCancel(ctx)
			c.t.counts.duration.Record(ctx, time.Since(begun).Seconds(), metric.WithAttributes(about...))
			if usage == nil {
				return
			}
			for kind, n := range map[string]int32{"input": usage.PromptTokenCount, "output": usage.CandidatesTokenCount + usage.ThoughtsTokenCount} {
				c.t.counts.tokens.Record(ctx, int64(n), metric.WithAttributes(append(about, attribute.String("gen_ai.token.type", kind))...))
			}
		}()
		for resp, err := range c.LLM.GenerateContent(ctx, req, stream) {
			failed = failed || err != nil
			if resp != nil && resp.UsageMetadata != nil {
				usage = resp.UsageMetadata // each has the sum so far
			}
			if !yield(resp, err) {
				return
			}
		}
	}
}
