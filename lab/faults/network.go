package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/jitagent/jitagent/dev"
	"github.com/jitagent/jitagent/dev/docapi"
	"github.com/jitagent/jitagent/internal/serve"
	"github.com/jitagent/jitagent/resource"
)

// A disturbance is what happens to connections. api and auth give toxics of toxiproxy
// for the connections to each server; they strike each connection with a probability,
// so that another try may go through.
type disturbance struct {
	name    string
	keyless bool // the analyst is told that the API honours no keys
	api     poison
	auth    poison
}

// A poison draws toxics. usual is what an undisturbed run moves over connections to
// that server.
type poison func(rng *rand.Rand, usual traffic) []string

// A traffic is a number of bytes in each direction, as the client sees them.
type traffic struct{ up, down int64 }

// toxic words one toxic.
func toxic(kind, stream string, toxicity float64, attributes string) string {
	return fmt.Sprintf(`{"name":"%s-%s","type":"%s","stream":"%s","toxicity":%g,"attributes":{%s}}`, kind, stream, kind, stream, toxicity, attributes)
}

// somewhere draws a place to cut: anywhere or, more often, near the end, where the
// report is made.
func somewhere(rng *rand.Rand, all int64) string {
	at := rng.Int64N(all)
	if rng.IntN(3) > 0 {
		at = all - 1 - rng.Int64N(min(all, 600))
	}
	return fmt.Sprintf(`"bytes":%d`, at)
}

func disturbances() []disturbance {
	answers := func(rng *rand.Rand, usual traffic) []string {
		return []string{toxic("limit_data", "downstream", 0.8, somewhere(rng, usual.down))}
	}
	requests := func(rng *rand.Rand, usual traffic) []string {
		return []string{toxic("limit_data", "upstream", 0.8, somewhere(rng, usual.up))}
	}
	reset := func(rng *rand.Rand, _ traffic) []string {
		return []string{toxic("reset_peer", "downstream", 0.6, fmt.Sprintf(`"timeout":%d`, rng.IntN(40)))}
	}
	slow := func(rng *rand.Rand, usual traffic) []string {
		return []string{
			toxic("latency", "downstream", 0.7, fmt.Sprintf(`"latency":%d,"jitter":20`, rng.IntN(60))),
			toxic("slicer", "upstream", 0.7, `"average_size":100,"size_variation":50,"delay":500`),
			toxic("bandwidth", "downstream", 0.7, `"rate":50`),
			toxic("limit_data", "downstream", 0.4, somewhere(rng, usual.down)),
		}
	}
	return []disturbance{
		{name: "connections reset, both servers", api: reset, auth: reset},
		{name: "answers of the API cut or lost", api: answers},
		{name: "the same, from an API without keys", keyless: true, api: answers},
		{name: "requests to the API cut", api: requests},
		{name: "the same, to an API without keys", keyless: true, api: requests},
		{name: "answers of the authorization server cut or lost", auth: answers},
		{name: "slow, in pieces and cut, both servers", api: slow, auth: slow},
	}
}

// A wire is both servers in this process, each behind a toxiproxy.
type wire struct {
	*bench
	*dev.Servers
	dir                 string
	fronts              []*http.Server // both servers, where they are metered
	docs                *docapi.Server
	toAuth, toAPI       *toxiproxy.Proxy
	atAuth, atAPI       *meter
	usualAuth, usualAPI traffic

	keyless atomic.Bool // the API ignores keys

	mu       sync.Mutex
	answered map[string]int // Idempotency-Key to how often the API said that the report is there
}

