package faults

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/secret"
	"github.com/jitagent/jitagent/state/approval"
)

// A world is analyst dev with a state directory, in a process of its own, the proxy
// that keeps the history of its authorization server, and a state directory for the
// analysts that work with it.
type world struct {
	*lab
	dir     string
	env     map[string]string // as dev printed it
	dev     *exec.Cmd
	log     *os.File
	args    []string
	history *history
	url     string           // of the proxy
	asker   *lumoauth.Client // introspects as the API does
	agent   *lumoauth.Client // decides as a reviewer
}

// inWorld gives a fault a world of its own, and checks afterwards that the history of
// its authorization server is one that the model allows. play returns the row that
// this counts for.
func inWorld(play func(*testing.T, *world) *row) func(*testing.T, *lab) {
	return func(t *testing.T, l *lab) {
		w := newWorld(t, l)
		r := play(t, w)
		for _, bad := range checkHistory(w.history.all()) {
			r.wrong(t, &r.Other, "%s", bad)
		}
	}
}

func newWorld(t *testing.T, l *lab) *world {
	w := &world{lab: l, history: newHistory(), dir: t.ArtifactDir()}
	check(t, os.Mkdir(w.path("reports"), 0o750))
	w.log = must(os.Create(w.path("dev.log")))(t)
	t.Cleanup(func() { _ = w.log.Close() })
	w.args = []string{
		"dev", "--addr", freeAddr(t), "--api-addr", freeAddr(t), "--model-addr", freeAddr(t), "--state", w.path("dev"),
		"--reports", w.path("reports"), "--env-file", w.path("env"), "--operator-env-file", w.path("operator"),
	}
	w.startDev(t)
	t.Cleanup(w.killDev)
	target := must(url.Parse(w.env["LUMOAUTH_URL"]))(t)
	front := httptest.NewServer(w.history.record(&httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host },
		ErrorHandler: func(rw http.ResponseWriter, _ *http.Request, _ error) { rw.WriteHeader(http.StatusBadGateway) },
		Transport:    &http.Transport{MaxIdleConnsPerHost: 32},
	}))
	t.Cleanup(func() {
		front.CloseClientConnections()
		front.Close()
	})
	w.url = front.URL
	client := lumoauth.Config{URL: w.env["LUMOAUTH_URL"], Org: w.env["LUMOAUTH_ORG_ID"]}
	client.ClientID, client.ClientSecret = w.env["LUMODEV_RS_CLIENT_ID"], secret.New(w.env["LUMODEV_RS_CLIENT_SECRET"])
	w.asker = must(lumoauth.New(client))(t)
	client.ClientID, client.ClientSecret = w.env["AGENT_CLIENT_ID"], secret.New(w.env["AGENT_CLIENT_SECRET"])
	w.agent = must(lumoauth.New(client))(t)
	return w
}

