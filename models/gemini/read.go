package gemini

import (
	"crypto/rand"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/models/provider"
)

// members is a JSON object.
type members = map[string]jsontext.Value

// A reading is one answer on its way to Google's library, which takes the last of two
// members of one name, loses an answer over metadata of another type, and reads every
// number as a float64.
type reading struct {
	stream  bool
	blocked string // why the prompt was blocked: ADK's adapter drops it
}

// write is a [provider.Keep].Write. An error of Google's is a [genai.APIError].
func (r *reading) write(b, value []byte) ([]byte, error) {
	in, err := strictjson.Object(value)
	if err != nil {
		return nil, provider.ErrUnreadable
	}
	if said := in["error"]; len(said) > 0 && said.Kind() != 'n' {
		return nil, readError(said)
	}
	var feedback members
	_, _ = strictjson.Unmarshal(in["promptFeedback"], &feedback), json.Unmarshal(feedback["blockReason"], &r.blocked)
	var usage members
	if strictjson.Unmarshal(in["usageMetadata"], &usage) == nil {
		for name, v := range usage {
			if strings.HasSuffix(name, "TokenCount") {
				usage[name] = jsontext.Value(strconv.Itoa(int(provider.Amount(v))))
			}
		}
		put(in, "usageMetadata", fit[genai.GenerateContentResponseUsageMetadata](usage))
	}
	var candidates []members
	if strictjson.Unmarshal(in["candidates"], &candidates) == nil {
		for _, c := range candidates {
			readCandidate(c)
		}
		put(in, "candidates", candidates)
	}
	out, err := marshal(fit[genai.GenerateContentResponse](in, "candidates"))
	if err != nil {
		return nil, provider.ErrUnreadable
	}
	if r.stream {
		return append(append(append(b, "data: "...), out...), "\n\n"...), nil
	}
	return append(b, out...), nil
}

func readCandidate(c members) {
	var content members
	var parts []members
	if strictjson.Unmarshal(c["content"], &content) == nil && strictjson.Unmarshal(content["parts"], &parts) == nil {
		for _, p := range parts {
			var call members
			if strictjson.Unmarshal(p["functionCall"], &call) == nil && call != nil {
				if args := call["args"]; args != nil {
					put(call, "args", marked(provider.Arguments(string(args))))
				}
				put(p, "functionCall", fit[genai.FunctionCall](call, "name", "args"))
			}
			fit[genai.Part](p, "text", "functionCall")
		}
		if parts != nil {
			put(content, "parts", parts)
		}
		put(c, "content", fit[genai.Content](content, "parts"))
	}
	var finish string
	if json.Unmarshal(c["finishReason"], &finish) == nil && finish != "" {
		put(c, "finishReason", provider.FinishReason(finish))
	}
	fit[genai.Candidate](c, "content")
}

// put sets a member to v, which marshals.
func put(m members, name string, v any) {
	if b, err := marshal(v); err == nil {
		m[name] = b
	}
}

// marshal is faster than that of encoding/json, which scans what is raw byte by byte.
func marshal(v any) ([]byte, error) { return jsonv2.Marshal(v, jsonv2.FormatNilMapAsNull(true)) }

// fit leaves out of m what a T has in another type, and returns it. An answer is as
// good without, except for what is needed.
func fit[T any](m members, needed ...string) members {
	fits := func(some members) bool {
		b, err := marshal(some)
		return err == nil && json.Unmarshal(b, new(T)) == nil
	}
	rest := maps.Clone(m)
	maps.DeleteFunc(rest, func(name string, _ jsontext.Value) bool { return slices.Contains(needed, name) })
	if len(rest) == 0 || fits(rest) {
		return m
	}
	for name, v := range rest {
		if !fits(members{name: v}) {
			delete(m, name)
		}
	}
	return m
}

func readError(said jsontext.Value) genai.APIError {
	var e genai.APIError
	var m members
	if strictjson.Unmarshal(said, &m) != nil {
		_ = json.Unmarshal(said, &e.Message) // or of another form still
		return e
	}
	e.Code = int(provider.Amount(m["code"]))
	delete(m, "code")
	b, err := json.Marshal(fit[genai.APIError](m))
	if err == nil {
		_ = json.Unmarshal(b, &e) // each member was seen to fit
	}
	return e
}

// mark is another one in each process, so that no text that a model writes, or was
// made to repeat, is taken for a number. Long numbers pass Google's library as text
// under it.
var mark = rand.Text() + ":"

func marked(v any) any {
	return mapped(v, func(v any) any {
		if number, long := v.(json.Number); long {
			return mark + number.String()
		}
		return v
	})
}

// unmark puts numbers back where marks are.
func unmark(args map[string]any) map[string]any {
	out, _ := mapped(args, func(v any) any {
		text, _ := v.(string)
		if number, marked := strings.CutPrefix(text, mark); marked {
			return json.Number(number)
		}
		return v
	}).(map[string]any)
	return out
}

// mapped puts f of each scalar in its place within v.
func mapped(v any, f func(any) any) any {
	switch v := v.(type) {
	case map[string]any:
		for name := range v {
			v[name] = mapped(v[name], f)
		}
		return v
	case []any:
		for i := range v {
			v[i] = mapped(v[i], f)
		}
		return v
	}
	return f(v)
}

// gather adds the parts of a piece to those before it. Texts that follow one another are
// one, up to a signature: ADK's adapter goes on beyond, keeps one signature of several,
// and puts that of a text on the call after it.
func gather(all []*genai.Part, content *genai.Content) []*genai.Part {
	if content == nil {
		return all
	}
	for _, p := range content.Parts {
		if p == nil || reflect.ValueOf(*p).IsZero() {
			continue
		}
		p = new(*p)
		var last *genai.Part
		if n := len(all); n > 0 {
			last = all[n-1]
		}
		moved := slices.ContainsFunc(all, func(q *genai.Part) bool {
			return len(p.ThoughtSignature) > 0 && len(q.ThoughtSignature) > 0 && &p.ThoughtSignature[0] == &q.ThoughtSignature[0]
		})
		switch {
		case moved:
			p.ThoughtSignature = nil
			all = append(all, p)
		case last != nil && says(last) && says(p) && last.Thought == p.Thought && last.ThoughtSignature == nil:
			last.Text, last.ThoughtSignature = last.Text+p.Text, p.ThoughtSignature
		default:
			all = append(all, p)
		}
	}
	return all
}

// says reports whether p is a text, which may be signed.
func says(p *genai.Part) bool {
	rest := *p
	rest.Text, rest.Thought, rest.ThoughtSignature = "", false, nil
	return reflect.ValueOf(rest).IsZero()
}
