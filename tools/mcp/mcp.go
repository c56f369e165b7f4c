// Package mcp makes guarded tools of what MCP servers offer (Model Context Protocol,
// 2026-07-28 and before).
//
//	set, err := mcp.Open(ctx, mcp.Config{Servers: servers, Policy: policy})
//	defer set.Close()
//	agent.New(agent.Config{Model: llm, Toolsets: []*jitmw.Toolset{set.Toolset()}})
//
// A tool is called NAME__TOOL: the name that whoever runs the agent gave the server, and
// the tool's own. What a server says of its tools is a claim. What a call may ask for, and
// what it does and is aimed at, stands in the operator's policy file under that name:
//
//   - without ceilings there, no token goes to the server with a call, and whatever it
//     demands is outside the call's ceiling;
//   - without a word on what a call does and is aimed at, each is an effect that nobody
//     named: it takes a person, or the file, to allow it;
//   - what the file says only reads is called again where the answer was lost; any other
//     call is in doubt then, and the same one is not made again in its task.
//
// NAME__ in the policy file is the server itself: what being connected to it, and hearing
// which tools it has, may ask for.
//
// Invariants: a server's program gets no variable of the environment but those that every
// program needs; a server's instructions reach no model, and it asks no model for
// anything, and a person only through [Config.Answer]; a redirect is not followed; a tool whose description changes is
// not offered any more.
//
// The package opens no task. Open has that of its context, for what the servers
// themselves demand; calls have their own.
package mcp

import (
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"google.golang.org/adk/v2/tool"

	"github.com/jitagent/jitagent/internal/peer"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jitmw"
	"github.com/jitagent/jitagent/policy"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/tools"

	"github.com/jitagent/jitagent/internal/lazy"
)

// Config sets up [Open].
type Config struct {
	Servers []Server
	// Policy is the operator's. nil gives no tool any authority.
	Policy *policy.Policy
	// Base makes the HTTP round trips below package jit; nil is that of package jit. An
	// HTTP server is authorized by whatever [jit.Authority] the tasks' engine has.
	Base http.RoundTripper
	// Answer asks a person what a server wants to know in the middle of a call
	// (elicitation): server is its name, message its words, which are a claim, and schema
	// that of the answer. The content goes to the server; none declines, and an error ends
	// the question. nil tells servers that nobody answers.
	Answer func(ctx context.Context, server, message string, schema json.RawMessage) (content map[string]any, err error)
	// Logger receives what servers' programs write to stderr, and faults that the model
	// must not see. nil discards.
	Logger *slog.Logger
}

// A Server is an MCP server: that at URL, or a program that speaks over its standard
// input and output.
type Server struct {
	Name    string   // letters, digits and "-", at most 32
	URL     *url.URL // https, or http on loopback; nil for a program
	Command []string // the program and its arguments
	Env     []string // KEY=VALUE, or KEY for the value here, which must be set, beside what every program needs
}

var (
	named = lazy.Regexp(`^([A-Za-z0-9-]{1,32})(=(.+))?$`)
	unfit = regexp.MustCompile(`[^A-Za-z0-9_-]+`)
)

// ParseServer reads [NAME=]URL or [NAME=]COMMAND. Words of a command that hold spaces
// stand in double quotes; no shell reads it. Words such as $GITHUB_TOKEN before it name
// variables that it gets. Without a name, the server is called for its host or its program.
func ParseServer(text string) (s Server, err error) {
	if m := named().FindStringSubmatch(text); m != nil && m[3] != "" {
		s.Name, text = m[1], m[3]
	}
	called := ""
	if strings.HasPrefix(text, "https://") || strings.HasPrefix(text, "http://") {
		if s.URL, err = url.Parse(text); err != nil {
			return s, errors.New("mcp: the address of a server does not parse as a URL")
		}
		called = s.URL.Host
	} else {
		words := csv.NewReader(strings.NewReader(text))
		words.Comma = ' '
		if s.Command, err = words.Read(); err != nil {
			return s, fmt.Errorf("mcp: the command %q: put words with spaces in double quotes", peer.Clean(text, 80))
		}
		s.Command = slices.DeleteFunc(s.Command, func(w string) bool { return w == "" })
		for len(s.Command) > 0 && strings.HasPrefix(s.Command[0], "$") {
			s.Env, s.Command = append(s.Env, s.Command[0][1:]), s.Command[1:]
		}
		if len(s.Command) > 0 {
			called = filepath.Base(s.Command[0])
		}
	}
	if s.Name == "" {
		called = strings.ReplaceAll(unfit.ReplaceAllString(called, "-"), "_", "-")
		s.Name = strings.Trim(called[:min(len(called), 32)], "-")
	}
	return s, s.check()
}

