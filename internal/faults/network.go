package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/jitagent/jitagent/internal/docapi"
	"github.com/jitagent/jitagent/internal/journal"
	"github.com/jitagent/jitagent/lumoauth/lumodev"
	"github.com/jitagent/jitagent/resource"
)

// A disturbance is what happens to connections. toxics are toxiproxy's, by side; each
// strikes a connection with a probability, so that another try may go through.
type disturbance struct {
	name    string
	keyless bool // the analyst is told that the API honours no keys
	api     func(*rand.Rand) []string
	auth    func(*rand.Rand) []string
}

// toxic words one toxic for connections between the analyst and a server.
func toxic(kind, stream string, toxicity float64, attributes string) string {
	return fmt.Sprintf(`{"name":"%s-%s","type":"%s","stream":"%s","toxicity":%g,"attributes":{%s}}`, kind, stream, kind, stream, toxicity, attributes)
}

func disturbances() []disturbance {
	// An answer of either server is a few hundred bytes, a document some thousand.
	cut := func(stream string, most int) func(*rand.Rand) []string {
		return func(rng *rand.Rand) []string {
			return []string{toxic("limit_data", stream, 0.5, fmt.Sprintf(`"bytes":%d`, rng.IntN(most)))}
		}
	}
	reset := func(rng *rand.Rand) []string {
		return []string{toxic("reset_peer", "downstream", 0.5, fmt.Sprintf(`"timeout":%d`, rng.IntN(30)))}
	}
	slow := func(rng *rand.Rand) []string {
		return []string{
			toxic("latency", "downstream", 0.7, fmt.Sprintf(`"latency":%d,"jitter":20`, rng.IntN(60))),
			toxic("slicer", "upstream", 0.7, `"average_size":100,"size_variation":50,"delay":500`),
			toxic("bandwidth", "downstream", 0.7, `"rate":50`),
			toxic("limit_data", "downstream", 0.3, fmt.Sprintf(`"bytes":%d`, rng.IntN(9000))),
		}
	}
	return []disturbance{
		{name: "connections reset, both servers", api: reset, auth: reset},
		{name: "answers of the API cut or lost", api: cut("downstream", 8000)},
		{name: "answers of the API cut or lost, no keys", keyless: true, api: cut("downstream", 8000)},
		{name: "requests to the API cut", api: cut("upstream", 5000)},
		{name: "answers of the authorization server cut or lost", auth: cut("downstream", 6000)},
		{name: "slow, in pieces, and cut, both servers", api: slow, auth: slow},
	}
}

// A wire is both servers in this process, each behind a toxiproxy.
type wire struct {
	*bench
	dir      string
	auth     *lumodev.Running
	api      *docapi.Server
	http     *http.Server
	toAuth   *toxiproxy.Proxy
	toAPI    *toxiproxy.Proxy
	mu       sync.Mutex
	answered map[string]int // Idempotency-Key to how often the API said that the report is there
}

func network(ctx context.Context, b *bench) ([]*row, error) {
	w, err := newWire(ctx, b)
	if err != nil {
		return nil, err
	}
	defer func() { _ = w.close() }()
	var rows []*row
	for i, d := range disturbances() {
		r := &row{Fault: d.name}
		rows = append(rows, r)
		if err := w.disturb(ctx, d, r, b.random(uint64(100+i))); err != nil { //nolint:gosec // small
			return rows, err
		}
	}
	return rows, nil
}

