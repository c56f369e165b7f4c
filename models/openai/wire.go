package openai

import (
	"errors"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/jitagent/jitagent/internal/strictjson"
)

// The library's own types for answers know reasoning_content but not reasoning,
// which vLLM, Ollama and OpenRouter send, and decode with encoding/json, which takes
// the last of two members of one name. These are read in their place.

// chatAnswer is an answer of chat completions, or one event of its stream.
type chatAnswer struct {
	ID          string         `json:"id"`
	Model       string         `json:"model"`
	Fingerprint string         `json:"system_fingerprint"`
	Choices     []chatChoice   `json:"choices"`
	Usage       *chatUsage     `json:"usage"`
	Error       jsontext.Value `json:"error"`
}

type chatChoice struct {
	Index        int           `json:"index"`
	Message      chatMessage   `json:"message"`
	Delta        chatMessage   `json:"delta"`
	FinishReason string        `json:"finish_reason"`
	Logprobs     *chatLogprobs `json:"logprobs"`
}

type chatMessage struct {
	Content          text           `json:"content"`
	Refusal          text           `json:"refusal"`
	ReasoningContent text           `json:"reasoning_content"`
	Reasoning        text           `json:"reasoning"`
	ToolCalls        []chatToolCall `json:"tool_calls"`
	FunctionCall     *chatFunction  `json:"function_call"`
}

type chatToolCall struct {
	Index    *int         `json:"index"`
	ID       string       `json:"id"`
	Function chatFunction `json:"function"`
}

type chatFunction struct {
	Name      string `json:"name"`
	Arguments text   `json:"arguments"`
}

type chatUsage struct {
	Prompt        int64 `json:"prompt_tokens"`
	Completion    int64 `json:"completion_tokens"`
	Total         int64 `json:"total_tokens"`
	PromptDetails struct {
		Cached int64 `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
	CompletionDetails struct {
		Reasoning int64 `json:"reasoning_tokens"`
	} `json:"completion_tokens_details"`
}

type chatLogprobs struct {
	Content []logprob `json:"content"`
}

type logprob struct {
	Token   string    `json:"token"`
	Logprob float64   `json:"logprob"`
	Top     []logprob `json:"top_logprobs"`
}

// text is a string, or what servers send in its place: null, an array of parts of
// which the texts count, or an object, which is kept as its JSON.
type text string

// UnmarshalJSONFrom implements [json.UnmarshalerFrom].
func (t *text) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	switch dec.PeekKind() {
	case '"':
		var s string
		err := json.UnmarshalDecode(dec, &s)
		*t = text(s)
		return err
	case '[':
		var list []struct {
			Text text `json:"text"`
		}
		err := json.UnmarshalDecode(dec, &list)
		var b strings.Builder
		for _, p := range list {
			b.WriteString(string(p.Text))
		}
		*t = text(b.String())
		return err
	case '{':
		v, err := dec.ReadValue()
		*t = text(v)
		return err
	}
	*t = ""
	return dec.SkipValue()
}

// errUnreadable is an answer that is not of the API's form. What was wrong with it
// is not told: it would quote the answer.
var errUnreadable = errors.New("unreadable answer")

// decode reads one value that the server sent.
func decode(data []byte, v any) error {
	if strictjson.Unmarshal(data, v) != nil {
		return errUnreadable
	}
	return nil
}

// A reader adds an answer, or an event of a stream, to a, and returns what of it may
// be shown at once.
type reader func(a *answer, data []byte, streamed bool) (delta, error)

// A delta is text or thought that is new in the answer.
type delta struct{ text, thought string }
