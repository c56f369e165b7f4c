package docapi

import (
	"log/slog"
	"net/http"
	"time"
)

// HTTPServer returns a server for h whose timeouts and header limit keep slow or
// endless requests from holding it. The body of the largest report takes far less
// than the read timeout on any link that is worth using. A nil log discards the
// server's own complaints.
func HTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       60 * time.Second,
		WriteTimeout:      90 * time.Second, // the token check and the write included
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}
