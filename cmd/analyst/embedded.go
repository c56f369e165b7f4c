package main

import (
	"context"
	"log/slog"

	"github.com/jitagent/jitagent/dev"
	"github.com/jitagent/jitagent/dev/docapi"
	"github.com/jitagent/jitagent/lumoauth"
)

// startEmbedded starts the servers that stand in for what is not configured.
func startEmbedded(ctx context.Context, s settings, logger *slog.Logger) (*dev.Servers, error) {
	return dev.Start(ctx, dev.Config{Documents: &docapi.Config{Documents: s.documents, Reports: s.reports}, Logger: logger})
}

// clientOf says how this program reaches servers in its own process.
func clientOf(servers *dev.Servers) lumoauth.Config {
	cfg := servers.Client()
	cfg.UserAgent = userAgent()
	return cfg
}
