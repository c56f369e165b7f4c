package mcp

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"google.golang.org/adk/v2/tool"

	"github.com/jitagent/jitagent/internal/peer"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/policy"
	"github.com/jitagent/jitagent/tools"
)

const (
	patience   = time.Minute // with a server; a program may have to be fetched first
	maxPages   = 32
	maxResumed = 100 // times that the answer to one call is asked for again
	maxMessage = 4 << 20
)

// A server is one that is connected to, again where the connection broke.
type server struct {
	Server
	cfg   Config
	api   *url.URL        // where its tools are called; of a program, what nobody has
	scope context.Context // for what the server itself demands, in Open's task; nil when it may demand nothing
	dirty atomic.Bool     // its tools may be others by now

	mu      sync.Mutex
	closed  bool
	session *sdk.ClientSession // nil when there is none
	ends    sync.WaitGroup     // of sessions, and their programs
	tools   []tool.Tool
	said    map[string][]byte // of each tool, at first
}

func newServer(ctx context.Context, s Server, cfg Config) *server {
	made := &server{Server: s, cfg: cfg, api: s.URL, said: map[string][]byte{}}
	if s.URL == nil {
		made.api = &url.URL{Scheme: "https", Host: strings.ToLower(s.Name) + ".invalid"} // RFC 2606, section 2
	}
	if task, ceiling := jit.FromContext(ctx), s.ceiling(cfg.Policy); task != nil && len(ceiling) > 0 {
		made.scope = task.Call(context.WithoutCancel(ctx), jit.Call{
			Tool: s.Name + policy.Remote, Ceiling: ceiling, Repeats: true, Justification: "Connect to the MCP server " + s.Name,
		})
	}
	return made
}

// silenceKey is that of the timer which ends what the server itself is asked. It stands
// still while a person may have to decide.
type silenceKey struct{}

var errSilent = fmt.Errorf("it has not answered for %s", patience)

// patient bounds what the server itself is asked.
func patient(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(patience, func() { cancel(errSilent) })
	return context.WithValue(ctx, silenceKey{}, timer), func() { timer.Stop(); cancel(nil) }
}

// connected returns the session, or begins one.
func (s *server) connected(ctx context.Context) (*sdk.ClientSession, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, errors.New("mcp: the connection was closed")
	case s.session != nil:
		return s.session, nil
	}
	ctx, cancel := patient(ctx)
	defer cancel()
	transport, ended, why := s.transport()
	opts := &sdk.ClientOptions{
		Capabilities:           &sdk.ClientCapabilities{}, // it asks no model
		ToolListChangedHandler: func(context.Context, *sdk.ToolListChangedRequest) { s.dirty.Store(true) },
	}
	if s.cfg.Answer != nil {
		opts.ElicitationHandler = s.answer
	} else { // nor a person, and no call is made again for its questions
		opts.MultiRoundTrip = &sdk.MultiRoundTripOptions{Disabled: true}
	}
	client := sdk.NewClient(&sdk.Implementation{Name: "jitagent", Version: "1"}, opts)
	session, err := client.Connect(ctx, transport, nil)
	if err != nil {
		ended()
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		} else if known := why(); known != nil { // of which the SDK has made a longer tale
			err = known
		}
		return nil, fmt.Errorf("mcp: connect to %s: %w", s.Name, err)
	}
	s.session = session
	s.ends.Go(func() {
		_ = session.Wait()
		s.drop(session)
		_ = session.Close() // it is over, whatever the server says
		ended()
	})
	return session, nil
}

// answer has a person answer what the server asks. Nobody is sent to an address of its.
func (s *server) answer(ctx context.Context, req *sdk.ElicitRequest) (*sdk.ElicitResult, error) {
	schema, err := json.Marshal(req.Params.RequestedSchema)
	if err != nil || len(schema) > maxMessage || req.Params.Mode == "url" || req.Params.URL != "" {
		return &sdk.ElicitResult{Action: "decline"}, nil
	}
	content, err := s.cfg.Answer(ctx, s.Name, peer.Clean(req.Params.Message, maxDescription), schema)
	switch {
	case err != nil:
		return &sdk.ElicitResult{Action: "cancel"}, nil //nolint:nilerr // which says so
	case content == nil:
		return &sdk.ElicitResult{Action: "decline"}, nil
	}
	return &sdk.ElicitResult{Action: "accept", Content: content}, nil
}

