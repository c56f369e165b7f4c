package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"time"

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
	auth      *lumodev.Running
	authority *lumoauth.Client
	engine    *jit.Engine
	base      *http.Transport
	token     string // the agent's own
	api       *url.URL
	closers   []func() error
}

// newWorld starts the authorization server, without the bounds that would end a
// task after a hundred requests.
func newWorld(ctx context.Context) (*world, error) {
	w := &world{base: &http.Transport{MaxIdleConnsPerHost: 256}}
	auth, err := lumodev.Start(context.WithoutCancel(ctx), lumodev.Config{
		CAEP:     lumodev.CAEPPolicy{RiskThreshold: -1, BurstRequests: -1},
		TaskTTL:  24 * time.Hour,
		MaxTTL:   time.Hour,
		Observe:  nil,
		Org:      lumodev.DefaultOrg,
		StateDir: "", // memory: a disk would hide what the rest costs
	}, "")
	if err != nil {
		return nil, err
	}
	w.auth = auth
	w.closers = append(w.closers, func() error { w.base.CloseIdleConnections(); return nil }, auth.Close)
	cfg := auth.Server.Config()
	w.authority, err = lumoauth.New(lumoauth.Config{
		URL: auth.URL, Org: cfg.Org, ClientID: cfg.Agents[0].ClientID, ClientSecret: cfg.Agents[0].ClientSecret,
		HTTPClient: &http.Client{Transport: w.base},
	})
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	token, err := w.authority.AgentToken(ctx)
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	w.token = token.Reveal()
	if w.engine, err = jit.New(jit.Config{Authority: w.authority}); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *world) close() error {
	var errs []error
	for i := len(w.closers) - 1; i >= 0; i-- {
		errs = append(errs, w.closers[i]())
	}
	return errors.Join(errs...)
}

// content is what the thin API answers: a short document.
const content = `{"id":"doc_1","title":"Quarterly numbers","content":"Churn rose to 4.2 % in the fourth quarter."}`

// thinAPI serves an API that does nothing but tell the base token from others: all
// that is slower in it makes a client look cheaper than it is.
func (w *world) thinAPI() error {
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer "+w.token {
			_ = challenge.Write(rw, http.StatusForbidden, read(path.Base(r.URL.Path)), "")
			return
		}
		_, _ = io.WriteString(rw, content)
	}))
	w.closers = append(w.closers, func() error { server.Close(); return nil })
	var err error
	w.api, err = url.Parse(server.URL)
	return err
}

// documents serves the sample API, which asks the authorization server about each
// token and writes reports to a directory of its own.
func (w *world) documents(ctx context.Context) error {
	reports, err := os.MkdirTemp("", "bench-reports-")
	if err != nil {
		return err
	}
	w.closers = append(w.closers, func() error { return os.RemoveAll(reports) })
	rs := w.auth.Server.Config().ResourceServers[0]
	verifier, err := resource.New(ctx, resource.Config{
		Issuer: w.auth.Server.Issuer(), ClientID: rs.ClientID, ClientSecret: rs.ClientSecret, HTTPClient: &http.Client{Transport: w.base},
	})
	if err != nil {
		return err
	}
	listener, err := lumodev.Listen("", false)
	if err != nil {
		return err
	}
	w.api = &url.URL{Scheme: "http", Host: listener.Addr().String()}
	api, err := docapi.New(docapi.Config{
		BaseURL: w.api.String(), Reports: reports, Verifier: verifier, Limits: docapi.Limits{Keys: 1 << 30},
	})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	server := docapi.HTTPServer(api, nil)
	go func() { _ = server.Serve(listener) }() // until it is closed
	w.closers = append(w.closers, api.Close, server.Close)
	return nil
}

func (w *world) client() *http.Client {
	origin, err := jit.OriginOf(w.api)
	if err != nil {
		panic(err) // our own server's address
	}
	return &http.Client{Transport: &jit.Transport{Origin: origin, Base: w.base}}
}

func (w *world) plain() *http.Client { return &http.Client{Transport: w.base} }

func read(id string) rar.Detail {
	return rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: id}
}
