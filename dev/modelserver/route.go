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
	opList
	opGet
	opChat
	opGenerate
	opStream
)

func (op operation) method() string {
	if op == opList || op == opGet {
		return http.MethodGet
	}
	return http.MethodPost
}

// A route is an address understood.
type route struct {
	wire  wire
	op    operation
	model string // not of opChat, whose body names it
}

// A wire is one provider's way to say things over HTTP.
type wire interface {
	fail(w http.ResponseWriter, p *problem)
	list(names []string, since time.Time) any
	describe(name string, since time.Time) any
	decode(body []byte, to route) (*call, *problem)
	encoder(s *Server, w http.ResponseWriter, r *http.Request, c *call) encoder
}

// A call is a request understood.
type call struct {
	model   string
	request *model.LLMRequest
	stream  bool
	usage   bool // OpenAI: the stream ends with the usage
}

// An encoder writes one answer. Either fail or whole is called once, or delta any
// number of times and then end or broken.
type encoder interface {
	fail(p *problem)
	whole(final *model.LLMResponse) error
	delta(of *model.LLMResponse, part *genai.Part) error
	end(final *model.LLMResponse, rest []*genai.Part) error
	broken()
	begun() bool
}

// A problem is an error for the client.
type problem struct {
	status  int
	reason  string // the provider's code; empty for the usual one of status
	param   string // the member at fault, if one is
	message string
}

func refuse(status int, param, message string) *problem {
	return &problem{status: status, param: param, message: message}
}

func bad(param, message string) *problem { return refuse(http.StatusBadRequest, param, message) }

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
	vertex := false
	if parts := strings.SplitN(rest, "/", 7); len(parts) == 7 && parts[0] == "projects" && parts[2] == "locations" && parts[4] == "publishers" {
		rest, vertex = parts[6], true
	}
	google := vertex || version == "v1beta" || version == "v1beta1"
	if version != "v1" && !google {
		return route{wire: openAI{}}
	}
	if !google && rest == "chat/completions" {
		return route{wire: openAI{}, op: opChat}
	}
	name, isModel := strings.CutPrefix(rest, "models/")
	if i := strings.LastIndexByte(name, ':'); isModel && i > 0 {
		switch name[i+1:] {
		case "generateContent":
			return route{wire: gemini{}, op: opGenerate, model: name[:i]}
		case "streamGenerateContent":
			return route{wire: gemini{}, op: opStream, model: name[:i]}
		}
		if google && r.Method == http.MethodPost {
			return route{wire: gemini{}} // a method that is not served, such as countTokens
		}
	}
	to := route{wire: openAI{}}
	if google || r.Header.Get("X-Goog-Api-Key") != "" || r.URL.Query().Has("key") {
		to.wire = gemini{}
	}
	switch {
	case rest == "models":
		to.op = opList
	case isModel && name != "":
		to.op, to.model = opGet, name
	}
	return to
}
