package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/jitagent/jitagent/dev"
	"github.com/jitagent/jitagent/dev/docapi"
	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/state/recovery"
)

// keptName is the name in journals of the embedded authorization server whose state is
// kept beside the journal: unlike [recovery.Embedded], it comes back with the next
// command that needs it.
const keptName = recovery.Embedded + "/kept"

// embeddedFolder is where, in the state directory, the embedded servers keep theirs.
const embeddedFolder = "embedded"

// StartEmbedded starts the servers that stand in for what is not configured, and enters
// them into s. They keep their state in a folder of the state directory; "" keeps
// nothing, and neither do those of a second process at a time: then s.Kept is false.
func StartEmbedded(ctx context.Context, s *Settings, state string, logger *slog.Logger) (*dev.Servers, error) {
	cfg := dev.Config{Auth: lumodev.Config{DPoP: s.DPoP}, Documents: &docapi.Config{Documents: s.Documents, Reports: s.Reports}, Logger: logger}
	if state != "" {
		cfg.StateDir = filepath.Join(state, embeddedFolder)
	}
	servers, err := dev.Start(ctx, cfg)
	if errors.Is(err, lumodev.ErrInUse) {
		cfg.StateDir = ""
		servers, err = dev.Start(ctx, cfg)
	}
	if err != nil {
		return nil, err
	}
	s.Kept = cfg.StateDir != ""
	s.LumoAuth, s.API, s.APIIdempotent, s.APISearch = servers.Client(), servers.API, true, true
	s.LumoAuth.UserAgent = UserAgent()
	return servers, nil
}

// A keptServer completes tasks at the embedded server whose state is kept, which it
// starts when the first is to be completed.
type keptServer struct {
	settings Settings
	state    string
	log      *slog.Logger

	mu      sync.Mutex
	servers *dev.Servers
	client  *lumoauth.Client
}

// ServersBusy says that another process has the embedded servers.
const ServersBusy = "another analyst command has the embedded servers"

// errBusy reports that another process has the embedded servers.
type errBusy struct{}

func (errBusy) Error() string {
	return ServersBusy + ": run this again when that has ended"
}
func (errBusy) Temporary() (time.Duration, bool) { return time.Second, true }

// CompleteTask implements [recovery.Completer].
func (k *keptServer) CompleteTask(ctx context.Context, id string) error {
	client, err := k.started(ctx)
	if err != nil {
		return err
	}
	return client.CompleteTask(ctx, id)
}

func (k *keptServer) started(ctx context.Context) (_ *lumoauth.Client, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.client != nil {
		return k.client, nil
	}
	s := k.settings
	servers, err := StartEmbedded(ctx, &s, k.state, k.log)
	switch {
	case err != nil:
		return nil, fmt.Errorf("start the embedded servers: %w", err)
	case !s.Kept:
		return nil, errors.Join(errBusy{}, servers.Close())
	}
	if k.client, err = lumoauth.New(s.LumoAuth); err != nil {
		return nil, errors.Join(err, servers.Close())
	}
	k.servers = servers
	return k.client, nil
}

func (k *keptServer) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.servers != nil {
		_ = k.servers.Close() // all that they did is on disk
	}
}
