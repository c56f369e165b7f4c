package lumodev

import (
	"bufio"
	"errors"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/internal/sqldb"
)

// childDir names the state directory that a child process serves; see TestMain.
const childDir = "LUMODEV_TEST_CHILD_STATE"

// TestMain lets a test run this binary again as a server to be killed. The child
// serves until then, and does not close.
func TestMain(m *testing.M) {
	dir := os.Getenv(childDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	s, err := New(Config{StateDir: dir, BaseURL: fixedURL})
	if err != nil {
		_, _ = os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
	_, _ = os.Stdout.WriteString(httptest.NewServer(s).URL + "\n")
	select {}
}

// fixedURL is the BaseURL of servers that restart: a token is of its issuer.
const fixedURL = "http://lumodev.test"

// persistent serves dir at some port, under one issuer.
func persistent(t *testing.T, dir string, clk *clock) *env {
	t.Helper()
	s, url := served(t, Config{StateDir: dir, BaseURL: fixedURL, Now: clk.Now})
	return &env{T: t, Server: s, clock: clk, url: url, prefix: orgs}
}

func TestRestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a %23?b", "state") // what a DSN would misread
	e := persistent(t, dir, newClock())
	clk := e.clock
	token, reviewer := e.login(DefaultAgentClientID), e.reviewerToken()
	task, live := e.jit(token)
	gone, dead := e.jit(token)
	e.post("jit/task/"+gone+"/complete", token, nil)
	revoked := e.login(DefaultAgentClientID)
	e.post("oauth/revoke", revoked, url.Values{"token": {revoked}})
	child := e.want(201, e.post("jit/task", token, `{"parent_task_id":"`+task+`","on_behalf_of":"`+DefaultUserEmail+`"}`)).str("task_id")
	open := e.ask(token, child, deleteDoc).str("request_id")
	denied := e.ask(token, child, deleteDoc).str("request_id")
	e.post("jit/deny/"+denied, reviewer, `{"agent_message":"no"}`)
	approved := e.ask(token, task, readDoc).str("request_id")
	redeemed := e.ask(token, task, writeDoc).str("request_id")
	first := e.post("jit/request/"+redeemed+"/token", token, nil).str("access_token")
	approval := e.post("agents/me/approvals", token, `{"task_id":"t","reason":"r","impact":"low","on_behalf_of":2}`).str("approval_token")
	before := e.Snapshot()
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}

	e = persistent(t, dir, clk)
	after := e.Snapshot()
	after.Totals = before.Totals // of this process
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("state (-before +after):\n%s", diff)
	}
	if !e.active(token) || !e.active(live) || e.active(dead) || e.active(revoked) || !e.active(reviewer) {
		t.Error("a restart changed which tokens are active")
	}
	e.login(DefaultAgentClientID) // with the secret of before, see below
	e.want(200, e.get("jit/request/"+open+"/status", token))
	if a := e.get("jit/request/"+denied+"/status", token); a.str("agent_message") != "no" {
		t.Errorf("denied: %s", a.raw)
	}
	e.want(200, e.post("jit/approve/"+open, reviewer, nil))
	e.want(200, e.post("jit/request/"+approved+"/token", token, nil))
	again := e.want(200, e.post("jit/request/"+redeemed+"/token", token, nil)).str("access_token")
	v1, err1 := e.keys.verify(first, clk.Now())
	v2, err2 := e.keys.verify(again, clk.Now())
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(v1, v2, cmp.AllowUnexported(verified{})); diff != "" {
		t.Errorf("redeeming after a restart (-first +again):\n%s", diff)
	}
	e.want(200, e.get("agents/me/approvals/"+approval+"/status", token))
	e.want(200, e.post("jit/task/"+task+"/complete", token, nil))
	if e.active(live) || e.active(again) || e.Snapshot().LiveTokens != 0 {
		t.Error("completing after a restart left tokens active")
	}
	for _, info := range e.Snapshot().Tasks {
		if info.ID == child && info.State != "completed" {
			t.Errorf("child is %s, want completed with its parent", info.State)
		}
	}
}

