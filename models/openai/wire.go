package openai

import (
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/models/provider"
)

// Requests are written in the library's types. Answers are not read in them: those
// types know no server's state but one, take the last of two members of one name, and
// lose an answer over a count that is not a whole number.

// chatAnswer is an answer of chat completions, or one event of its stream.
type chatAnswer struct {
	ID          text           `json:"id"`
	Model       text           `json:"model"`
	Fingerprint text           `json:"system_fingerprint"`
	Choices     []chatChoice   `json:"choices"`
	Usage       lenient[usage] `json:"usage"`
	Error       jsontext.Value `json:"error"`
	// What servers say of an error in place of an answer, without the member for it.
	Object   text           `json:"object"`
	Message  jsontext.Value `json:"message"`
	Detail   jsontext.Value `json:"detail"`
	BaseResp baseResp       `json:"base_resp"`
}

// baseResp is where MiniMax says whether there is an answer.
type baseResp struct {
	Code    text `json:"status_code"`
	Message text `json:"status_msg"`
}

// miniMax are the statuses that MiniMax's codes stand for.
var miniMax = map[text]int{"1001": 504, "1002": 429, "1004": 401, "1008": 402, "1039": 429, "2013": 400, "2049": 401}

// failure returns what the server says where there is no answer, else nil.
func (a *chatAnswer) failure(data []byte) error {
	switch code := a.BaseResp.Code; {
	case code != "" && code != "0":
		return &failure{provider.Refusal{Status: miniMax[code], Code: string(code), Message: string(a.BaseResp.Message)}}
	case stated(a.Error), a.Object == "error", len(a.Choices) == 0 && a.Usage.is == (usage{}) && (stated(a.Message) || stated(a.Detail)):
		return readFailure(data)
	}
	return nil
}

type chatChoice struct {
	Index        number            `json:"index"`
	Message      chatMessage       `json:"message"`
	Delta        chatMessage       `json:"delta"`
	FinishReason text              `json:"finish_reason"`
	Logprobs     lenient[logprobs] `json:"logprobs"`
	Error        jsontext.Value    `json:"error"` // OpenRouter, of the provider behind it
}

type chatMessage struct {
	Role         text           `json:"role"`
	Content      text           `json:"content"`
	Refusal      text           `json:"refusal"`
	ToolCalls    []chatToolCall `json:"tool_calls"`
	FunctionCall *chatFunction  `json:"function_call"`
	// State is every other member.
	State members `json:",embed"` //nolint:staticcheck // an option of go-json-experiment's
}

// says reports whether there is something of an answer in the message.
func (m *chatMessage) says() bool {
	return m.Content != "" || m.Refusal != "" || len(m.ToolCalls) > 0 || m.FunctionCall != nil || m.thought() != ""
}

// thought returns what the model tells of its thoughts, under whichever name.
func (m *chatMessage) thought() string {
	for _, name := range [...]string{"reasoning_content", "reasoning", "reasoning_text"} {
		if v := m.State[name]; stated(v) {
			var t text
			if decode(v, &t) == nil && t != "" {
				return string(t)
			}
		}
	}
	return ""
}

type chatToolCall struct {
	Index    *number      `json:"index"`
	ID       text         `json:"id"`
	Function chatFunction `json:"function"`
	// State is every other member.
	State members `json:",embed"` //nolint:staticcheck // an option of go-json-experiment's
}

type chatFunction struct {
	Name      text `json:"name"`
	Arguments text `json:"arguments"`
	// State is every other member.
	State members `json:",embed"` //nolint:staticcheck // an option of go-json-experiment's
}

type logprobs struct {
	Content []logprob `json:"content"`
}

type logprob struct {
	Token   string    `json:"token"`
	Logprob float64   `json:"logprob"`
	Top     []logprob `json:"top_logprobs"`
}

// text is a string, or what servers send in its place: null, a number, an array of
// parts of which the texts count, or an object, which is kept as its JSON.
type text string

// UnmarshalJSONFrom implements [json.UnmarshalerFrom].
func (t *text) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	switch dec.PeekKind() {
	case '"':
		return json.UnmarshalDecode(dec, (*string)(t))
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
	case '{', '0':
		v, err := dec.ReadValue()
		*t = text(v)
		return err
	}
	*t = ""
	return dec.SkipValue()
}

// number counts from 0: tokens, or where a call or a choice stands. Servers write it as
// any number, or as text; what is neither is 0.
type number int

// UnmarshalJSONFrom implements [json.UnmarshalerFrom].
func (n *number) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	v, err := dec.ReadValue()
	*n = number(max(0, provider.Amount(v)))
	return err
}

// lenient is a T that no answer is lost for: it is zero where the server's is of another form.
type lenient[T any] struct{ is T }

// UnmarshalJSONFrom implements [json.UnmarshalerFrom].
func (l *lenient[T]) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	v, err := dec.ReadValue()
	if err == nil && json.Unmarshal(v, &l.is) != nil {
		l.is = *new(T)
	}
	return err
}

// members is a JSON object.
type members = map[string]jsontext.Value

// decode reads one value that the server sent.
func decode(data []byte, v any) error {
	if strictjson.Unmarshal(data, v) != nil {
		return provider.ErrUnreadable
	}
	return nil
}

// stated reports whether a member is there and says something.
func stated(v jsontext.Value) bool { return len(v) > 0 && v.Kind() != 'n' }

// A reader adds an answer, or a piece of one, to a, and returns what of it may be shown
// at once.
type reader func(a *answer, data []byte) (delta, error)
