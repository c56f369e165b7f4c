// Package tools holds the analyst's tools, fetch_document and create_report, and
// [New], which turns a typed Go function into a JIT-aware ADK tool.
//
// A tool is one file: the types of its arguments and result, the ceiling that its
// arguments fix, and a function that speaks plain net/http. Everything else is
// New's: the JSON Schema, checking arguments against it, authority, panics, the
// size of results, and words for the model when a call fails (package jitmw).
//
// Invariants: a handler runs only with arguments that the schema accepts, and its
// HTTP client sends credentials to the one origin that the tool was built for.
//
// The package starts no task and chooses no model.
package tools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"slices"

	"google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/internal/lazy"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jitmw"
	"github.com/jitagent/jitagent/policy"
	"github.com/jitagent/jitagent/rar"
)

// A Spec describes a tool whose arguments are an A.
type Spec[A any] struct {
	// Name is what the model calls: letters, digits, "_" and "-", at most 64.
	Name string
	// Description tells the model what the tool does and when to use it.
	Description string

	// Schema replaces the schema that comes of A, for a tool that somebody else describes:
	// a JSON Schema of an object. A is map[string]any then. What of it cannot be compiled is
	// not checked. nil means A's own.
	Schema json.RawMessage

	// API is the base URL of the API that the tool calls. Credentials go to its
	// origin and nowhere else. nil means a tool that makes no authorized HTTP
	// calls. A call whose process died is made again, by whoever goes on with the run,
	// unless the journal has a request of it that may have changed something: what a
	// tool with an API does elsewhere must bear that.
	API *url.URL

	// HonorsIdempotencyKey says that the API keeps the first response per
	// Idempotency-Key. A request that may change something and whose answer was lost
	// is then sent again under the same key; otherwise its result is
	// "in_doubt". See [jit.Transport].
	HonorsIdempotencyKey bool

	// ReadOnly says that no request of the tool changes anything, whatever its method: one
	// whose answer was lost is made again, and nothing is in doubt.
	ReadOnly bool

	// Repeats says that a call with the same arguments may be meant to take effect
	// again within one task, such as adding 1 to a counter. Otherwise a request that
	// may change something is sent once: the same one again gets the first answer.
	Repeats bool

	// Ceiling returns the most that may be asked for on behalf of a call with
	// these arguments, which have passed the schema. Required: a tool that never
	// needs authority returns nil.
	Ceiling func(A) []rar.Detail

	// Aim is what a call does and what it is aimed at, so that it can be held against
	// what the person said ([jitmw.Gate]). nil is what the ceiling says of the call: see
	// [policy.Bound].
	Aim *policy.Aim

	// Policy is the operator's: what it says of this tool may be asked for too. nil
	// widens nothing.
	Policy *policy.Policy

	// Justify tells the person who decides what the call is for. nil means the
	// tool's name. The model chose the arguments: quote, do not believe.
	Justify func(A) string

	// MaxResult bounds the result in bytes of JSON; 0 means jitmw's default.
	MaxResult int

	// Base makes the HTTP round trips below the JIT transport; nil means that of
	// package jit. Logger receives faults that the model must not see.
	Base   http.RoundTripper
	Logger *slog.Logger
}

// Context is what a handler gets: a context that ends with the call, and an HTTP
// client that obtains authority within the call's ceiling.
type Context struct {
	context.Context
	client *http.Client
}

// HTTPClient returns the client for the tool's API. Requests must carry this
// Context. It follows redirects of GET and HEAD within the API's origin, and no
// others; for a tool without an API it follows none.
func (c Context) HTTPClient() *http.Client { return c.client }

var validName = lazy.Regexp(`^[A-Za-z0-9_-]{1,64}$`)

