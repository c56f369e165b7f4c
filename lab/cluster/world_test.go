package cluster

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/jitagent/jitagent/dev"
	"github.com/jitagent/jitagent/dev/docapi"
	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/dev/modelserver"
	"github.com/jitagent/jitagent/internal/pgtest"
	"github.com/jitagent/jitagent/internal/sqldb"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/models/offline"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/resource"
	"github.com/jitagent/jitagent/secret"
	"github.com/jitagent/jitagent/serve"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/postgres"
	"github.com/jitagent/jitagent/state/session"
	"github.com/jitagent/jitagent/state/sqlite"
)

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		check(t, err)
		return v
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// user is who talks to all sessions, and the token of theirs.
const user = "ada"

// A world is an authorization server with an API, and the members of a cluster.
type world struct {
	*testing.T
	dir      string
	bins     []string // of the program, an earlier and a later build
	env      []string // of the members
	servers  *dev.Servers
	model    http.Handler
	agent    *lumoauth.Client
	reviewer lumoauth.Reviewer
	open     func() journal.Store
	runs     *sql.DB      // to look at
	restart  func() error // the database, which has leases; nil for one without
	members  []*member
	answers  chan caught // of the model of any
	upgraded atomic.Bool // all members, after the last trouble

	mu     sync.Mutex // also of the members
	has    map[int]*member
	busy   map[int]int  // requests of a session that are not answered
	left   map[int]left // sessions of whoever was killed or stopped
	took   []time.Duration
	asked  map[string]*request
	killed map[int]bool     // sessions that were ended by "analyst kill"
	late   map[int]int      // what they asked for afterwards
	slept  map[string]int64 // the last entries of processes that others took for dead
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

// newWorld starts the servers; the state is in a directory, or in a database of pg.
func newWorld(t *testing.T, bins []string, pg *pgtest.Server) *world {
	w := &world{
		T: t, dir: t.ArtifactDir(), bins: bins, has: map[int]*member{}, busy: map[int]int{}, left: map[int]left{},
		asked: map[string]*request{}, killed: map[int]bool{}, late: map[int]int{}, slept: map[string]int64{}, answers: make(chan caught),
	}
	for _, dir := range []string{"reports", "state"} {
		check(t, os.Mkdir(w.path(dir), 0o700))
	}
	var api *docapi.Server
	w.servers = must(dev.Start(t.Context(), dev.Config{
		Auth: lumodev.Config{Risk: lumodev.RiskPolicy{Assess: func(d rar.Detail) lumodev.Risk {
			if d.Identifier == restricted {
				return lumodev.High
			}
			return ""
		}}},
		API: func(guard *resource.Verifier, base string) (_ http.Handler, err error) {
			api, err = docapi.New(docapi.Config{BaseURL: base, Reports: w.path("reports"), Verifier: guard})
			return w.wire(api, nil), err
		},
	}))(t)
	t.Cleanup(func() { _ = w.servers.Close(); _ = api.Close() })
	agent := w.servers.Client()
	w.agent = must(lumoauth.New(agent))(t)
	w.reviewer = lumoauth.Reviewer{Client: w.agent, Token: w.servers.Auth.Reviewer}
	w.model = must(modelserver.New(modelserver.Config{Fallback: offline.New()}))(t)
	w.env = []string{
		"LUMOAUTH_URL=" + agent.URL, "LUMOAUTH_ORG_ID=" + agent.Org, "AGENT_CLIENT_ID=" + agent.ClientID, "AGENT_CLIENT_SECRET=" + agent.ClientSecret.Reveal(),
		"ANALYST_API_URL=" + w.servers.API.String(), "ANALYST_API_IDEMPOTENT=false", "ANALYST_MODEL=openai/offline",
		"HOME=" + w.dir, "ANALYST_STATE_DIR=" + w.path("state"),
	}
	check(t, os.WriteFile(w.path("tokens"), []byte(serve.Hash(secret.New(user))+" "+user+"\n"), 0o600))
	if pg == nil {
		w.open = func() journal.Store {
			return must(sqlite.Open(t.Context(), sqlite.Options{Dir: w.path("state"), ReadOnly: true}))(t)
		}
		return w
	}
	address, key := pg.URL(t), rand.Text()+rand.Text()
	check(t, os.WriteFile(w.path("key"), []byte(key), 0o600))
	w.env = append(w.env, "ANALYST_DATABASE="+address+"&pool_max_conns=16", "ANALYST_TENANT=lab", "ANALYST_VAULT_KEY_FILE="+w.path("key"))
	w.restart = pg.Restart
	w.open = func() journal.Store {
		db := must(postgres.Connect(t.Context(), postgres.Options{URL: secret.New(address), Tenant: "lab", Key: secret.New(key)}))(t)
		t.Cleanup(db.Close)
		if w.runs == nil {
			w.runs = stdlib.OpenDBFromPool(db.Pool())
		}
		return must(postgres.OpenJournal(t.Context(), db, postgres.JournalOptions{ReadOnly: true}))(t)
	}
	return w
}

// look opens the database to look at, which the members have made.
func (w *world) look() {
	if w.restart != nil {
		_ = w.open().Close()
		return
	}
	w.runs = must(sqldb.Open(filepath.Join(w.path("state"), session.File), 1))(w)
	w.Cleanup(func() { _ = w.runs.Close() })
}

// A member is a process that is started again when it ends.
type member struct {
	w     *world
	bins  [2]string // an earlier and a later build, with a clock of its own
	ahead time.Duration
	args  []string
	env   []string
	url   string // "" for one that takes no requests

	answers, effects chan caught // of its model, and of the API

	bin  string // to start next
	cmd  *exec.Cmd
	life int // how often it was started
	over bool
	done chan struct{}
}

// join starts a member, whose clock is ahead: one that serves, if it is to take requests.
func (w *world) join(name string, serves bool, ahead time.Duration) {
	m := &member{w: w, ahead: ahead, args: []string{"worker", "--workers", "6", "--ttl", "15m"}, done: make(chan struct{})}
	m.answers, m.effects = make(chan caught), make(chan caught)
	for i, bin := range w.bins {
		m.bins[i] = bin
		if ahead != 0 {
			m.bins[i] = w.path(fmt.Sprint(name, i))
			setClock(w, bin, m.bins[i], ahead)
		}
	}
	m.bin = m.bins[0]
	model := httptest.NewServer(w.wire(w.model, m))
	w.Cleanup(model.Close)
	m.env = append(slices.Clip(w.env), "OPENAI_BASE_URL="+model.URL+"/v1")
	if serves {
		l := must(net.Listen("tcp", "127.0.0.1:0"))(w)
		check(w, l.Close())
		m.url = "http://" + l.Addr().String()
		m.args = []string{
			"serve", "--listen", l.Addr().String(), "--token-file", w.path("tokens"), "--workers", "4", "--wait", "1s", "--ttl", "15m",
			"--max-runs-per-user", "64", "--max-rate", "100000", "--notice", "0s",
		}
	}
	started := make(chan struct{})
	said := must(os.Create(w.path(name + ".log")))(w)
	go m.keep(said, started)
	<-started
	w.members = append(w.members, m)
	w.Cleanup(m.end)
}

// keep runs the member until it is over.
func (m *member) keep(said *os.File, started chan<- struct{}) {
	defer close(m.done)
	defer func() { _ = said.Close() }()
	for {
		m.w.mu.Lock()
		if m.over {
			m.w.mu.Unlock()
			return
		}
		cmd := exec.Command(m.bin, m.args...)
		cmd.Env, cmd.Stderr, cmd.SysProcAttr = m.env, said, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		err := cmd.Start()
		m.cmd = cmd
		m.life++
		first := m.life == 1
		m.w.mu.Unlock()
		if first {
			close(started)
		}
		if err == nil {
			err = cmd.Wait()
		}
		_, _ = fmt.Fprintf(said, "-- ended: %v\n", err)
		time.Sleep(200 * time.Millisecond) // as supervisors do
	}
}

// signal sends one, and has the program start next time. What a member that is killed or
// stopped was at is left.
func (m *member) signal(sig syscall.Signal, bin string) {
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	m.bin = bin
	switch sig {
	case syscall.SIGKILL, syscall.SIGSTOP:
		for n, by := range m.w.has {
			if by == m && m.w.busy[n] > 0 {
				m.w.left[n] = left{m, m.life, time.Now(), true}
			}
		}
	case syscall.SIGCONT: // without leases it has all that it had
		for n, l := range m.w.left {
			if l.by == m && l.life == m.life {
				l.silent = false
				m.w.left[n] = l
				if m.w.restart == nil {
					delete(m.w.left, n)
				}
			}
		}
	}
	_ = m.cmd.Process.Signal(sig)
}

// lives returns how often the member was started.
func (m *member) lives() int {
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	return m.life
}

// end has the member end in order.
func (m *member) end() {
	m.w.mu.Lock()
	m.over = true
	_ = m.cmd.Process.Signal(syscall.SIGCONT)
	_ = m.cmd.Process.Signal(syscall.SIGTERM)
	m.w.mu.Unlock()
	<-m.done
}

// ready waits until the members that serve answer, and looks at their clocks.
func (w *world) ready() {
	for _, m := range w.members {
		for m.url != "" {
			check(w, w.Context().Err())
			if status, _ := w.post(m, "GET", "/readyz", nil); status == http.StatusOK {
				break
			}
		}
		if m.url != "" {
			resp := must(http.DefaultClient.Get(m.url + "/healthz"))(w) //nolint:noctx // it answers at once
			_ = resp.Body.Close()
			said := must(http.ParseTime(resp.Header.Get("Date")))(w)
			if off := time.Until(said) - m.ahead; off.Abs() > 10*time.Second {
				w.Errorf("the clock of a member that is to be ahead by %s is off by %s", m.ahead, off)
			}
		}
	}
}

// post sends a request to a member, and returns what it answers; 0 where it does not.
func (w *world) post(m *member, method, path string, body any) (int, string) {
	text, _ := json.Marshal(body)
	ctx, cancel := context.WithTimeout(w.Context(), time.Minute)
	defer cancel()
	req := must(http.NewRequestWithContext(ctx, method, m.url+path, bytes.NewReader(text)))(w)
	req.Header.Set("Authorization", "Bearer "+user)
	resp, err := http.DefaultClient.Do(req)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return http.StatusServiceUnavailable, "" // nobody is there, so nothing was begun
	} else if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	answer, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(answer)
}
