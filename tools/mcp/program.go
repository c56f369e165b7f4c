package mcp

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/jitagent/jitagent/internal/peer"
	"github.com/jitagent/jitagent/internal/program"
)

// endTime is how long a program may take to end, for each of the ways in which it is told.
const endTime = 2 * time.Second

// program is transport for a server that is a program.
func (s *server) program() (sdk.Transport, func(), func() error) {
	// Of no context: it ends with the set, not with the call in which it may begin again.
	cmd := program.Command(context.Background(), s.Command, s.Env...)
	stderr := &tail{log: s.cfg.Logger.With("mcp_server", s.Name)}
	cmd.Stderr = stderr
	cmd.WaitDelay = endTime // what it started may hold on to stderr
	return wire{&sdk.CommandTransport{Command: cmd, TerminateDuration: endTime}}, func() { _ = program.End(cmd) }, stderr.why
}

// A wire tells each call that it is being written.
type wire struct{ sdk.Transport }

func (w wire) Connect(ctx context.Context) (sdk.Connection, error) {
	conn, err := w.Transport.Connect(ctx)
	return written{conn}, err
}

type written struct{ sdk.Connection }

func (w written) Write(ctx context.Context, message jsonrpc.Message) error {
	s, ofCall := ctx.Value(sendingKey{}).(*sending)
	if request, ok := message.(*jsonrpc.Request); ok && ofCall && request.IsCall() {
		s.sent = true
	}
	return w.Connection.Write(ctx, message)
}

// A tail logs what a program writes, and keeps the end of it.
type tail struct {
	log  *slog.Logger
	mu   sync.Mutex
	text string
}

func (t *tail) Write(p []byte) (int, error) {
	t.log.Debug("stderr", "text", peer.Clean(string(p), 4<<10))
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text += string(p)
	t.text = t.text[max(0, len(t.text)-600):]
	return len(p), nil
}

// why is what the program said last.
func (t *tail) why() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.text == "" {
		return nil
	}
	return fmt.Errorf("it ended, and said: %s", peer.Clean(t.text, 600))
}
