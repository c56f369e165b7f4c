package modelserver

import (
	"crypto/rand"
	"net/http"
	"slices"
	"time"

	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"
)

// gemini is the wire of Google's generateContent, as the Gemini API and Vertex AI
// speak it.
type gemini struct{}

// googleStatus names an HTTP status as Google does (google.rpc.Code).
func googleStatus(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "UNAUTHENTICATED"
	case http.StatusForbidden:
		return "PERMISSION_DENIED"
	case http.StatusNotFound:
		return "NOT_FOUND"
	case http.StatusTooManyRequests:
		return "RESOURCE_EXHAUSTED"
	case http.StatusServiceUnavailable:
		return "UNAVAILABLE"
	case http.StatusGatewayTimeout:
		return "DEADLINE_EXCEEDED"
	}
	if status >= http.StatusInternalServerError {
		return "INTERNAL"
	}
	return "INVALID_ARGUMENT"
}

type geminiError struct {
	Error struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
		Status  string `json:"status"`
	} `json:"error"`
}

func newGeminiError(p *problem) (e geminiError) {
	e.Error.Code, e.Error.Message, e.Error.Status = p.status, p.message, googleStatus(p.status)
	// Codes in lower case are OpenAI's.
	if p.reason != "" && p.reason[0] >= 'A' && p.reason[0] <= 'Z' {
		e.Error.Status = p.reason
	}
	return e
}

func (gemini) fail(w http.ResponseWriter, p *problem) {
	text, err := encode(newGeminiError(p))
	if err != nil {
		text = nil
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(p.status)
	_, _ = w.Write(append(text, '\n'))
}

type geminiModel struct {
	Name        string   `json:"name"`
	Version     string   `json:"version"`
	DisplayName string   `json:"displayName"`
	Methods     []string `json:"supportedGenerationMethods"`
}

func (gemini) describe(name string, _ time.Time) any {
	return geminiModel{Name: "models/" + name, Version: "1", DisplayName: name, Methods: []string{"generateContent", "streamGenerateContent"}}
}

func (g gemini) list(names []string, since time.Time) any {
	list := make([]any, 0, len(names))
	for _, name := range names {
		list = append(list, g.describe(name, since))
	}
	return map[string]any{"models": list}
}

func (gemini) encoder(_ *Server, w http.ResponseWriter, r *http.Request, _ *call) encoder {
	return &geminiEncoder{stream: stream{w: w}, sse: r.URL.Query().Get("alt") == "sse", id: rand.Text()}
}

type geminiEncoder struct {
	stream
	sse bool
	id  string
}

func (e *geminiEncoder) fail(p *problem) { gemini{}.fail(e.w, p) }

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
	text, err := encode(e.answer(r, parts(r.Content)))
	if err != nil {
		return err
	}
	return e.send("application/json", string(text)+"\n")
}

func (e *geminiEncoder) delta(of *model.LLMResponse, part *genai.Part) error {
	return e.event(e.answer(of, []*genai.Part{part}))
}

// end sends each part that is left as an event of its own. The last says why the
// answer ended.
func (e *geminiEncoder) end(r *model.LLMResponse, rest []*genai.Part) error {
	last := max(len(rest)-1, 0)
	for _, part := range rest[:last] {
		piece := *r
		piece.Partial, piece.UsageMetadata, piece.ErrorMessage = true, nil, ""
		if err := e.event(e.answer(&piece, []*genai.Part{part})); err != nil {
			return err
		}
	}
	if err := e.event(e.answer(r, slices.Clip(rest[last:]))); err != nil || e.sse {
		return err
	}
	return e.send("", "]\n")
}

// event sends one member of the stream: an event, or an element of an array.
func (e *geminiEncoder) event(r *geminiAnswer) error {
	text, err := encode(r)
	switch {
	case err != nil:
		return err
	case e.sse:
		return e.send("text/event-stream", "data: "+string(text)+"\n\n")
	case e.started:
		return e.send("", ",\n"+string(text))
	}
	return e.send("application/json", "["+string(text))
}

// broken ends the stream as Google does: with an error that is no event.
func (e *geminiEncoder) broken() {
	text, err := encode(newGeminiError(&problem{status: http.StatusInternalServerError, message: "the model failed"}))
	if err != nil {
		return
	}
	if e.sse {
		_ = e.send("", string(text)+"\n\n")
		return
	}
	_ = e.send("", ",\n"+string(text))
}