func newWire(ctx context.Context, b *bench) (_ *wire, err error) {
	w := &wire{bench: b, dir: filepath.Join(b.dir, "network"), answered: map[string]int{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	if err := os.MkdirAll(w.dir, 0o750); err != nil {
		return nil, err
	}
	if w.auth, err = lumodev.Start(context.WithoutCancel(ctx), lumodev.Config{}, ""); err != nil {
		return nil, err
	}
	listener, err := lumodev.Listen("", false)
	if err != nil {
		return nil, err
	}
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	w.toAuth = toxiproxy.NewProxy(server, "authorization", "127.0.0.1:0", strings.TrimPrefix(w.auth.URL, "http://"))
	w.toAPI = toxiproxy.NewProxy(server, "api", "127.0.0.1:0", listener.Addr().String())
	for _, p := range []*toxiproxy.Proxy{w.toAuth, w.toAPI} {
		if err := p.Start(); err != nil {
			return nil, errors.Join(err, listener.Close())
		}
	}
	rs := w.auth.Server.Config().ResourceServers[0]
	verifier, err := resource.New(ctx, resource.Config{Issuer: w.auth.Server.Issuer(), ClientID: rs.ClientID, ClientSecret: rs.ClientSecret})
	if err == nil {
		w.api, err = docapi.New(docapi.Config{BaseURL: "http://" + w.toAPI.Listen, Reports: w.path("reports"), Verifier: verifier})
	}
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	w.http = docapi.HTTPServer(w.count(w.api), nil)
	go func() { _ = w.http.Serve(listener) }() // until it is closed
	return w, nil
}

func (w *wire) path(name string) string { return filepath.Join(w.dir, name) }

// count counts how often the API said under a key that the report is there.
func (w *wire) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		seen := &statusWriter{ResponseWriter: rw}
		next.ServeHTTP(seen, r)
		if seen.status == http.StatusCreated {
			w.mu.Lock()
			w.answered[r.Header.Get("Idempotency-Key")]++
			w.mu.Unlock()
		}
	})
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap serves [http.ResponseController].
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *wire) close() error {
	var errs []error
	for _, p := range []*toxiproxy.Proxy{w.toAuth, w.toAPI} {
		if p != nil && p.Enabled {
			p.Stop()
		}
	}
	if w.http != nil {
		errs = append(errs, w.http.Close())
	}
	if w.api != nil {
		errs = append(errs, w.api.Close())
	}
	if w.auth != nil {
		errs = append(errs, w.auth.Close())
	}
	return errors.Join(errs...)
}

func (w *wire) analysts(state string, keyless bool) setup {
	cfg := w.auth.Server.Config()
	env := []string{
		"HOME=" + w.dir, "ANALYST_STATE_DIR=" + state, "NO_COLOR=1",
		"LUMOAUTH_URL=http://" + w.toAuth.Listen, "LUMOAUTH_ORG_ID=" + cfg.Org,
		"AGENT_CLIENT_ID=" + cfg.Agents[0].ClientID, "AGENT_CLIENT_SECRET=" + cfg.Agents[0].ClientSecret.Reveal(),
		"ANALYST_API_URL=" + (&url.URL{Scheme: "http", Host: w.toAPI.Listen}).String(),
	}
	if !keyless {
		env = append(env, "ANALYST_API_IDEMPOTENT=true")
	}
	return setup{bench: w.bench, env: env, dir: w.dir}
}

// disturb plays one disturbance, some times.
func (w *wire) disturb(ctx context.Context, d disturbance, r *row, rng *rand.Rand) error {
	state := w.path("state-" + strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' {
			return c
		}
		return '-'
	}, d.name))
	s := w.analysts(state, d.keyless)
	if a, code, err := s.run(ctx, "sweep"); err != nil || code != 0 { // makes the journal
		return fmt.Errorf("a sweep that nobody disturbs: exit %d, %w: %s", code, err, a.said())
	}
	j, err := journal.Open(ctx, journal.Options{Dir: state, ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = j.Close() }()
	failed, before := 0, w.repeated()
	for i := range max(5, w.trials/8) {
		title := "Wire " + strings.NewReplacer(",", "", "  ", " ").Replace(d.name) + fmt.Sprintf(" %d", i)
		if err := w.poison(d, rng); err != nil {
			return err
		}
		a, code, err := s.run(ctx, "run", job(title))
		if err != nil {
			return err
		}
		w.heal(ctx)
		r.Trials++
		if code != 0 {
			failed++
		}
		o := outcome{bench: w.bench, row: r, setup: s, journal: j, reports: w.path("reports"), title: title, code: code, said: a}
		if err := o.judge(ctx); err != nil {
			return err
		}
		for range w.auth.Server.Snapshot().LiveTokens {
			r.wrong(&r.Orphans, "%s: a grant is active after run and sweep", title)
		}
	}
	r.Note = fmt.Sprintf("%d runs failed; %d answers under a used key", failed, w.repeated()-before)
	return nil
}

// repeated counts answers that only a lost answer explains.
func (w *wire) repeated() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, times := range w.answered {
		n += times - 1
	}
	return n
}

func (w *wire) poison(d disturbance, rng *rand.Rand) error {
	for _, side := range []struct {
		proxy  *toxiproxy.Proxy
		toxics func(*rand.Rand) []string
	}{{w.toAPI, d.api}, {w.toAuth, d.auth}} {
		if side.toxics == nil {
			continue
		}
		for _, text := range side.toxics(rng) {
			if _, err := side.proxy.Toxics.AddToxicJson(strings.NewReader(text)); err != nil {
				return fmt.Errorf("%s: %w", text, err)
			}
		}
	}
	return nil
}

func (w *wire) heal(ctx context.Context) {
	w.toAPI.Toxics.ResetToxics(ctx)
	w.toAuth.Toxics.ResetToxics(ctx)
}
