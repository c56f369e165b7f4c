package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"google.golang.org/adk/v2/model"

	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/dev/modelserver"
	"github.com/jitagent/jitagent/models/offline"
)

// devModels serves the offline model as OpenAI and Google serve theirs, so that any
// client of either runs without a key.
type devModels struct {
	url  *url.URL
	http *http.Server
	done chan error
}

func startModels(addr string, allowRemote bool, log *slog.Logger) (*devModels, error) {
	llm := offline.New()
	handler, err := modelserver.New(modelserver.Config{
		// Google's ADKs take only names that begin with gemini-, and some clients of
		// OpenAI only names of OpenAI's.
		Models: map[string]model.LLM{"offline": llm, "gemini-*": llm, "gpt-*": llm}, Logger: log,
	})
	if err != nil {
		return nil, err
	}
	listener, err := lumodev.Listen(addr, allowRemote)
	if err != nil {
		return nil, fmt.Errorf("the model server: %w", err)
	}
	m := &devModels{
		url:  &url.URL{Scheme: "http", Host: listener.Addr().String()},
		done: make(chan error, 1),
		http: &http.Server{
			Handler:           logged(handler, log),
			ReadHeaderTimeout: 10 * time.Second,
			ReadTimeout:       time.Minute,
			IdleTimeout:       2 * time.Minute,
			MaxHeaderBytes:    64 << 10,
			ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		},
	}
	go func() { m.done <- m.http.Serve(listener) }()
	return m, nil
}

// exports returns the variables that point clients at the server. They hold no key:
// it would take the place of a real one, and the server wants none.
func (m *devModels) exports() [][2]string {
	return [][2]string{
		{"OPENAI_BASE_URL", m.url.JoinPath("v1").String()},
		{"GOOGLE_GEMINI_BASE_URL", m.url.String()},
	}
}

func (m *devModels) Close() error { return m.http.Close() }

// logged writes one line for each request.
func logged(h http.Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start, seen := time.Now(), &statusWriter{ResponseWriter: w, status: http.StatusOK}
		defer func() {
			log.InfoContext(context.WithoutCancel(r.Context()), "model request", "method", r.Method, "path", r.URL.Path,
				"status", seen.status, "duration", time.Since(start).Round(time.Microsecond))
		}()
		h.ServeHTTP(seen, r)
	})
}

// statusWriter notes the status. http.ResponseController finds the writer below it.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