// TestKill kills a server process without warning: what it answered is true.
func TestKill(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no SIGKILL")
	}
	dir := filepath.Join(t.TempDir(), "state")
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{StateDir: dir, BaseURL: fixedURL}); !errors.Is(err, ErrInUse) {
		t.Errorf("a second server on the directory: %v, want %v", err, ErrInUse)
	}
	// The secret that the child made is in its directory: the next server has it.
	db, err := sqldb.Connect(filepath.Join(dir, databaseFile), false)
	if err != nil {
		t.Fatal(err)
	}
	var pw string
	err = db.Query(func(r sqldb.Row) error { pw = r.Text(0); return nil }, "SELECT secret FROM secrets WHERE client_id = ?", DefaultAgentClientID)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	e := &env{T: t, url: strings.TrimSpace(line), prefix: orgs}
	token := e.want(200, e.post("oauth/token", "", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {DefaultAgentClientID}, "client_secret": {pw},
	})).str("access_token")
	kept, live := e.jit(token)
	ended, dead := e.jit(token)
	e.want(200, e.post("jit/task/"+ended+"/complete", token, nil))
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed

	e = persistent(t, dir, &clock{now: time.Now()})
	if e.secretOf(DefaultAgentClientID) != pw {
		t.Error("another secret after a restart")
	}
	if !e.active(token) || !e.active(live) || e.active(dead) {
		t.Error("what was answered before the kill is not true after it")
	}
	e.want(200, e.post("jit/task/"+kept+"/complete", token, nil))
	if e.active(live) {
		t.Error("completing a task of before the kill left its token active")
	}
}

func TestStateDirIsPrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes mean nothing")
	}
	dir := filepath.Join(t.TempDir(), "state")
	e := persistent(t, dir, newClock())
	token := e.login(DefaultAgentClientID)
	_, jit := e.jit(token)
	approval := e.post("agents/me/approvals", token, `{"task_id":"t","reason":"r","impact":"low","on_behalf_of":2}`).str("approval_token")
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) < 3 {
		t.Fatalf("%d files, %v", len(entries), err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %#o, want 0600", entry.Name(), info.Mode().Perm())
		}
		data, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for name, v := range map[string]string{"base token": token, "JIT token": jit, "approval token": approval} {
			if strings.Contains(string(data), v) {
				t.Errorf("%s holds a %s", entry.Name(), name)
			}
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory: %v, %v, want 0700", info.Mode(), err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, filepath.Join(dir, databaseFile)} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, info.Mode().Perm()|0o040); err != nil {
			t.Fatal(err)
		}
		if _, err := New(Config{StateDir: dir, BaseURL: fixedURL}); err == nil || !strings.Contains(err.Error(), "chmod go=") {
			t.Errorf("%s readable by others: %v, want advice", filepath.Base(path), err)
		}
		if err := os.Chmod(path, info.Mode().Perm()); err != nil {
			t.Fatal(err)
		}
	}
}

// inDatabase returns what executes a statement in the database of a directory.
func inDatabase(statement string) func(dir string) error {
	return func(dir string) error {
		db, err := sqldb.Connect(filepath.Join(dir, databaseFile), true)
		if err != nil {
			return err
		}
		return errors.Join(db.Do(statement), db.Close())
	}
}

func TestStateDirRefuses(t *testing.T) {
	for name, row := range map[string]struct {
		spoil func(dir string) error
		want  string
	}{
		"later schema": {inDatabase("PRAGMA user_version = 2"), "was written by a later version (schema 2, this program knows 1)"},
		"no database": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, databaseFile), []byte(strings.Repeat("not a database", 100)), 0o600)
		}, "file is not a database"},
		"damaged record": {inDatabase("INSERT INTO records VALUES ('task', 'task_x', '{')"), "task task_x is damaged"},
		"damaged key":    {inDatabase(`UPDATE secrets SET secret = '{"kty":"EC","d":"canary"}' WHERE client_id = '(signing key)'`), "does not hold an ES256 private key"},
		"a file": {func(dir string) error {
			return errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600))
		}, "not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			s, err := New(Config{StateDir: dir, BaseURL: fixedURL})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := row.spoil(dir); err != nil {
				t.Fatal(err)
			}
			_, err = New(Config{StateDir: dir, BaseURL: fixedURL})
			if err == nil || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "canary") {
				t.Errorf("New() = %v, want %q", err, row.want)
			}
			// A failed start lets go of the directory.
			if _, again := New(Config{StateDir: dir, BaseURL: fixedURL}); errors.Is(again, ErrInUse) {
				t.Errorf("New() again = %v", again)
			}
		})
	}
}

// TestEveryWriteIsDurable checks what SQLite was told: no test can cut the power.
func TestEveryWriteIsDurable(t *testing.T) {
	e := persistent(t, filepath.Join(t.TempDir(), "state"), newClock())
	for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal"} {
		var got string
		err := e.store.db.Query(func(r sqldb.Row) error { got = r.Text(0); return nil }, "PRAGMA "+pragma)
		if err != nil || got != want {
			t.Errorf("%s = %q, %v, want %q", pragma, got, err, want)
		}
	}
}

