package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/secret"
)

// A world is analyst dev with a state directory, in a process of its own, the proxy
// that keeps the history of its authorization server, and a state directory for the
// analysts that work with it.
type world struct {
	*bench
	dir     string
	env     map[string]string // as dev printed it
	dev     *exec.Cmd
	log     *os.File
	args    []string
	history *history
	front   *http.Server
	url     string           // of the proxy
	asker   *lumoauth.Client // introspects as the API does
	agent   *lumoauth.Client // decides as a reviewer
}

func newWorld(ctx context.Context, b *bench) (_ *world, err error) {
	w := &world{bench: b, history: newHistory()}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.stop())
		}
	}()
	if w.dir, err = os.MkdirTemp(b.dir, "world-"); err != nil {
		return nil, err
	}
	if err := os.Mkdir(w.path("reports"), 0o750); err != nil {
		return nil, err
	}
	if w.log, err = os.Create(w.path("dev.log")); err != nil {
		return nil, err
	}
	var addr [3]string
	for i := range addr {
		if addr[i], err = freeAddr(ctx); err != nil {
			return nil, err
		}
	}
	w.args = []string{
		"dev", "--addr", addr[0], "--api-addr", addr[1], "--model-addr", addr[2], "--state", w.path("dev"),
		"--reports", w.path("reports"), "--env-file", w.path("env"),
		"--operator-env-file", w.path("operator"),
	}
	if err := w.startDev(ctx); err != nil {
		return nil, err
	}
	if err := w.startProxy(ctx); err != nil {
		return nil, err
	}
	client := lumoauth.Config{URL: w.env["LUMOAUTH_URL"], Org: w.env["LUMOAUTH_ORG_ID"]}
	client.ClientID, client.ClientSecret = w.env["LUMODEV_RS_CLIENT_ID"], secret.New(w.env["LUMODEV_RS_CLIENT_SECRET"])
	if w.asker, err = lumoauth.New(client); err != nil {
		return nil, err
	}
	client.ClientID, client.ClientSecret = w.env["AGENT_CLIENT_ID"], secret.New(w.env["AGENT_CLIENT_SECRET"])
	w.agent, err = lumoauth.New(client)
	return w, err
}

// analysts returns the setup for a state directory.
func (w *world) analysts(state string) setup {
	s := w.setup(w.dir, state, w.url, w.env["LUMOAUTH_ORG_ID"], w.env["AGENT_CLIENT_ID"], w.env["AGENT_CLIENT_SECRET"], w.env["ANALYST_API_URL"])
	s.env = append(s.env, "ANALYST_API_IDEMPOTENT=true")
	s.grants = func(ctx context.Context, task string) (issued, active int, err error) {
		for _, t := range w.history.named(task) {
			n, err := w.active(ctx, t)
			if err != nil {
				return 0, 0, err
			}
			issued, active = issued+len(t.tokens), active+n
		}
		return issued, active, nil
	}
	return s
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

// freeAddr returns an address that was free a moment ago, so that a server can come
// back to where it was.
func freeAddr(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// startDev starts the servers and waits until they answer.
func (w *world) startDev(ctx context.Context) error {
	if err := os.Remove(w.path("env")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	w.dev = exec.CommandContext(ctx, w.bin, w.args...)
	w.dev.Dir = w.dir
	w.dev.Env = []string{"HOME=" + w.dir}
	w.dev.Stderr = w.log
	w.dev.SysProcAttr = diesWithUs()
	if err := w.dev.Start(); err != nil {
		return err
	}
	return within(ctx, 20*time.Second, "analyst dev to start", func() bool {
		text, err := os.ReadFile(w.path("env"))
		if err != nil || !strings.Contains(string(text), "ANALYST_API_URL") {
			return false
		}
		operator, err := os.ReadFile(w.path("operator")) // written before the other
		if err != nil {
			return false
		}
		w.env = map[string]string{}
		for line := range strings.Lines(string(operator) + string(text)) {
			name, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
			if ok {
				w.env[name] = strings.Trim(value, "'")
			}
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", strings.TrimPrefix(w.env["LUMOAUTH_URL"], "http://"))
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
}

// killDev ends the servers as a power button does.
func (w *world) killDev() error {
	if err := w.dev.Process.Kill(); err != nil {
		return err
	}
	_ = w.dev.Wait() // with the signal
	return nil
}

func (w *world) startProxy(ctx context.Context) error {
	target, err := url.Parse(w.env["LUMOAUTH_URL"])
	if err != nil {
		return err
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host },
		ErrorHandler: func(rw http.ResponseWriter, _ *http.Request, _ error) {
			rw.WriteHeader(http.StatusBadGateway)
		},
		Transport: &http.Transport{MaxIdleConnsPerHost: 32},
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	w.url = "http://" + l.Addr().String()
	w.front = &http.Server{Handler: w.history.record(proxy), ReadHeaderTimeout: time.Minute}
	go func() { _ = w.front.Serve(l) }() // until it is closed
	return nil
}

func (w *world) stop() error {
	var errs []error
	if w.dev != nil && w.dev.Process != nil && w.dev.ProcessState == nil {
		errs = append(errs, w.killDev())
	}
	if w.front != nil {
		errs = append(errs, w.front.Close())
	}
	if w.log != nil {
		errs = append(errs, w.log.Close())
	}
	return errors.Join(errs...)
}

// approve decides all that a task waits for, as the reviewer.
func (w *world) approve(ctx context.Context, requests []string) error {
	for _, id := range requests {
		if _, err := w.agent.Approve(ctx, secret.New(w.env["LUMODEV_REVIEWER_TOKEN"]), id, lumoauth.Approval{}); err != nil {
			return err
		}
	}
	return nil
}

// active introspects all tokens of a task and returns how many the authorization
// server calls active. What was said becomes part of the history.
func (w *world) active(ctx context.Context, t seenTask) (int, error) {
	n := 0
	for i, token := range t.tokens {
		call := w.history.now()
		seen, err := w.asker.Introspect(ctx, token.value)
		if err != nil {
			return n, fmt.Errorf("introspection: %w", err)
		}
		if seen.Active {
			n++
		}
		if time.Until(token.expires) < 10*time.Second {
			continue // it may end by itself meanwhile
		}
		w.history.mu.Lock()
		w.history.add(input{action: probed, task: t.id, token: i}, output_{active: seen.Active}, call, w.history.now())
		w.history.mu.Unlock()
	}
	return n, nil
}

// within waits until a condition holds, and fails if it does not in time.
func within(ctx context.Context, limit time.Duration, what string, holds func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waited %s for %s: %w", limit, what, ctx.Err())
		}
	}
	return nil
}
