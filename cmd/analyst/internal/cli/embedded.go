package cli

import (
	"context"
	"log/slog"

	"github.com/jitagent/jitagent/dev"
	"github.com/jitagent/jitagent/dev/docapi"
	"github.com/jitagent/jitagent/lumoauth"
)

// StartEmbedded starts the servers that stand in for what is not configured.
func StartEmbedded(ctx context.Context, s Settings, logger *slog.Logger) (*dev.Servers, error) {
	return dev.Start(ctx, dev.Config{Documents: &docapi.Config{Documents: s.Documents, Reports: s.Reports}, Logger: logger})
}

// ClientOf says how this program reaches servers in its own process.
func ClientOf(servers *dev.Servers) lumoauth.Config {
	cfg := servers.Client()
	cfg.UserAgent = UserAgent()
	return cfg
}
