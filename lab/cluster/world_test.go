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
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/jitagent/jitagent/agent"
	"github.com/jitagent/jitagent/internal/pgtest"
	"github.com/jitagent/jitagent/internal/sqldb"
	"github.com/jitagent/jitagent/lumoauth"
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
	agent    *lumoauth.Client
	reviewer secret.String
	open     func() journal.Store
	runs     *sql.DB // to look at
	restart  func() error
	members  []*member

	mu    sync.Mutex
	never map[string]bool // requests that nobody decides
	hit   time.Time       // when a member was killed or stopped last
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

// newWorld starts the servers; the state is in a directory, or in a database of pg.
func newWorld(t *testing.T, bins []string, pg *pgtest.Server) *world {
	w := &world{T: t, dir: t.TempDir(), bins: bins, never: map[string]bool{}}
	for _, dir := range []string{"reports", "state", "dev"} {
		check(t, os.Mkdir(w.path(dir), 0o700))
	}
	dev := exec.CommandContext(t.Context(), bins[0], "dev", "--state", w.path("dev"), "--reports", w.path("reports"), "--env-file", w.path("env"), "--operator-env-file", w.path("operator"))
	dev.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	check(t, dev.Start())
	t.Cleanup(func() { _, _ = dev.Process.Kill(), dev.Wait() })
	env := map[string]string{}
	export := regexp.MustCompile(`(?m)^export (\w+)='?([^'\n]*)'?$`)
	for len(env) < 5 || env["LUMODEV_REVIEWER_TOKEN"] == "" {
		check(t, t.Context().Err())
		for _, file := range []string{"env", "operator"} {
			text, _ := os.ReadFile(w.path(file))
			for _, m := range export.FindAllStringSubmatch(string(text), -1) {
				env[m[1]] = m[2]
			}
		}
	}
	env["ANALYST_MODEL"], env["ANALYST_API_IDEMPOTENT"] = "openai/offline", "false"
	env["OPENAI_BASE_URL"] = slow(t, env["OPENAI_BASE_URL"])
	for name, value := range env {
		w.env = append(w.env, name+"="+value)
	}
	w.agent = must(lumoauth.New(lumoauth.Config{
		URL: env["LUMOAUTH_URL"], Org: env["LUMOAUTH_ORG_ID"], ClientID: env["AGENT_CLIENT_ID"], ClientSecret: secret.New(env["AGENT_CLIENT_SECRET"]),
	}))(t)
	w.reviewer = secret.New(env["LUMODEV_REVIEWER_TOKEN"])
	w.env = append(w.env, "HOME="+w.dir, "ANALYST_STATE_DIR="+w.path("state"))
	check(t, os.WriteFile(w.path("tokens"), []byte(serve.Hash(secret.New(user))+" "+user+"\n"), 0o600))
	if pg == nil {
		w.open = func() journal.Store {
			return must(sqlite.Open(t.Context(), sqlite.Options{Dir: w.path("state"), ReadOnly: true}))(t)
		}
		return w
	}
	address, key := pg.URL(t), rand.Text()+rand.Text()
	check(t, os.WriteFile(w.path("key"), []byte(key), 0o600))
	w.env = append(w.env, "ANALYST_DATABASE="+address, "ANALYST_TENANT=lab", "ANALYST_VAULT_KEY_FILE="+w.path("key"))
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

// slow returns the address of a proxy that makes a model take its time, so that runs are
// under way when something happens to whoever has them.
func slow(t *testing.T, address string) string {
	to := must(url.Parse(address))(t)
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: to.Scheme, Host: to.Host})
	proxy.ErrorLog = log.New(io.Discard, "", 0) // of members that die
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(500 * time.Millisecond):
		case <-r.Context().Done():
		}
		proxy.ServeHTTP(rw, r)
	}))
	t.Cleanup(server.Close)
	return server.URL + to.Path
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
	w    *world
	args []string
	url  string // "" for one that takes no requests

	mu   sync.Mutex
	bin  string
	cmd  *exec.Cmd
	over bool
	done chan struct{}
}