// drop forgets a session that is over. The next call begins another one.
func (s *server) drop(session *sdk.ClientSession) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session == session {
		s.session = nil
		s.dirty.Store(true)
		go func() { _ = session.Close() }() // for which [Set.Close] waits
	}
}

// list asks which tools there are. At first all must be in order; later, a tool that is
// not is not offered.
func (s *server) list(ctx context.Context, first bool) error {
	session, err := s.connected(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := patient(ctx)
	defer cancel()
	s.dirty.Store(false)
	var kit []tool.Tool
	said := 0
	for cursor, page := "", 0; page == 0 || cursor != ""; page++ {
		result, err := session.ListTools(ctx, &sdk.ListToolsParams{Cursor: cursor})
		if err != nil {
			err = cmp.Or(context.Cause(ctx), err)
			return fmt.Errorf("mcp: the tools of %s: %w", s.Name, err)
		}
		for _, t := range result.Tools {
			words, err := json.Marshal(t)
			said += len(words)
			var made tool.Tool
			if err == nil {
				made, err = s.admit(t, words, kit)
			}
			switch {
			case err == nil:
				kit = append(kit, made)
			case first:
				return err
			default:
				s.cfg.Logger.WarnContext(ctx, "a tool is not offered", "mcp_server", s.Name, "error", err)
			}
		}
		if cursor = result.NextCursor; len(kit) > maxTools || said > maxSaid || page >= maxPages {
			return fmt.Errorf("mcp: %s offers more than %d tools, or says more than %d bytes of them, or has no end of pages", s.Name, maxTools, maxSaid)
		}
	}
	if first { // of what comes later, the file says nothing
		if err := s.cfg.Policy.Check(s.Name+policy.Remote, tools.Arguments(kit)); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tools = kit
	return nil
}

// admit makes a guarded tool of what the server says of one. A tool of which it once said
// something else is not what the policy, or a person, had in mind.
func (s *server) admit(t *sdk.Tool, words []byte, kit []tool.Tool) (tool.Tool, error) {
	name := s.Name + policy.Remote + unfit.ReplaceAllString(t.Name, "_")
	s.mu.Lock()
	before, known := s.said[name]
	if !known {
		s.said[name] = words
	}
	s.mu.Unlock()
	switch {
	case t.Name == "":
		return nil, fmt.Errorf("mcp: %s has a tool without a name", s.Name)
	case slices.ContainsFunc(kit, func(other tool.Tool) bool { return other.Name() == name }):
		return nil, fmt.Errorf("mcp: %s has two tools that would be called %s", s.Name, name)
	case known && !bytes.Equal(before, words):
		return nil, fmt.Errorf("mcp: %s is described in another way than at first", name)
	}
	return s.guard(t, name)
}

// refresh asks for the tools again where they may be others. What fails leaves those that
// were known: their calls say what is wrong.
func (s *server) refresh(ctx context.Context) {
	if !s.dirty.Load() {
		return
	}
	if err := s.list(ctx, false); err != nil {
		s.dirty.Store(true)
		s.cfg.Logger.WarnContext(ctx, "tools are not heard of again", "mcp_server", s.Name, "error", peer.Clean(err.Error(), 600))
	}
}

func (s *server) offered() []tool.Tool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.tools)
}

// close ends the session and the program.
func (s *server) close() {
	s.mu.Lock()
	session := s.session
	s.session, s.closed = nil, true
	s.mu.Unlock()
	if session != nil {
		_ = session.Close()
	}
	s.ends.Wait()
	if s.scope != nil {
		jit.EndCall(s.scope, jit.Result{Status: jit.CallOK})
	}
}