// TestStoreFails has the disk fail: nothing is answered that is not kept.
func TestStoreFails(t *testing.T) {
	e := persistent(t, filepath.Join(t.TempDir(), "state"), newClock())
	token := e.login(DefaultAgentClientID)
	task, jit := e.jit(token)
	before := e.Snapshot()
	if err := e.store.db.Do("CREATE TRIGGER full BEFORE INSERT ON records BEGIN SELECT RAISE(ABORT, 'disk is full'); END"); err != nil {
		t.Fatal(err)
	}
	for _, a := range []*answer{
		e.post("jit/task", token, nil),
		e.post("jit/request", token, map[string]any{"task_id": task, "authorization_details": readDoc}),
		e.post("jit/task/"+task+"/complete", token, nil),
		e.post("oauth/revoke", token, url.Values{"token": {jit}}),
	} {
		e.wantError(500, codeServerError, a)
		if strings.Contains(a.raw, "full") {
			t.Errorf("the cause reaches the client: %s", a.raw)
		}
	}
	if diff := cmp.Diff(before, e.Snapshot()); diff != "" || !e.active(jit) {
		t.Errorf("a failed write changed memory (-before +after):\n%s", diff)
	}
	if err := e.store.db.Do("DROP TRIGGER full"); err != nil {
		t.Fatal(err)
	}
	e.want(200, e.post("jit/task/"+task+"/complete", token, nil))
}

func TestOldTasksAreForgotten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	e := persistent(t, dir, newClock())
	clk := e.clock
	token := e.login(DefaultAgentClientID)
	task, _ := e.jit(token)
	e.post("oauth/revoke", token, url.Values{"token": {token}})
	e.clock.Advance(25 * time.Hour)
	token = e.login(DefaultAgentClientID)
	fresh, _ := e.jit(token)
	if snap := e.Snapshot(); len(snap.Tasks) != 1 || snap.Tasks[0].ID != fresh || len(snap.Requests) != 1 {
		t.Errorf("tasks = %v", snap.Tasks)
	}
	if len(e.st.revoked) != 0 || len(e.st.tokens) != 1 || len(e.issued) != 1 {
		t.Errorf("%d revocations, %d token records, %d tokens kept", len(e.st.revoked), len(e.st.tokens), len(e.issued))
	}
	e.wantError(404, codeNotFound, e.post("jit/task/"+task+"/complete", token, nil))
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if e = persistent(t, dir, clk); len(e.Snapshot().Tasks) != 1 {
		t.Errorf("tasks = %v after a restart", e.Snapshot().Tasks)
	}
}

// TestEndedTasksAreBounded ends more tasks within a minute than may stay known.
func TestEndedTasksAreBounded(t *testing.T) {
	clk := newClock()
	s, err := New(Config{BaseURL: fixedURL, Now: clk.Now})
	if err != nil {
		t.Fatal(err)
	}
	do := func(h handler) {
		t.Helper()
		if _, err := inState(h)(&call{s: s, r: httptest.NewRequestWithContext(t.Context(), "POST", "/", nil), now: clk.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	open := func(c *call, state taskState, ended time.Time) {
		id := newID(taskPrefix)
		c.ch.add(task{ID: id, State: state, CreatedAt: c.now, EndedAt: ended, ExpiresAt: c.now.Add(time.Hour)},
			request{ID: newID(requestPrefix), TaskID: id, CreatedAt: c.now})
	}
	do(func(c *call) (any, error) { open(c, taskActive, time.Time{}); return nil, nil })
	for i := range 3 * maxEnded {
		do(func(c *call) (any, error) { open(c, taskCompleted, c.now.Add(time.Duration(i))); return nil, nil })
	}
	if n := len(s.st.tasks); n < maxEnded || n > 2*maxEnded+2 || len(s.st.requests) != n || len(s.st.ofTask) != n {
		t.Errorf("%d tasks, %d requests, %d lists of requests, want at most %d", n, len(s.st.requests), len(s.st.ofTask), 2*maxEnded+2)
	}
	active := 0
	for _, task := range s.st.tasks {
		if task.State == taskActive {
			active++
		} else if task.EndedAt.Before(clk.Now().Add(maxEnded)) {
			t.Fatalf("a task that ended at %v is kept in the place of a later one", task.EndedAt)
		}
	}
	if active != 1 {
		t.Errorf("%d active tasks, want the one", active)
	}
}

func TestClosedServerFails(t *testing.T) {
	e := persistent(t, filepath.Join(t.TempDir(), "state"), newClock())
	token := e.login(DefaultAgentClientID)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e.wantError(500, codeServerError, e.post("jit/task", token, nil))
}