// analysts returns the setup for a state directory.
func (w *world) analysts(state string) setup {
	s := w.setup(w.dir, w.path(state), w.url, w.env["LUMOAUTH_ORG_ID"], w.env["AGENT_CLIENT_ID"], w.env["AGENT_CLIENT_SECRET"], w.env["ANALYST_API_URL"])
	s.env = append(s.env, "ANALYST_API_IDEMPOTENT=true")
	s.grants = func(t *testing.T, name string) (issued, active int) {
		for _, task := range w.history.named(name) {
			issued, active = issued+len(task.tokens), active+w.active(t, task)
		}
		return issued, active
	}
	return s
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

// freeAddr returns an address that was free a moment ago, so that a server can come
// back to where it was.
func freeAddr(t *testing.T) string {
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	check(t, l.Close())
	return l.Addr().String()
}

// startDev starts the servers and waits until they answer.
func (w *world) startDev(t *testing.T) {
	if err := os.Remove(w.path("env")); !errors.Is(err, os.ErrNotExist) {
		check(t, err)
	}
	w.dev = exec.CommandContext(w.ctx, w.bin, w.args...)
	w.dev.Dir, w.dev.Env, w.dev.Stderr, w.dev.SysProcAttr = w.dir, []string{"HOME=" + w.dir}, w.log, diesWithUs()
	check(t, w.dev.Start())
	if !w.within(20*time.Second, func() bool {
		text, _ := os.ReadFile(w.path("env"))
		operator, err := os.ReadFile(w.path("operator")) // written before the other
		if err != nil || !strings.Contains(string(text), "ANALYST_API_URL") {
			return false
		}
		w.env = map[string]string{}
		for line := range strings.Lines(string(operator) + string(text)) {
			name, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
			w.env[name] = strings.Trim(value, "'")
		}
		conn, err := net.Dial("tcp", strings.TrimPrefix(w.env["LUMOAUTH_URL"], "http://"))
		return err == nil && conn.Close() == nil
	}) {
		t.Fatal("analyst dev did not start")
	}
}

// killDev ends the servers as a power button does.
func (w *world) killDev() {
	_ = w.dev.Process.Kill() // it may have ended by itself
	_ = w.dev.Wait()         // with the signal
}

// approve decides all that a task waits for, as the reviewer.
func (w *world) approve(requests []string) error {
	reviewer := lumoauth.Reviewer{Client: w.agent, Token: func(context.Context) (secret.String, error) { return secret.New(w.env["LUMODEV_REVIEWER_TOKEN"]), nil }}
	for _, id := range requests {
		if err := reviewer.Decide(w.ctx, id, approval.Decision{Approve: true}); err != nil {
			return err
		}
	}
	return nil
}

// active introspects all tokens of a task and returns how many the authorization
// server calls active. What was said becomes part of the history.
func (w *world) active(t *testing.T, task seenTask) (n int) {
	t.Helper()
	for i, token := range task.tokens {
		call := w.history.now()
		seen := must(w.asker.Introspect(w.ctx, token.value))(t)
		if seen.Active {
			n++
		}
		if time.Until(token.expires) >= 10*time.Second { // else it may end by itself meanwhile
			w.history.add(input{action: probed, task: task.id, token: i}, output_{active: seen.Active}, call, w.history.now())
		}
	}
	return n
}

// secrets are every token that was ever issued, and the agent's secret.
func (w *world) secrets() [][]byte {
	all := [][]byte{[]byte(w.env["AGENT_CLIENT_SECRET"])}
	for _, task := range w.history.named("") {
		for _, token := range task.tokens {
			all = append(all, []byte(token.value.Reveal()))
		}
	}
	return all
}

// serverKills kills the authorization server and the API under a run, at random
// instants, and starts them again where they were. What they answered must hold, and
// what they did not answer must not be done twice.
func serverKills(t *testing.T, w *world) *row {
	r, s := w.row("kill -9 of both servers under a run"), w.analysts("state")
	usual, rng, failed := s.undisturbed(t), w.random(2), 0
	pause := func(d time.Duration) { w.within(d, func() bool { return false }) }
	for i := range max(4, *trials/8) {
		run := trial{setup: s, row: r, title: "Server fault " + number(i)}
		run.said = s.start(t, "", "run", job(run.title))
		// The first tenth is the start of the process, in which nothing is asked.
		pause(usual/10 + time.Duration(rng.Int64N(int64(usual))))
		w.killDev()
		// They are away for a while, sometimes for longer than a call is repeated.
		pause(time.Duration(rng.Int64N(int64(time.Second))))
		w.startDev(t)
		if run.code, _ = run.said.wait(); run.code != exitDone {
			failed++
		}
		r.Trials++
		run.judge(t)
	}
	r.Note = number(failed) + " runs failed"
	return r
}

// together starts many processes at the same instant on a state directory that does
// not exist yet.
func together(t *testing.T, w *world) *row {
	const runs, sweeps = 5, 3
	r := w.row(number(runs) + " runs and " + number(sweeps) + " sweeps at once, no journal yet")
	for i := range max(3, *trials/20) {
		s := w.analysts("state-" + number(i))
		var all [runs + sweeps]trial
		for n := range all {
			all[n] = trial{setup: s, row: r, title: "Together " + number(i) + " " + number(n)}
			args := []string{"run", job(all[n].title)}
			if n >= runs {
				args = []string{"sweep"}
			}
			all[n].said = s.start(t, "", args...)
		}
		for n := range all {
			run := &all[n]
			if run.code, _ = run.said.wait(); run.code != exitDone {
				r.wrong(t, &r.Other, "%s: exit %d: %s", run.title, run.code, run.said.said())
			}
		}
		r.Trials++
		for n := range runs {
			all[n].left(t)
		}
		s.verify(t, r, number(i))
	}
	return r
}
