package modelserver

import (
	"net/http"
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
	return members{"error": members{"code": p.status, "message": p.message, "status": status}}
}

func (gemini) describe(name string, _ time.Time) any {
	return members{"name": "models/" + name, "version": "1", "displayName": name, "supportedGenerationMethods": []string{"generateContent", "streamGenerateContent"}}
}

func (gemini) list(models []any) any { return members{"models": models} }

func (gemini) encoder(s *stream) encoder { return &geminiEncoder{stream: s, id: rand.Text()} }

type geminiEncoder struct {
	*stream
	id   string
	rest []*genai.Part // what the last response has and no piece had
}

// answer says what r says, with the parts given in place of its own.
func (e *geminiEncoder) answer(r *model.LLMResponse, parts ...*genai.Part) members {
	out := members{"responseId": e.id}
	if e.call.model != "" {
		out["modelVersion"] = e.call.model
	}
	if r.UsageMetadata != nil {
		out["usageMetadata"] = r.UsageMetadata
	}
	candidate := &genai.Candidate{FinishReason: r.FinishReason, FinishMessage: r.ErrorMessage, CitationMetadata: r.CitationMetadata, GroundingMetadata: r.GroundingMetadata}
	switch {
	case r.Partial:
		candidate.FinishReason = ""
	case r.FinishReason == "" && r.ErrorCode != "":
		out["promptFeedback"] = &genai.GenerateContentResponsePromptFeedback{BlockReason: genai.BlockedReason(r.ErrorCode), BlockReasonMessage: r.ErrorMessage}
		return out
	case r.FinishReason == "":
		candidate.FinishReason = genai.FinishReasonStop
	}
	if len(parts) > 0 || r.ErrorCode == "" {
		candidate.Content = &genai.Content{Role: genai.RoleModel, Parts: parts}
	}
	out["candidates"] = []*genai.Candidate{candidate}
	return out
}

func (e *geminiEncoder) step(of *model.LLMResponse, s step) {
	if of.Partial {
		e.piece(e.answer(of, s.Part))
	} else {
		e.rest = append(e.rest, s.Part)
	}
}

// end sends each part that is left as an event of its own. The last says why the
// answer ended.
func (e *geminiEncoder) end(r *model.LLMResponse) {
	if !e.call.stream {
		e.whole(e.answer(r, e.rest...))
		return
	}
	last := max(len(e.rest)-1, 0)
	for _, part := range e.rest[:last] {
		piece := *r
		piece.Partial, piece.UsageMetadata, piece.ErrorMessage = true, nil, ""
		e.piece(e.answer(&piece, part))
	}
	if e.piece(e.answer(r, e.rest[last:]...)); !e.call.events {
		e.send("", "]\n", nil, "")
	}
}

// piece sends one member of the stream: an event, or an element of an array.
func (e *geminiEncoder) piece(r any) {
	switch {
	case e.call.events:
		e.event("", r)
	case e.started:
		e.send("", ",\n", r, "")
	default:
		e.send("application/json", "[", r, "")
	}
}

// broken ends the stream as Google does: with an error that is no event.
func (e *geminiEncoder) broken(p *problem) {
	before, after := ",\n", ""
	if e.call.events {
		before, after = "", "\n\n"
	}
	e.send("", before, gemini{}.failure(p), after)
}
