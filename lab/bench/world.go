package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path"
	"slices"
	"time"

	"github.com/jitagent/jitagent/dev"
	"github.com/jitagent/jitagent/dev/docapi"
	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/challenge"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/resource"
)

// world is an authorization server with an API beside it, in this process, and one
// connection pool that measures and floors share.
type world struct {
	*dev.Servers
	authority *lumoauth.Client
	engine    *jit.Engine
	base      *http.Transport
	token     string // the agent's own
	closers   []func() error
}

// newWorld starts the servers, without the bounds that would end a task after a
// hundred requests. documents serves the sample API, which asks the authorization
// server about each token; else the API is a thin one.
func newWorld(ctx context.Context, documents bool) (_ *world, err error) {
	w := &world{base: &http.Transport{MaxIdleConnsPerHost: 256}}
	w.closers = append(w.closers, func() error { w.base.CloseIdleConnections(); return nil })
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	shared := &http.Client{Transport: w.base}
	cfg := dev.Config{
		Auth: lumodev.Config{
			CAEP:    lumodev.CAEPPolicy{RiskThreshold: -1, BurstRequests: -1},
			TaskTTL: 24 * time.Hour,
			MaxTTL:  time.Hour,
		},
		Guard: func(cfg *resource.Config, _ string) { cfg.HTTPClient = shared }, // and memory for all state: a disk would hide what the rest costs
	}
	if documents {
		reports, err := os.MkdirTemp("", "bench-reports-")
		if err != nil {
			return nil, err
		}
		w.closers = append(w.closers, func() error { return os.RemoveAll(reports) })
		cfg.Documents = &docapi.Config{Reports: reports, Limits: docapi.Limits{Keys: 1 << 30}}
	} else {
		cfg.API = func(*resource.Verifier, string) (http.Handler, error) { return http.HandlerFunc(w.thin), nil }
	}
	if w.Servers, err = dev.Start(ctx, cfg); err != nil {
		return nil, err
	}
	w.closers = append(w.closers, w.Close)
	agent := w.Client()
	agent.HTTPClient = shared
	if w.authority, err = lumoauth.New(agent); err != nil {
		return nil, err
	}
	token, err := w.authority.AgentToken(ctx)
	if err != nil {
		return nil, err
	}
	w.token = token.Reveal()
	w.engine, err = jit.New(jit.Config{Authority: w.authority})
	return w, err
}

func (w *world) close() error {
	var errs []error
	for _, stop := range slices.Backward(w.closers) {
		errs = append(errs, stop())
	}
	return errors.Join(errs...)
}

// content is what the thin API answers: a short document.
const content = `{"id":"doc_1","title":"Quarterly numbers","content":"Churn rose to 4.2 % in the fourth quarter."}`

// thin is an API that does nothing but tell the base token from others: all that is
// slower in it makes a client look cheaper than it is.
func (w *world) thin(rw http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") == "Bearer "+w.token {
		_ = challenge.Write(rw, http.StatusForbidden, read(path.Base(r.URL.Path)), "")
		return
	}
	_, _ = io.WriteString(rw, content)
}

func (w *world) escalating() *http.Client {
	origin, err := jit.OriginOf(w.API)
	if err != nil {
		panic(err) // our own server's address
	}
	return &http.Client{Transport: &jit.Transport{Origin: origin, Base: w.base}}
}

func (w *world) plain() *http.Client { return &http.Client{Transport: w.base} }

func read(id string) rar.Detail {
	return rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: id}
}
