package modelserver

import (
	"net/http"
	"slices"
	"time"

	"crypto/rand"

	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"
)

// gemini is the wire of Google's generateContent, as the Gemini API and Vertex AI
// speak it.
type gemini struct{}

// statuses names HTTP statuses as Google does (google.rpc.Code).
var statuses = map[int]string{
	http.StatusUnauthorized: "UNAUTHENTICATED", http.StatusForbidden: "PERMISSION_DENIED", http.StatusNotFound: "NOT_FOUND",
	http.StatusTooManyRequests: "RESOURCE_EXHAUSTED", http.StatusServiceUnavailable: "UNAVAILABLE", http.StatusGatewayTimeout: "DEADLINE_EXCEEDED",
}

func (gemini) failure(p *problem) any {
	status, known := statuses[p.status]
	switch {
	case p.reason != "" && p.reason[0] >= 'A' && p.reason[0] <= 'Z': // codes in lower case are OpenAI's
		status = p.reason
	case known:
	case p.status >= http.StatusInternalServerError:
		status = "INTERNAL"
	default:
		status = "INVALID_ARGUMENT"
	}
	return map[string]any{"error": struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
		Status  string `json:"status"`
	}{p.status, p.message, status}}
}

func (gemini) describe(name string, _ time.Time) any {
	return struct {
		Name    string   `json:"name"`
		Version string   `json:"version"`
		Display string   `json:"displayName"`
		Methods []string `json:"supportedGenerationMethods"`
	}{"models/" + name, "1", name, []string{"generateContent", "streamGenerateContent"}}
}

func (gemini) list(models []any) any { return map[string]any{"models": models} }

func (gemini) encoder(s *stream, c *call) encoder {
	return &geminiEncoder{stream: s, events: c.events, id: rand.Text()}
}

type geminiEncoder struct {
	*stream
	events bool
	id     string
}

// geminiAnswer is genai.GenerateContentResponse as far as it is served.
type geminiAnswer struct {
	Candidates     []*genai.Candidate                           `json:"candidates,omitempty"`
	PromptFeedback *genai.GenerateContentResponsePromptFeedback `json:"promptFeedback,omitempty"`
	UsageMetadata  *genai.GenerateContentResponseUsageMetadata  `json:"usageMetadata,omitempty"`
	ModelVersion   string                                       `json:"modelVersion,omitempty"`
	ResponseID     string                                       `json:"responseId"`
}

// answer says what r says, with the parts given in place of its own.
func (e *geminiEncoder) answer(r *model.LLMResponse, parts []*genai.Part) *geminiAnswer {
	out := &geminiAnswer{UsageMetadata: r.UsageMetadata, ModelVersion: r.ModelVersion, ResponseID: e.id}
	candidate := &genai.Candidate{FinishReason: r.FinishReason, FinishMessage: r.ErrorMessage, CitationMetadata: r.CitationMetadata, GroundingMetadata: r.GroundingMetadata}
	switch {
	case r.Partial:
		candidate.FinishReason = ""
	case r.FinishReason == "" && r.ErrorCode != "":
		out.PromptFeedback = &genai.GenerateContentResponsePromptFeedback{BlockReason: genai.BlockedReason(r.ErrorCode), BlockReasonMessage: r.ErrorMessage}
		return out
	case r.FinishReason == "":
		candidate.FinishReason = genai.FinishReasonStop
	}
	if len(parts) > 0 || r.ErrorCode == "" {
		candidate.Content = &genai.Content{Role: genai.RoleModel, Parts: parts}
	}
	out.Candidates = []*genai.Candidate{candidate}
	return out
}

func (e *geminiEncoder) whole(r *model.LLMResponse) error {
	return e.stream.whole(e.answer(r, parts(r.Content)))
}

func (e *geminiEncoder) delta(of *model.LLMResponse, part *genai.Part) error {
	return e.piece(e.answer(of, []*genai.Part{part}))
}

// end sends each part that is left as an event of its own. The last says why the
// answer ended.
func (e *geminiEncoder) end(r *model.LLMResponse, rest []*genai.Part) error {
	last := max(len(rest)-1, 0)
	for _, part := range rest[:last] {
		piece := *r
		piece.Partial, piece.UsageMetadata, piece.ErrorMessage = true, nil, ""
		if err := e.delta(&piece, part); err != nil {
			return err
		}
	}
	if err := e.piece(e.answer(r, slices.Clip(rest[last:]))); err != nil || e.events {
		return err
	}
	return e.send("", "]\n", nil, "")
}

// piece sends one member of the stream: an event, or an element of an array.
func (e *geminiEncoder) piece(r any) error {
	switch {
	case e.events:
		return e.event(r)
	case e.started:
		return e.send("", ",\n", r, "")
	}
	return e.send("application/json", "[", r, "")
}

// broken ends the stream as Google does: with an error that is no event.
func (e *geminiEncoder) broken(p *problem) {
	before, after := ",\n", ""
	if e.events {
		before, after = "", "\n\n"
	}
	_ = e.send("", before, gemini{}.failure(p), after)
}