func network(ctx context.Context, b *bench) ([]*row, error) {
	w, err := newWire(ctx, b)
	if err != nil {
		return nil, err
	}
	defer func() { _ = w.close() }()
	if err := w.measure(ctx); err != nil {
		return nil, err
	}
	var rows []*row
	for i, d := range disturbances() {
		r := &row{Fault: d.name}
		rows = append(rows, r)
		if err := w.disturb(ctx, i, d, r); err != nil {
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
	// Analysts go where they are metered and disturbed; the API asks the authorization
	// server at its own address. Documents name the API where analysts find it.
	if w.atAuth, err = newMeter(); err != nil {
		return nil, err
	}
	if w.atAPI, err = newMeter(); err != nil {
		return nil, err
	}
	zerolog.SetGlobalLevel(zerolog.Disabled) // toxics have a logger of their own
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	w.toAuth = toxiproxy.NewProxy(server, "authorization", "127.0.0.1:0", w.atAuth.Addr().String())
	w.toAPI = toxiproxy.NewProxy(server, "api", "127.0.0.1:0", w.atAPI.Addr().String())
	for _, p := range []*toxiproxy.Proxy{w.toAuth, w.toAPI} {
		if err := p.Start(); err != nil {
			return nil, err
		}
	}
	w.Servers, err = dev.Start(ctx, dev.Config{API: func(guard *resource.Verifier, _ string) (http.Handler, error) {
		w.docs, err = docapi.New(docapi.Config{BaseURL: "http://" + w.toAPI.Listen, Reports: w.path("reports"), Verifier: guard})
		return w.docs, err
	}})
	if err != nil {
		return nil, err
	}
	for l, h := range map[*meter]http.Handler{w.atAuth: w.Auth, w.atAPI: w.count(w.docs)} {
		front := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
		w.fronts = append(w.fronts, front)
		go func() { _ = front.Serve(l) }() // until it is closed
	}
	return w, nil
}

func (w *wire) path(name string) string { return filepath.Join(w.dir, name) }

// count counts how often the API said under a key that the report is there. An API
// without keys never gets to see one.
func (w *wire) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		seen := &serve.StatusWriter{ResponseWriter: rw}
		given := r
		if w.keyless.Load() {
			given = r.Clone(r.Context())
			given.Header.Del("Idempotency-Key")
		}
		next.ServeHTTP(seen, given)
		if seen.Status == http.StatusCreated {
			w.mu.Lock()
			w.answered[r.Header.Get("Idempotency-Key")]++
			w.mu.Unlock()
		}
	})
}

func (w *wire) close() error {
	var errs []error
	for _, p := range []*toxiproxy.Proxy{w.toAuth, w.toAPI} {
		if p != nil && p.Enabled {
			p.Stop()
		}
	}
	for _, front := range w.fronts {
		errs = append(errs, front.Close()) // and its listener
	}
	if w.Servers != nil {
		errs = append(errs, w.Close())
	}
	if w.docs != nil {
		errs = append(errs, w.docs.Close())
	}
	return errors.Join(errs...)
}

func (w *wire) analysts(state string, keyless bool) setup {
	agent := w.Client()
	s := w.setup(w.dir, state, "http://"+w.toAuth.Listen, agent.Org, agent.ClientID, agent.ClientSecret.Reveal(), "http://"+w.toAPI.Listen)
	if !keyless {
		s.env = append(s.env, "ANALYST_API_IDEMPOTENT=true")
	}
	// Nobody else is here, so all that is active is theirs.
	s.grants = func(context.Context, string) (issued, active int, err error) {
		return 0, w.Auth.Snapshot().LiveTokens, nil
	}
	return s
}

// measure lets a run go undisturbed, to know what it moves.
func (w *wire) measure(ctx context.Context) error {
	if _, err := w.analysts(w.path("state"), false).undisturbed(ctx); err != nil {
		return err
	}
	w.usualAuth, w.usualAPI = w.atAuth.read(), w.atAPI.read()
	return nil
}

// disturb plays one disturbance, some times.
func (w *wire) disturb(ctx context.Context, n int, d disturbance, r *row) error {
	rng := w.random(100 + uint64(n)) //nolint:gosec // small
	w.keyless.Store(d.keyless)
	s := w.analysts(w.path(fmt.Sprintf("state-%d", n)), d.keyless)
	failed, before := 0, w.repeated()
	for i := range max(5, w.trials/12) {
		title := fmt.Sprintf("Wire %d %d", n, i)
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
		t := trial{setup: s, row: r, title: title, said: a, code: code}
		if err := t.judge(ctx); err != nil {
			return err
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
		toxics poison
		usual  traffic
	}{{w.toAPI, d.api, w.usualAPI}, {w.toAuth, d.auth, w.usualAuth}} {
		if side.toxics == nil {
			continue
		}
		for _, text := range side.toxics(rng, side.usual) {
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