// New returns an ADK tool that calls fn. A must be a struct; its JSON Schema comes
// from its json and jsonschema tags (github.com/invopop/jsonschema), and fields
// without omitempty are required. A comma inside a tag's value is written as \\,
// (as in pattern=^[a-z]{1\\,8}$). R must encode as a JSON object, or is put into
// one as "result".
//
// Whole numbers are those up to 2^53, in which every reader of JSON agrees; null for
// a field with omitempty is its absence. The model is told what the engines that
// constrain its output agree on, and the rest in words: docs/tool-arguments.md.
//
// New refuses, naming the tool, what would only fail later: a name that no model
// can call, a tag that has no effect or that somebody on the way breaks, a type
// whose arguments nobody can send, a schema that does not compile, an API that
// credentials must not be sent to.
func New[A, R any](spec Spec[A], fn func(Context, A) (R, error)) (tool.Tool, error) {
	fail := func(err error) (tool.Tool, error) { return nil, fmt.Errorf("tools: new %q: %w", spec.Name, err) }
	switch {
	case !validName().MatchString(spec.Name):
		return fail(errors.New("the name must match " + validName().String()))
	case spec.Description == "":
		return fail(errors.New("no Description: the model would not know what the tool is for"))
	case spec.Ceiling == nil:
		return fail(errors.New("no Ceiling: return nil from it if the tool needs no authority"))
	case fn == nil:
		return fail(errors.New("no function"))
	}
	schema, err := schemaOf[A]()
	if spec.Schema != nil {
		schema, err = givenSchema[A](spec.Schema)
	}
	if err != nil {
		return fail(err)
	}
	client, err := newClient(spec.API, &jit.Transport{Base: spec.Base, HonorsIdempotencyKey: spec.HonorsIdempotencyKey, ReadOnly: spec.ReadOnly})
	if err != nil {
		return fail(err)
	}
	t := &typed[A, R]{
		decl: &genai.FunctionDeclaration{
			Name: spec.Name, Description: spec.Description, ParametersJsonSchema: schema.told,
		},
		client: client,
		fn:     fn,
	}
	t.texts, t.allTexts = textFields(reflect.TypeFor[R]())
	plan := func(args map[string]any) (jitmw.Plan, error) {
		a, err := decode[A](schema, args)
		if err != nil {
			return jitmw.Plan{}, err
		}
		p := jitmw.Plan{Ceiling: spec.Ceiling(a), Args: a, Repeats: spec.Repeats}
		aim := spec.aim(p.Ceiling, args)
		p.Aim = &aim
		p.Ceiling = append(slices.Clip(p.Ceiling), spec.Policy.Ceiling(spec.Name, spec.API, args)...)
		if spec.Justify != nil {
			p.Justification = spec.Justify(a)
		}
		return p, nil
	}
	guarded, err := jitmw.Wrap(t, jitmw.Config{Plan: plan, Outline: func() jitmw.Outline { return spec.outline(schema.outlined) }, MaxResult: spec.MaxResult, Logger: spec.Logger})
	if err != nil {
		return fail(err)
	}
	return guarded, nil
}

// aim is what a call is aimed at: as the tool declares or its ceiling says, refined by the
// operator.
func (s Spec[A]) aim(ceiling []rar.Detail, args map[string]any) policy.Aim {
	if s.Aim != nil {
		return s.Policy.Aim(s.Name, *s.Aim)
	}
	return s.Policy.Aim(s.Name, policy.Bound(s.Name, ceiling, args))
}

// newClient returns the client that a tool's handler works with.
func newClient(api *url.URL, transport *jit.Transport) (*http.Client, error) {
	if api != nil {
		origin, err := jit.OriginOf(api)
		if err != nil {
			return nil, err
		}
		transport.Origin = origin
	}
	return &http.Client{
		Transport: transport,
		// What another host answers would reach the model as if the API had said
		// it, and a redirect can name hosts that only this machine reaches.
		// Where a request that may change something is to be sent next is for the
		// tool to decide: it gets the redirect itself.
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if first := via[0].Method; first != http.MethodGet && first != http.MethodHead {
				return http.ErrUseLastResponse
			}
			if !transport.Origin.Contains(req.URL) {
				return &jitmw.Failure{Message: "the API redirects to another origin, which is not followed"}
			}
			if len(via) >= 5 {
				return &jitmw.Failure{Message: "the API redirects too often"}
			}
			return nil
		},
	}, nil
}

// typed is the ADK tool below the guard. It is never handed out unguarded.
type typed[A, R any] struct {
	decl   *genai.FunctionDeclaration
	client *http.Client
	fn     func(Context, A) (R, error)

	texts    []textField // of R
	allTexts bool
}

func (t *typed[A, R]) Name() string                            { return t.decl.Name }
func (t *typed[A, R]) Description() string                     { return t.decl.Description }
func (t *typed[A, R]) IsLongRunning() bool                     { return false }
func (t *typed[A, R]) Declaration() *genai.FunctionDeclaration { return t.decl }

// Run gets the decoded arguments from the plan.
func (t *typed[A, R]) Run(ctx agent.Context, args any) (map[string]any, error) {
	a, ok := args.(A)
	if !ok {
		return nil, fmt.Errorf("%s: arguments of type %T were not planned for", t.Name(), args)
	}
	r, err := t.fn(Context{Context: ctx, client: t.client}, a)
	if accepted, ok := errors.AsType[*AcceptedError](err); ok {
		return accepted.result(), nil
	}
	if err != nil {
		return nil, err
	}
	return object(r, t.texts, t.allTexts)
}