func (s Server) check() error {
	switch m := named().FindStringSubmatch(s.Name); {
	case m == nil || m[3] != "":
		return fmt.Errorf("mcp: a server cannot be called %q: write NAME= before it, of letters, digits and -", s.Name)
	case (s.URL == nil) == (len(s.Command) == 0):
		return fmt.Errorf("mcp: %s is neither a URL nor a command", s.Name)
	case s.URL != nil:
		if _, err := jit.OriginOf(s.URL); err != nil {
			return fmt.Errorf("mcp: %s: %s", s.Name, strings.TrimPrefix(err.Error(), "jit: "))
		}
	}
	for _, variable := range s.Env {
		if _, ok := os.LookupEnv(variable); !ok && !strings.Contains(variable, "=") {
			return fmt.Errorf("mcp: %s is to get the variable %s, which is not set", s.Name, peer.Clean(variable, 80))
		}
	}
	return nil
}

// Demanding reports whether a policy lets one of the servers demand authority for being
// connected to: whether [Open] needs a task.
func Demanding(servers []Server, p *policy.Policy) bool {
	return slices.ContainsFunc(servers, func(s Server) bool { return len(s.ceiling(p)) > 0 })
}

// ceiling is what the server itself may ask for. A program may ask for nothing.
func (s Server) ceiling(p *policy.Policy) []rar.Detail {
	if s.URL == nil {
		return nil
	}
	return p.Ceiling(s.Name+policy.Remote, s.URL, nil)
}

// A Set is the tools of connected servers. It is safe for concurrent use.
type Set struct{ servers []*server }

// Open connects to the servers and asks which tools they have. All that is wrong with one
// of them is an error that names it: a server that cannot be reached, tools whose names
// clash or are too long, a policy that names what is not there. It waits no longer than a
// minute for an answer of each, and the time that a person takes to decide.
func Open(ctx context.Context, cfg Config) (*Set, error) {
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	set, taken := &Set{}, map[string]bool{}
	for _, s := range cfg.Servers {
		err := s.check()
		if taken[s.Name] {
			err = fmt.Errorf("mcp: two servers are called %s: write another NAME= before one", s.Name)
		}
		taken[s.Name] = true
		if err == nil {
			connected := newServer(ctx, s, cfg)
			set.servers = append(set.servers, connected)
			err = connected.list(ctx, true)
		}
		if err != nil {
			return nil, errors.Join(err, set.Close())
		}
	}
	return set, nil
}

// Tools returns the tools that the servers were last heard to have.
func (s *Set) Tools() (all []tool.Tool) {
	for _, server := range s.servers {
		all = append(all, server.offered()...)
	}
	return all
}

// Toolset offers the tools to an agent, as they are before each call of the model.
func (s *Set) Toolset() *jitmw.Toolset {
	return jitmw.NewToolset("mcp", func(ctx context.Context) []tool.Tool {
		for _, server := range s.servers {
			server.refresh(ctx)
		}
		return s.Tools()
	})
}

// Close ends the sessions and the servers' programs, and waits for them. Call it before
// the task that Open ran in is completed. It may be called again.
func (s *Set) Close() error {
	var wait sync.WaitGroup
	for _, server := range s.servers {
		wait.Go(server.close)
	}
	wait.Wait()
	return nil
}

const (
	maxTools       = 256
	maxSaid        = 1 << 20 // bytes of all that a server says of them
	maxDescription = 4 << 10
)

// guard makes a guarded tool of what the server says of one.
func (s *server) guard(t *sdk.Tool, name string) (tool.Tool, error) {
	schema, err := json.Marshal(cleaned(t.InputSchema))
	if err != nil {
		return nil, fmt.Errorf("mcp: %s: %w", name, err)
	}
	says := cmp.Or(peer.Clean(t.Description, maxDescription), name)
	if t.Annotations != nil {
		claims, _ := json.Marshal(t.Annotations) // of texts and truth values
		says += " (the server claims: " + peer.Clean(string(claims), maxDescription) + ")"
	}
	p, reads := s.cfg.Policy, false
	aim := policy.Aim{Effect: "a call of " + name + ", of which the policy file says nothing"}
	if p.Aims(name) {
		aim = policy.Aim{}
		reads = p.Aim(name, aim).Effect == ""
	}
	made, err := tools.New(tools.Spec[map[string]any]{
		Name: name, Description: says, Schema: schema, API: s.api, Policy: p, Aim: &aim, Logger: s.cfg.Logger,
		Ceiling:  func(map[string]any) []rar.Detail { return nil }, // the policy's alone
		ReadOnly: reads,
		Base:     &caller{server: s, tool: t.Name, trusted: slices.Contains(p.Tools(), name)},
	}, s.call)
	if err != nil {
		return nil, fmt.Errorf("mcp: %s: %w", name, errors.Unwrap(err))
	}
	return made, nil
}

// cleaned returns a schema whose descriptions are as plain as those of tools.
func cleaned(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, member := range v {
			if text, ok := member.(string); ok && (name == "description" || name == "title") {
				member = peer.Clean(text, maxDescription)
			}
			out[name] = cleaned(member)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, element := range v {
			out[i] = cleaned(element)
		}
		return out
	}
	return v
}