// join starts a member: one that serves, if it is to take requests.
func (w *world) join(name string, serves bool) *member {
	m := &member{w: w, bin: w.bins[0], done: make(chan struct{}), args: []string{"worker", "--workers", "6"}}
	if serves {
		l := must(net.Listen("tcp", "127.0.0.1:0"))(w)
		check(w, l.Close())
		m.url = "http://" + l.Addr().String()
		m.args = []string{"serve", "--listen", l.Addr().String(), "--token-file", w.path("tokens"), "--workers", "4", "--max-runs-per-user", "64", "--max-rate", "100000", "--notice", "0s"}
	}
	started := make(chan struct{})
	said := must(os.Create(w.path(name + ".log")))(w)
	go m.keep(said, started)
	<-started
	w.members = append(w.members, m)
	w.Cleanup(m.end)
	return m
}

// keep runs the member until it is over.
func (m *member) keep(said *os.File, started chan<- struct{}) {
	defer close(m.done)
	defer func() { _ = said.Close() }()
	for n := 0; ; n++ {
		m.mu.Lock()
		if m.over {
			m.mu.Unlock()
			return
		}
		cmd := exec.Command(m.bin, m.args...)
		cmd.Env, cmd.Stderr, cmd.SysProcAttr = m.w.env, said, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		err := cmd.Start()
		m.cmd = cmd
		m.mu.Unlock()
		if n == 0 {
			close(started)
		}
		if err == nil {
			err = cmd.Wait()
		}
		_, _ = fmt.Fprintf(said, "-- ended: %v\n", err)
		if n > 0 {
			time.Sleep(200 * time.Millisecond) // as supervisors do
		}
	}
}

// signal sends one, with the program to start next.
func (m *member) signal(sig syscall.Signal, bin string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bin = bin
	if sig == syscall.SIGKILL || sig == syscall.SIGSTOP {
		m.w.mu.Lock()
		m.w.hit = time.Now()
		m.w.mu.Unlock()
	}
	_ = m.cmd.Process.Signal(sig)
}

// end has the member end in order.
func (m *member) end() {
	m.mu.Lock()
	m.over = true
	_ = m.cmd.Process.Signal(syscall.SIGTERM)
	m.mu.Unlock()
	<-m.done
}

// ready waits until the members that serve answer.
func (w *world) ready() {
	for _, m := range w.members {
		for m.url != "" {
			check(w, w.Context().Err())
			if status, _ := w.post(m, "GET", "/readyz", nil); status == http.StatusOK {
				break
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

const app = agent.Name

func sessionPath(id string) string {
	return "/api/apps/" + app + "/users/" + user + "/sessions/" + id
}

// say has a session begin: its run makes one report, which waits for a person first if it
// is about what is restricted.
func (w *world) say(n int) {
	var served []*member
	for _, m := range w.members {
		if m.url != "" {
			served = append(served, m)
		}
	}
	for try := range 1000 {
		m := served[(n+try)%len(served)]
		if status, _ := w.post(m, "POST", sessionPath(name(n)), nil); status != http.StatusOK && status != http.StatusConflict {
			time.Sleep(100 * time.Millisecond)
			continue
		}
		document := "doc_9982"
		if waits(n) {
			document = "doc_7310"
		}
		status, _ := w.post(m, "POST", "/api/run", map[string]any{"appName": app, "userId": user, "sessionId": name(n), "newMessage": map[string]any{
			"role": "user", "parts": []any{map[string]any{"text": fmt.Sprintf("Create a report titled '%s' about document %s", title(n), document)}},
		}})
		if status != http.StatusServiceUnavailable && status != http.StatusTooManyRequests {
			return // also where the member died: somebody goes on with it
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func name(n int) string  { return fmt.Sprintf("s%04d", n) }
func title(n int) string { return fmt.Sprintf("Case %04d", n) }
func waits(n int) bool   { return n%5 < 2 }

// decide decides what waits, until ctx ends: at once, late, twice or never.
func (w *world) decide(ctx context.Context) {
	seen := map[string]bool{}
	for ctx.Err() == nil {
		list, err := w.agent.Pending(ctx, w.reviewer)
		for _, r := range list.Requests {
			if err != nil || seen[r.RequestID] {
				continue
			}
			seen[r.RequestID] = true
			approve := func() { _, _ = w.agent.Approve(ctx, w.reviewer, r.RequestID, lumoauth.Approval{}) }
			switch len(seen) % 10 {
			case 0:
				w.mu.Lock()
				w.never[r.RequestID] = true
				w.mu.Unlock()
			case 3, 7:
				time.AfterFunc(10*time.Second, approve)
			case 5:
				approve()
				approve()
			default:
				approve()
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}
