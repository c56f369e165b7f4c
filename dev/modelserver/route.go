package modelserver

import (
	"net/http"
	"strings"
	"time"

	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"
)

// An operation is what an address is for.
type operation uint8

const (
	opNone operation = iota
	opModels
	opWhole  // one answer; of OpenAI's and Anthropic's wires the body decides
	opStream // an answer in pieces
)

// A route is an address understood.
type route struct {
	wire  wire
	op    operation
	model string // empty for a list, and on wires whose bodies name it
}

// A wire is one provider's way to say things over HTTP.
type wire interface {
	failure(p *problem) any
	list(models []any) any
	describe(name string, since time.Time) any
	decode(body []byte, to route) *call // or a panic with a *problem: see reject
	encoder(s *stream) encoder
}

// A call is a request understood.
type call struct {
	model   string // as asked for, and then as the model names itself
	request *model.LLMRequest
	stream  bool
	events  bool // Gemini: the stream is events, not an array
	usage   bool // chat completions: the stream ends with the usage
	piece   int  // OpenAI, Anthropic: bytes of arguments in one event
	one     bool // the answer may hold one call of a tool at most
}

// An encoder writes one answer step by step: at once where it is streamed, else whole
// at its end. What it could not write is in its stream's err.
type encoder interface {
	step(of *model.LLMResponse, s step)
	end(final *model.LLMResponse)
	broken(p *problem)
}

// A step is one thing that an answer says. Each wire spells it in its own way.
type step struct {
	*genai.Part
	kind     kind
	id, args string // of a call; args is JSON
}

type kind uint8

const (
	said kind = iota
	refusal
	thought
	called
)

// A problem is an error for the client.
type problem struct {
	status  int
	reason  string // the provider's code; empty for the usual one of status
	param   string // the member at fault, if one is
	message string
}

// Error implements error.
func (p *problem) Error() string { return p.message }

func refuse(status int, param, message string) *problem {
	return &problem{status: status, param: param, message: message}
}

// bad is a problem with the member at; "" for the whole request.
func bad(at, message string) *problem {
	if at != "" {
		message = at + ": " + message
	}
	return refuse(http.StatusBadRequest, at, message)
}

// reject ends the reading of a request, as [bad] says why. Those who read hand no
// problem up: [understood] takes it from the panic.
func reject(at, message string) { panic(bad(at, message)) }

// understood reads a request to a model, or says what is wrong with it.
func understood(to route, body []byte) (c *call, p *problem) {
	defer func() {
		if v := recover(); v != nil {
			var ok bool
			if p, ok = v.(*problem); !ok {
				panic(v)
			}
		}
	}()
	return to.wire.decode(body, to), nil
}

func unknownModel(name string) *problem {
	const most = 128
	if len(name) > most {
		name = strings.ToValidUTF8(name[:most], "") + "..."
	}
	p := refuse(http.StatusNotFound, "model", "there is no model "+name+" here")
	p.reason = "model_not_found"
	return p
}

// find reads the address. A path that belongs to no wire is OpenAI's.
func find(r *http.Request) route {
	version, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	google := version == "v1beta" || version == "v1beta1"
	if before, name, ok := strings.Cut("/"+rest, "/publishers/google/"); ok && (before == "" || strings.HasPrefix(before, "/projects/") && strings.Count(before, "/") == 4) {
		rest, google = name, true // Vertex AI; without a project in its express mode
	}
	to := route{wire: chat{}}
	if google || r.Header.Get("X-Goog-Api-Key") != "" || r.URL.Query().Has("key") {
		to.wire = gemini{}
	} else if r.Header.Get("Anthropic-Version") != "" || rest == "messages" || strings.HasPrefix(rest, "messages/") {
		to.wire = messages{}
	}
	name, isModel := strings.CutPrefix(rest, "models/")
	switch {
	case version != "v1" && !google:
	case !google && rest == "chat/completions":
		to.wire, to.op = chat{}, opWhole
	case !google && rest == "responses":
		to.wire, to.op = responses{}, opWhole
	case !google && rest == "messages":
		to.wire, to.op = messages{}, opWhole
	case rest == "models":
		to.op = opModels
	case isModel && name != "":
		to.op, to.model = opModels, name
		i := strings.LastIndexByte(name, ':')
		if i <= 0 {
			break
		}
		asked := route{wire: gemini{}, model: name[:i]}
		switch name[i+1:] {
		case "generateContent":
			asked.op = opWhole
		case "streamGenerateContent":
			asked.op = opStream
		}
		if asked.op != opNone || r.Method == http.MethodPost { // such as countTokens, which is not served
			return asked
		}
	}
	return to
}
