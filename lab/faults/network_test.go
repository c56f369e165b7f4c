package faults

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
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
	*lab
	*dev.Servers
	dir           string
	toAuth, toAPI *way

	keyless atomic.Bool // the API ignores keys

	mu       sync.Mutex
	answered map[string]int // Idempotency-Key to how often the API said that the report is there
}

// A way to a server is metered and disturbed.
type way struct {
	*toxiproxy.Proxy
	meter *meter
	usual traffic
}

func network(t *testing.T, l *lab) {
	w := &wire{lab: l, dir: t.ArtifactDir(), answered: map[string]int{}}
	// Analysts go where they are metered and disturbed; the API asks the authorization
	// server at its own address. Documents name the API where analysts find it.
	zerolog.SetGlobalLevel(zerolog.Disabled) // toxics have a logger of their own
	proxies := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	open := func(name string) *way {
		m := &meter{Listener: must(serve.Listen("", false))(t)}
		p := &way{Proxy: toxiproxy.NewProxy(proxies, name, "127.0.0.1:0", m.Addr().String()), meter: m}
		check(t, p.Start())
		t.Cleanup(p.Stop)
		return p
	}
	w.toAuth, w.toAPI = open("authorization"), open("api")
	var docs *docapi.Server
	w.Servers = must(dev.Start(l.ctx, dev.Config{API: func(guard *resource.Verifier, _ string) (_ http.Handler, err error) {
		docs, err = docapi.New(docapi.Config{BaseURL: "http://" + w.toAPI.Listen, Reports: w.dir + "/reports", Verifier: guard})
		return docs, err
	}}))(t)
	t.Cleanup(func() { _ = w.Close(); _ = docs.Close() })
	for m, h := range map[*meter]http.Handler{w.toAuth.meter: w.Auth, w.toAPI.meter: w.count(docs)} {
		front := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
		go func() { _ = front.Serve(m) }() // until it is closed
		t.Cleanup(func() { _ = front.Close() })
	}
	w.analysts("state", false).undisturbed(t) // to know what a run moves
	w.toAuth.usual, w.toAPI.usual = w.toAuth.meter.read(), w.toAPI.meter.read()
	for i, d := range disturbances() {
		w.disturb(t, i, d)
	}
}

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

func (w *wire) analysts(state string, keyless bool) setup {
	agent := w.Client()
	s := w.setup(w.dir, w.dir+"/"+state, "http://"+w.toAuth.Listen, agent.Org, agent.ClientID, agent.ClientSecret.Reveal(), "http://"+w.toAPI.Listen)
	if !keyless {
		s.env = append(s.env, "ANALYST_API_IDEMPOTENT=true")
	}
	// Nobody else is here, so all that is active is theirs.
	s.grants = func(*testing.T, string) (issued, active int) { return 0, w.Auth.Snapshot().LiveTokens }
	return s
}

// disturb plays one disturbance, some times.
func (w *wire) disturb(t *testing.T, n int, d disturbance) {
	r, rng := w.row(d.name), w.random(100+n)
	w.keyless.Store(d.keyless)
	s := w.analysts("state-"+number(n), d.keyless)
	failed, before := 0, w.repeated()
	for i := range max(5, *trials/12) {
		w.toAPI.poison(t, d.api, rng)
		w.toAuth.poison(t, d.auth, rng)
		run := trial{setup: s, row: r, title: "Wire " + number(n) + " " + number(i)}
		run.said, run.code = s.run(t, "run", job(run.title))
		w.toAPI.Toxics.ResetToxics(w.ctx)
		w.toAuth.Toxics.ResetToxics(w.ctx)
		if run.code != exitDone {
			failed++
		}
		r.Trials++
		run.judge(t)
	}
	r.Note = fmt.Sprintf("%d runs failed; %d answers under a used key", failed, w.repeated()-before)
}

// repeated counts answers that only a lost answer explains.
func (w *wire) repeated() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, times := range w.answered {
		n += times - 1
	}
	return n
}

// poison adds the toxics that p draws; nil draws none.
func (w *way) poison(t *testing.T, p poison, rng *rand.Rand) {
	if p == nil {
		return
	}
	for _, text := range p(rng, w.usual) {
		must(w.Toxics.AddToxicJson(strings.NewReader(text)))(t)
	}
}
