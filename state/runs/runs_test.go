package runs_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	adk "google.golang.org/adk/v2/session"
	"gorm.io/driver/postgres"

	"github.com/jitagent/jitagent/internal/pgtest"
	"github.com/jitagent/jitagent/internal/sqldb"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/runs"
	"github.com/jitagent/jitagent/state/session"
)

// A world is a database, and processes that share it.
type world struct {
	*testing.T
	open          func(runs.Options) (*runs.Store, error)
	conversations func() (*session.Store, error)
	exec          func(query string) int64 // how many rows it changed
	as            func(user string)        // who opens it from now on; nil where there are no users

	mu      sync.Mutex
	dead    map[string]bool
	claimed map[string]string
	decided map[string]jit.Status
	asked   chan string // each request that is asked about
	resumed chan string

	meanwhile map[string]func() // what happens, once, while a request is asked about
}

// conversation opens the conversations as a process does.
func (w *world) conversation(p *process) *session.Store {
	w.Helper()
	s, err := w.conversations()
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = s.Close() })
	w.check(s.Fence(p.store))
	return s
}

// A process is one of a world, and what its journal says of the others.
type process struct {
	*world
	id        string
	authority string
	lost      chan struct{}
	store     *runs.Store
}

func (p *process) Owner() string         { return p.id }
func (p *process) Lost() <-chan struct{} { return p.lost }

func (p *process) Claim(_ context.Context, owner string) (func() error, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.dead[owner] || p.claimed[owner] != "" {
		return nil, fmt.Errorf("test: %w", journal.ErrOwned)
	}
	p.claimed[owner] = p.id
	return func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.claimed, owner)
		return nil
	}, nil
}

// Status is what the authorization server of a process says of a request.
func (p *process) Status(_ context.Context, request string) (jit.Decision, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked <- p.authority + request
	s, ok := p.decided[p.authority+request]
	if do := p.meanwhile[request]; do != nil {
		delete(p.meanwhile, request)
		do()
	}
	if ok {
		return jit.Decision{Status: s}, nil
	}
	return jit.Decision{Status: jit.StatusPending}, nil
}

func (w *world) start(id string) *process {
	w.Helper()
	return w.startFor("", id)
}

// startFor starts a process that is configured for an authorization server.
func (w *world) startFor(authority, id string) *process {
	w.Helper()
	p := &process{world: w, id: id, authority: authority, lost: make(chan struct{})}
	var err error
	if p.store, err = w.open(runs.Options{Journal: p, Authority: authority}); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = p.store.Close() })
	return p
}

func (w *world) kill(p *process) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead[p.id] = true
}

// begin takes the session s of a user, as a run does.
func (p *process) begin(user string) (context.Context, runner.Lease) {
	p.Helper()
	ctx, l, err := p.store.Begin(p.Context(), "app", user, "s")
	if err != nil {
		p.Fatal(err)
	}
	l.Opened()
	return ctx, l
}

func (p *process) busy(user string) {
	p.Helper()
	if _, _, err := p.store.Begin(p.Context(), "app", user, "s"); !errors.Is(err, runner.ErrBusy) {
		p.Errorf("a session that another run has: %v, want ErrBusy", err)
	}
}

func (w *world) check(err error) {
	w.Helper()
	if err != nil {
		w.Error(err)
	}
}

// pool works in a process until the test ends, or stop is called: a run that is gone on
// with is told to resumed, and ends as the function says.
func (p *process) pool(end func(ctx context.Context, l runner.Lease) error) (stop func() error) {
	p.Helper()
	pool, err := runs.NewPool(runs.PoolConfig{Store: p.store, Authority: p, Resume: func(ctx context.Context, app, user, session string) error {
		ctx, l, err := p.store.Begin(ctx, app, user, session)
		if err != nil {
			return err
		}
		l.Opened()
		p.resumed <- p.id + " " + user
		if end == nil {
			return l.Ended(ctx, runner.Done)
		}
		return end(ctx, l)
	}})
	if err != nil {
		p.Fatal(err)
	}
	ctx, cancel := context.WithCancel(p.Context())
	done := make(chan error, 1)
	go func() { done <- pool.Run(ctx) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	p.Cleanup(func() { _ = stop() })
	return stop
}

// next returns who goes on with what.
func (w *world) next() string {
	w.Helper()
	return <-w.resumed
}

// newWorld returns a world without a database.
func newWorld(t *testing.T) *world {
	return &world{T: t, dead: map[string]bool{}, claimed: map[string]string{}, decided: map[string]jit.Status{}, asked: make(chan string, 1000), resumed: make(chan string, 100)}
}

// each runs a test on each database.
func each(t *testing.T, test func(w *world)) {
	t.Run("SQLite", func(t *testing.T) {
		w, dir := newWorld(t), stateDir(t)
		w.open = func(o runs.Options) (*runs.Store, error) { return runs.Open(t.Context(), dir, o) }
		w.conversations = func() (*session.Store, error) { return session.Open(t.Context(), dir) }
		w.exec = func(query string) int64 {
			db, err := sqldb.Open(filepath.Join(dir, session.File), 1)
			w.check(err)
			done, err := db.ExecContext(t.Context(), query)
			w.check(err)
			n, err := done.RowsAffected()
			w.check(errors.Join(err, db.Close()))
			return n
		}
		test(w)
	})
	t.Run("Postgres", func(t *testing.T) {
		w, address := newWorld(t), pgtest.Shared(t).URL(t)
		w.as = func(user string) { address = strings.Replace(address, "user=tests", "user="+user, 1) }
		pool := func() *pgxpool.Pool {
			p, err := pgxpool.New(t.Context(), address)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(p.Close)
			return p
		}
		w.open = func(o runs.Options) (*runs.Store, error) { return runs.OpenPostgres(t.Context(), pool(), o) }
		w.conversations = func() (*session.Store, error) {
			return session.New(postgres.New(postgres.Config{Conn: stdlib.OpenDBFromPool(pool())}), nil)
		}
		w.exec = func(query string) int64 {
			done, err := pool().Exec(t.Context(), query)
			w.check(err)
			return done.RowsAffected()
		}
		test(w)
	})
}

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// TestBeginWaitsForTheDatabase: a session is taken when it is back, and a pool begins then.
func TestBeginWaitsForTheDatabase(t *testing.T) {
	cfg, err := pgxpool.ParseConfig(pgtest.Shared(t).URL(t))
	if err != nil {
		t.Fatal(err)
	}
	var refused atomic.Int64
	dial := cfg.ConnConfig.DialFunc
	cfg.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if refused.Add(-1) >= 0 {
			return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
		}
		return dial(ctx, network, address)
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	w := newWorld(t)
	w.open = func(o runs.Options) (*runs.Store, error) { return runs.OpenPostgres(t.Context(), pool, o) }
	p := w.start("a")
	refused.Store(4)
	pool.Reset()
	_, l := p.begin("u")
	w.decided["jit_1"] = jit.StatusApproved
	w.check(l.Suspended(w.Context(), []string{"jit_1"}, time.Now().Add(time.Hour)))
	refused.Store(8)
	pool.Reset()
	p.pool(nil)
	if got := w.next(); got != "a u" {
		t.Errorf("%s, want a to go on with u", got)
	}
}

// TestTablesThatAreThere: whoever finds them needs no right to make any, and those of a
// later version are refused.
func TestTablesThatAreThere(t *testing.T) {
	each(t, func(w *world) {
		w.start("a")
		w.exec("INSERT INTO runs_version VALUES (98), (99)")
		for _, verifies := range []bool{false, true} {
			_, err := w.open(runs.Options{Journal: &process{world: w, id: "b"}, VerifyOnly: verifies})
			if !errors.Is(err, journal.ErrNewer) || !strings.Contains(err.Error(), "this one knows 3") {
				w.Errorf("a later version: %v, want ErrNewer", err)
			}
		}
		w.exec("DELETE FROM runs_version WHERE version > 90")
		if w.as != nil {
			w.exec("CREATE ROLE clerk LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO clerk; GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO clerk")
			w.as("clerk")
		}
		w.start("b").begin("ada")
	})
}

func stateDir(t *testing.T) string {
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestOneRunInASession: of whatever processes one has a session, until it gives it up.
func TestOneRunInASession(t *testing.T) {
	each(t, func(w *world) {
		a, b := w.start("a"), w.start("b")
		_, l := a.begin("ada")
		a.busy("ada")
		b.busy("ada")
		_, other := b.begin("ben")
		w.check(l.Ended(w.Context(), runner.Done))
		w.check(l.Ended(w.Context(), runner.Done)) // again, which is nothing
		_, l = b.begin("ada")
		a.busy("ada")
		a.busy("ben")
		w.check(l.Suspended(w.Context(), []string{"jit_1"}, time.Now().Add(time.Hour)))
		_, l = a.begin("ada") // a person says more
		w.check(l.Ended(w.Context(), runner.Done))
		w.check(other.Ended(w.Context(), runner.Done))
		w.kill(a)
		if again, err := w.open(runs.Options{Journal: a, VerifyOnly: true}); err != nil {
			w.Errorf("the tables are found wanting: %v", err)
		} else {
			w.check(again.Close())
		}
	})
}

// TestDecisionWakesOneRun: a decision that comes early, late or twice has one process go on
// with the run, once, and a request that nobody decides about is asked about now and then.
func TestDecisionWakesOneRun(t *testing.T) {
	each(t, func(w *world) {
		a, b, c := w.start("a"), w.start("b"), w.start("c")
		w.decided["early"] = jit.StatusApproved
		for user, requests := range map[string][]string{"ada": {"early", "never"}, "ben": {"late"}, "cleo": {"never"}, "dan": {"hinted", "early2"}} {
			_, l := c.begin(user)
			w.check(l.Suspended(w.Context(), requests, time.Now().Add(time.Hour)))
		}
		w.exec("UPDATE runs SET check_at = check_at + 3600000000 WHERE person = 'dan'") // is not asked about by itself
		a.pool(nil)
		b.pool(nil)
		if got := w.next(); got[2:] != "ada" {
			w.Errorf("%s was gone on with, want ada", got)
		}
		w.mu.Lock()
		w.decided["late"], w.decided["hinted"] = jit.StatusDenied, jit.StatusExpired
		w.mu.Unlock()
		for range 3 {
			w.check(c.store.Hint(w.Context(), "hinted"))
			w.check(c.store.Hint(w.Context(), "nobody's"))
		}
		users := []string{w.next()[2:], w.next()[2:]}
		slices.Sort(users)
		if !slices.Equal(users, []string{"ben", "dan"}) {
			w.Errorf("%v were gone on with, want ben and dan", users)
		}
		for never := 0; never < 4; {
			if <-w.asked == "never" {
				never++
			}
		}
		if len(w.resumed) > 0 {
			w.Errorf("%s was gone on with as well", <-w.resumed)
		}
	})
}

// TestOneDecisionWakesAllThatWaitForIt: several runs may wait for one request, and a hint
// about it is one about all of them.
func TestOneDecisionWakesAllThatWaitForIt(t *testing.T) {
	each(t, func(w *world) {
		a := w.start("a")
		users := []string{"ada", "ben", "cleo"}
		for _, user := range users {
			_, l := a.begin(user)
			w.check(l.Suspended(w.Context(), []string{"shared", "other"}, time.Now().Add(time.Hour)))
		}
		w.exec("UPDATE runs SET check_at = check_at + 3600000000")
		a.pool(nil)
		w.check(a.store.Hint(w.Context(), "shared")) // too early
		<-w.asked
		w.mu.Lock()
		w.decided["shared"] = jit.StatusApproved
		w.mu.Unlock()
		w.check(a.store.Hint(w.Context(), "shared"))
		got := []string{w.next()[2:], w.next()[2:], w.next()[2:]}
		slices.Sort(got)
		if !slices.Equal(got, users) {
			w.Errorf("%v were gone on with, want %v", got, users)
		}
	})
}

// TestRunsAreTheirAuthoritys: of processes that are configured for different authorization
// servers each goes on with runs of its own alone, also of a process that died, and with those
// of which it is not known.
func TestRunsAreTheirAuthoritys(t *testing.T) {
	each(t, func(w *world) {
		a, b, dead, old := w.startFor("A/", "a"), w.startFor("B/", "b"), w.startFor("B/", "dead"), w.start("old")
		for p, user := range map[*process]string{b: "ben", dead: "bo"} { // who are asked about first
			_, l := p.begin(user)
			w.check(l.Suspended(w.Context(), []string{"jit_1"}, time.Now().Add(time.Hour)))
		}
		for p, user := range map[*process]string{a: "ada", old: "olga"} {
			_, l := p.begin(user)
			w.check(l.Suspended(w.Context(), []string{"jit_1"}, time.Now().Add(time.Hour)))
		}
		dead.begin("bill")
		w.kill(dead)
		a.busy("ben")
		a.busy("bill")
		w.decided["A/jit_1"] = jit.StatusApproved // a request of B has the same name
		w.exec("UPDATE runs SET check_at = check_at + 3600000000 WHERE person = 'bo'")
		w.check(b.store.Hint(w.Context(), "jit_1")) // stays until a pool of B works
		a.pool(nil)
		next := func(n int) (all []string) {
			for range n {
				all = append(all, w.next())
			}
			slices.Sort(all)
			return all
		}
		if got := next(2); !slices.Equal(got, []string{"a ada", "a olga"}) {
			w.Errorf("%v, want a to go on with ada and olga", got)
		}
		if n, of, err := a.store.Foreign(w.Context()); err != nil || n < 2 || !slices.Equal(of, []string{"B/"}) {
			w.Errorf("Foreign() = %d, %v, %v, want those of B", n, of, err)
		}
		if n := w.exec("UPDATE runs SET tries = 0 WHERE state = 'waiting'"); n != 2 {
			w.Errorf("%d runs of B wait, want 2", n)
		}
		w.mu.Lock()
		w.decided["B/jit_1"] = jit.StatusDenied
		w.mu.Unlock()
		b.pool(nil)
		if got := next(3); !slices.Equal(got, []string{"b ben", "b bill", "b bo"}) {
			w.Errorf("%v, want b to go on with ben, bill and bo", got)
		}
	})
}

// TestForeignRunsAreForgotten: what nobody comes for goes, once its requests have run out.
func TestForeignRunsAreForgotten(t *testing.T) {
	each(t, func(w *world) {
		a, b := w.startFor("A/", "a"), w.startFor("B/", "b")
		w.decided["A/jit_1"] = jit.StatusApproved
		for p, users := range map[*process][]string{a: {"ada"}, b: {"gone", "long", "new"}} {
			for _, user := range users {
				_, l := p.begin(user)
				until := time.Now()
				if user == "long" {
					until = until.Add(time.Hour)
				}
				w.check(l.Suspended(w.Context(), []string{"jit_1"}, until))
			}
		}
		b.begin("under way")
		const days = "8 * 86400000000"
		w.exec("UPDATE runs SET since = since - " + days + ", until = until - " + days + " WHERE person <> 'new'")
		w.exec("UPDATE runs SET until = until + " + days + " WHERE person = 'long'")
		a.pool(nil)
		if got := w.next(); got != "a ada" {
			w.Errorf("%s, want a to go on with ada", got)
		}
		if n := w.exec("DELETE FROM runs WHERE person = 'gone'"); n > 0 {
			w.Error("what nobody comes for is kept")
		}
		if n := w.exec("DELETE FROM runs WHERE person <> 'ada'"); n != 3 {
			w.Errorf("%d runs are left, want 3 of the other authority", n)
		}
	})
}

// TestRunsOfAnEarlierVersion: what its tables have is gone on with, and is whoever's who does.
func TestRunsOfAnEarlierVersion(t *testing.T) {
	each(t, func(w *world) {
		_, l := w.start("old").begin("ada")
		w.check(l.Suspended(w.Context(), []string{"jit_1"}, time.Now().Add(time.Hour)))
		for _, back := range []string{
			"DROP INDEX runs_due", "ALTER TABLE runs DROP COLUMN authority", "ALTER TABLE runs DROP COLUMN until",
			"CREATE INDEX runs_due ON runs (state, check_at)", "DELETE FROM runs_version WHERE version > 2",
		} {
			w.exec(back)
		}
		w.decided["A/jit_1"] = jit.StatusApproved
		a := w.startFor("A/", "a")
		a.pool(func(ctx context.Context, l runner.Lease) error {
			return l.Suspended(ctx, []string{"jit_2"}, time.Now().Add(time.Hour))
		})
		if got := w.next(); got != "a ada" {
			w.Errorf("%s, want a to go on with ada", got)
		}
		for got := ""; got != "A/jit_2"; got = <-w.asked {
		}
		w.startFor("B/", "b").busy("ada")
	})
}

// TestARunWaitsAgain: what it waited for before wakes it no more, and nothing of it is left
// when it is over.
func TestARunWaitsAgain(t *testing.T) {
	each(t, func(w *world) {
		a := w.start("a")
		waits := make(chan error, 100)
		w.decided["first"] = jit.StatusApproved
		_, l := a.begin("ada")
		w.check(l.Suspended(w.Context(), []string{"first"}, time.Now().Add(time.Hour)))
		a.pool(func(ctx context.Context, l runner.Lease) error {
			err := l.Suspended(ctx, []string{"second", "third"}, time.Now().Add(time.Hour))
			waits <- err
			return err
		})
		w.next()
		w.check(<-waits)
		for n := 0; <-w.asked != "second"; n++ {
			if n > 10 {
				w.Fatal("it does not wait for what it asked for")
			}
		}
		if n := w.exec("DELETE FROM run_requests WHERE request = 'first'"); n > 0 || len(w.resumed) > 0 {
			w.Errorf("it still waits for %d requests that were decided, and was gone on with %d times more", n, len(w.resumed))
		}
		_, l = a.begin("ada")
		w.check(l.Ended(w.Context(), runner.Done))
		if n := w.exec("DELETE FROM run_requests"); n > 0 {
			w.Errorf("%d requests of a run that is over are left", n)
		}
	})
}

// TestManyWait: what waits costs no goroutine, and however many wait, the authorization
// server is asked about few of them in a second.
func TestManyWait(t *testing.T) {
	const many, looks = 300, 4
	each(t, func(w *world) {
		a := w.start("a")
		before := runtime.NumGoroutine()
		for n := range many {
			_, l := a.begin(fmt.Sprint(n))
			w.check(l.Suspended(w.Context(), []string{fmt.Sprint(n)}, time.Now().Add(time.Hour)))
		}
		start := time.Now() // before the first look, whenever we hear of it
		a.pool(nil)
		asked := map[string]bool{<-w.asked: true}
		if more := runtime.NumGoroutine() - before; more > many/3 {
			w.Errorf("%d runs wait in %d goroutines", many, more)
		}
		for range looks*20 - 1 {
			asked[<-w.asked] = true
		}
		if took := time.Since(start); took < (looks-1)*time.Second {
			w.Errorf("%d questions in %v", looks*20, took)
		}
		if len(asked) < looks*20 {
			w.Errorf("some were asked about again, and of %d others nobody asked", many-len(asked))
		}
	})
}

// TestRunOfADeadProcessIsTakenOver: a run whose process is gone is gone on with, by one; until
// its task is that one's, nobody else may touch what the dead one left. One whose process
// lives is left alone.
func TestRunOfADeadProcessIsTakenOver(t *testing.T) {
	each(t, func(w *world) {
		a, b, c, d := w.start("a"), w.start("b"), w.start("c"), w.start("d")
		a.begin("ada")
		a.begin("anne")
		b.begin("ben")
		spared := func(p *process, session string) bool {
			left, err := p.store.Spare(w.Context(), []journal.Task{{Owner: "a", Session: session}})
			w.check(err)
			return len(left) == 0
		}
		w.kill(a)
		if !spared(c, runner.SessionName("app", "ada", "s")) || spared(c, runner.SessionName("app", "ben", "s")) || spared(c, "other") {
			w.Error("the task of a run that will be gone on with is not spared, or another is")
		}
		c.pool(nil)
		d.pool(nil)
		users := []string{w.next()[2:], w.next()[2:]}
		slices.Sort(users)
		if !slices.Equal(users, []string{"ada", "anne"}) {
			w.Errorf("%v were gone on with, want ada and anne", users)
		}
		b.busy("ben")
		c.busy("ben")
	})
}

// TestTakenForDeadChangesNothing: what a process left that is taken for dead is others', also
// where none of them has come to it yet: it ends nothing, has nothing wait, and writes to
// no conversation.
func TestTakenForDeadChangesNothing(t *testing.T) {
	users := []string{"ada", "ben", "cleo"}
	test := func(w *world, taken bool) {
		a, b := w.start("a"), w.start("b")
		s := w.conversation(a)
		was, are := map[string]runner.Lease{}, map[string]runner.Lease{}
		for _, user := range users {
			_, was[user] = a.begin(user)
		}
		w.kill(a)
		for _, user := range users {
			if taken {
				_, are[user] = b.begin(user)
				continue
			} // else b makes it ready, and has no worker that is free
			_, err := b.store.Spare(w.Context(), []journal.Task{{Owner: "a", Session: runner.SessionName("app", user, "s")}})
			w.check(err)
		}
		if err := s.Save(w.Context(), &runner.Suspension{App: "app", User: "ada", Session: "s"}); !errors.Is(err, runner.ErrLost) {
			w.Errorf("it writes: %v, want ErrLost", err)
		}
		a.store.Away(w.Context(), "app", "ben", "s")
		for user, err := range map[string]error{
			"ada": was["ada"].Ended(w.Context(), runner.Done), "ben": was["ben"].Ended(w.Context(), runner.Failed),
			"cleo": was["cleo"].Suspended(w.Context(), []string{"never"}, time.Now().Add(time.Hour)),
		} {
			if !errors.Is(err, runner.ErrLost) {
				w.Errorf("it ends the run of %s: %v, want ErrLost", user, err)
			}
		}
		if taken {
			for _, l := range are {
				w.check(l.Ended(w.Context(), runner.Done))
			}
			return
		}
		b.pool(nil)
		got := []string{w.next()[2:], w.next()[2:], w.next()[2:]}
		if slices.Sort(got); !slices.Equal(got, users) {
			w.Errorf("%v were gone on with, want %v", got, users)
		}
	}
	t.Run("left", func(t *testing.T) { each(t, func(w *world) { test(w, false) }) })
	t.Run("taken", func(t *testing.T) { each(t, func(w *world) { test(w, true) }) })
}

// TestTakenWhileItIsWrittenTo: nobody takes a run over in the middle of what its process
// writes to the conversation.
func TestTakenWhileItIsWrittenTo(t *testing.T) {
	pool, err := pgxpool.New(t.Context(), pgtest.Shared(t).URL(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	w := &world{T: t, dead: map[string]bool{}, claimed: map[string]string{}, open: func(o runs.Options) (*runs.Store, error) {
		return runs.OpenPostgres(t.Context(), pool, o)
	}}
	a, b := w.start("a"), w.start("b")
	ctx, _ := a.begin("ada")
	tx, err := stdlib.OpenDBFromPool(pool).BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	w.check(a.store.Fence(ctx, tx, "app", "ada", "s"))
	w.kill(a)
	done := make(chan error, 1)
	go func() {
		_, _, err := b.store.Begin(t.Context(), "app", "ada", "s")
		done <- err
	}()
	for len(done) == 0 && !busyWith(t, pool, "UPDATE runs%", "wait_event_type = 'Lock'") {
	}
	if len(done) > 0 {
		t.Error("it was taken over meanwhile")
	}
	w.check(tx.Commit())
	w.check(<-done)
}

// busyWith reports whether a database is at a statement that is like a pattern.
func busyWith(t *testing.T, pool *pgxpool.Pool, like, how string) (busy bool) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE $1 AND "+how+")", like).Scan(&busy); err != nil {
		t.Fatal(err)
	}
	return busy
}

// TestTakenWhileItIsRemoved: a run of which a process does not know that it has it is removed
// by that process; not when others have it by then.
func TestTakenWhileItIsRemoved(t *testing.T) {
	pool, err := pgxpool.New(t.Context(), pgtest.Shared(t).URL(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	w := &world{T: t, open: func(o runs.Options) (*runs.Store, error) { return runs.OpenPostgres(t.Context(), pool, o) }}
	a := w.start("a")
	exec := func(do interface {
		Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	}, query string) int64 {
		done, err := do.Exec(t.Context(), query)
		w.check(err)
		return done.RowsAffected()
	}
	exec(pool, "INSERT INTO runs (app, person, session, state, epoch, owner, since) VALUES ('app', 'ada', 's', 'running', 1, 'a', 0)")
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	exec(tx, "UPDATE runs SET epoch = 2, owner = 'b'")
	a.pool(nil)
	for !busyWith(t, pool, "DELETE FROM runs%", "wait_event_type = 'Lock'") {
	}
	w.check(tx.Commit(t.Context()))
	for busyWith(t, pool, "DELETE FROM runs%", "state = 'active'") {
	}
	if n := exec(pool, "UPDATE runs SET since = since"); n != 1 {
		t.Error("the run of another process was removed")
	}
}

// TestOldNews: what was read of a run is good as long as the run is as it was then: by the
// time that the authorization server has answered it may be in other hands, or wait again,
// for something else.
func TestOldNews(t *testing.T) {
	changes := map[string]string{
		"waits again":  "epoch = epoch + 1",
		"is ready":     "state = 'ready', check_at = 9000000000000000",
		"is at it":     "epoch = epoch + 1, state = 'running', owner = 'c'",
		"is not asked": "",
	}
	test := func(w *world, hinted bool) {
		a := w.start("a")
		w.meanwhile = map[string]func(){}
		for user, change := range changes {
			_, l := a.begin(user)
			w.check(l.Suspended(w.Context(), []string{user}, time.Now().Add(time.Hour)))
			if change == "" {
				continue
			}
			w.decided[user] = jit.StatusApproved
			w.meanwhile[user] = func() {
				w.exec("UPDATE runs SET " + change + " WHERE person = '" + user + "'")
				delete(w.decided, user)
			}
			if hinted {
				w.check(a.store.Hint(w.Context(), user))
			}
		}
		jobs := int64(0)
		if hinted { // and not asked about by itself
			jobs = int64(len(changes) - 1)
			w.exec("UPDATE runs SET check_at = 9000000000000000 WHERE person <> 'is not asked'")
		}
		a.pool(nil)
		seen := map[string]bool{}
		for again := 0; len(seen) < len(changes) || again < 2; { // the second time what came before is done
			if request := <-w.asked; !seen[request] {
				seen[request], again = true, 0
			} else if request == "is not asked" {
				again++
			}
		}
		for hinted && w.exec("UPDATE river_job SET priority = priority WHERE state = 'completed'") < jobs {
			w.check(w.Context().Err())
		}
		if n := w.exec("UPDATE river_job SET priority = priority"); n != jobs || len(w.resumed) > 0 {
			w.Errorf("%d jobs, want %d, and %d runs were gone on with, want none", n, jobs, len(w.resumed))
		}
	}
	t.Run("asked", func(t *testing.T) { each(t, func(w *world) { test(w, false) }) })
	t.Run("hinted", func(t *testing.T) { each(t, func(w *world) { test(w, true) }) })
}

// TestClaimLastsUntilTheTaskIsOurs: whoever takes what a dead process left holds its tasks
// until it says that it has its own.
func TestClaimLastsUntilTheTaskIsOurs(t *testing.T) {
	each(t, func(w *world) {
		a, b := w.start("a"), w.start("b")
		a.begin("ada")
		w.kill(a)
		for range 2 { // the first does not come to open it
			_, l, err := b.store.Begin(w.Context(), "app", "ada", "s")
			w.check(err)
			if w.claimed["a"] != "b" {
				w.Fatal("what the dead process left is anybody's before the run is opened")
			}
			if err := l.Ended(w.Context(), runner.Failed); err != nil || w.claimed["a"] != "" {
				w.Fatalf("%v, claimed by %q", err, w.claimed["a"])
			}
		}
		_, l := b.begin("ada")
		if w.claimed["a"] != "" {
			w.Error("what the dead process left stays claimed")
		}
		w.check(l.Ended(w.Context(), runner.Done))
	})
}

// TestLostHint: a run that is ready is gone on with though its hint is gone.
func TestLostHint(t *testing.T) {
	each(t, func(w *world) {
		a := w.start("a")
		_, l := a.begin("ada")
		w.check(l.Suspended(w.Context(), []string{"jit_1"}, time.Now().Add(time.Hour)))
		w.exec("UPDATE runs SET state = 'ready', job = 0, check_at = 0")
		a.pool(nil)
		if got := w.next(); got != "a ada" {
			w.Errorf("%s, want a to go on with ada", got)
		}
	})
}

// TestRunIsPassedOn: where the database goes away under a run, whoever comes goes on with
// it, however it ended here.
func TestRunIsPassedOn(t *testing.T) {
	each(t, func(w *world) {
		a, b := w.start("a"), w.start("b")
		_, l := a.begin("ada")
		b.pool(nil)
		a.store.Away(w.Context(), "app", "ada", "s")
		w.check(l.Ended(w.Context(), runner.Failed))
		if got := w.next(); got != "b ada" {
			w.Errorf("%s, want b to go on with ada", got)
		}
	})
}

// TestLostAnswerOfTheDatabase: a run that was taken or begun, of which the process that did
// it was not told, does not stay under way for ever. What it knows that it has stays.
func TestLostAnswerOfTheDatabase(t *testing.T) {
	each(t, func(w *world) {
		a := w.start("a")
		_, l := a.begin("ada")
		w.check(l.Suspended(w.Context(), []string{"jit_1"}, time.Now().Add(time.Hour)))
		a.begin("cleo")
		w.exec("UPDATE runs SET state = 'running', epoch = epoch + 1, owner = 'a' WHERE person = 'ada'")
		w.exec("INSERT INTO runs (app, person, session, state, epoch, owner, since) VALUES ('app', 'ben', 's', 'running', 1, 'a', 0)")
		w.exec("UPDATE runs SET since = 0")
		a.busy("ada")
		a.busy("ben")
		a.pool(nil)
		if got := w.next(); got != "a ada" {
			w.Errorf("%s, want a to go on with ada", got)
		}
		_, l = a.begin("ben")
		w.check(l.Ended(w.Context(), runner.Done))
		a.busy("cleo")
	})
}

// TestAnswerToTheEndIsLost: a run that ended, or waits, is not taken to be in other hands
// since the database broke off before it said so.
func TestAnswerToTheEndIsLost(t *testing.T) {
	for done, end := range map[string]func(context.Context, runner.Lease) error{
		"DELETE 1": func(ctx context.Context, l runner.Lease) error { return l.Ended(ctx, runner.Done) },
		"COMMIT": func(ctx context.Context, l runner.Lease) error {
			return l.Suspended(ctx, []string{"jit_1"}, time.Now().Add(time.Hour))
		},
	} {
		t.Run(done, func(t *testing.T) {
			address, cut := pgtest.Cutting(t, pgtest.Shared(t).URL(t), done)
			pool, err := pgxpool.New(t.Context(), address)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(pool.Close)
			w := &world{T: t, dead: map[string]bool{}, open: func(o runs.Options) (*runs.Store, error) { return runs.OpenPostgres(t.Context(), pool, o) }}
			a, b := w.start("a"), w.start("b")
			_, l := a.begin("ada")
			cut.Store(true)
			if err := end(t.Context(), l); err != nil || cut.Load() {
				t.Errorf("%v, cut %t", err, !cut.Load())
			}
			b.begin("ada")
		})
	}
}

// TestHintIsDueByAnyClock: whoever hints may be ahead of the database.
func TestHintIsDueByAnyClock(t *testing.T) {
	each(t, func(w *world) {
		a, b := w.start("a"), w.start("b")
		a.begin("ada")
		w.kill(a)
		_, err := b.store.Spare(w.Context(), []journal.Task{{Owner: "a", Session: runner.SessionName("app", "ada", "s")}})
		w.check(err)
		w.exec("DELETE FROM river_job WHERE scheduled_at > '2001-01-01'")
		w.exec("UPDATE runs SET check_at = 9000000000000000") // so that the hint is all there is
		b.pool(nil)
		if got := w.next(); got != "b ada" {
			w.Errorf("%s, want b to go on with ada", got)
		}
	})
}

// TestPoolThatEndsLeavesItsRuns: what is interrupted by the end of its pool is gone on with
// elsewhere, and what a person stopped is not.
func TestPoolThatEndsLeavesItsRuns(t *testing.T) {
	each(t, func(w *world) {
		a, b := w.start("a"), w.start("b")
		stop := a.pool(func(ctx context.Context, l runner.Lease) error {
			<-ctx.Done()
			return l.Ended(context.WithoutCancel(ctx), runner.Interrupted)
		})
		w.decided["jit_1"] = jit.StatusApproved
		_, l := b.begin("ada")
		w.check(l.Suspended(w.Context(), []string{"jit_1"}, time.Now().Add(time.Hour)))
		w.next()
		_, other := b.begin("ben")
		w.check(other.Ended(w.Context(), runner.Interrupted))
		w.check(stop())
		_, last := b.begin("cleo")
		w.check(last.Suspended(w.Context(), []string{"jit_1"}, time.Now().Add(time.Hour)))
		b.pool(nil)
		who := []string{w.next(), w.next()}
		slices.Sort(who)
		if !slices.Equal(who, []string{"b ada", "b cleo"}) {
			w.Errorf("%v, want b to go on with ada and cleo", who)
		}
	})
}

// TestProcessThatIsTakenForGone: its runs end, and what it would still write to a
// conversation is refused, whoever has it by then.
func TestProcessThatIsTakenForGone(t *testing.T) {
	each(t, func(w *world) {
		a, b := w.start("a"), w.start("b")
		ofA, ofB := w.conversation(a), w.conversation(b)
		ctx, l := a.begin("ada")
		_, err := ofA.Create(ctx, &adk.CreateRequest{AppName: "app", UserID: "ada", SessionID: "s"})
		w.check(err)
		say := func(ctx context.Context, s *session.Store) error {
			ev := adk.NewEvent(ctx, "e-1")
			ev.Author = "user"
			got, err := s.Get(ctx, &adk.GetRequest{AppName: "app", UserID: "ada", SessionID: "s"})
			w.check(err)
			return s.AppendEvent(ctx, got.Session, ev)
		}
		w.check(say(ctx, ofA))
		w.kill(a)
		under, has := b.begin("ada")
		for _, ctx := range []context.Context{ctx, w.Context()} { // a plugin's events have a context of their own
			if err := say(ctx, ofA); !errors.Is(err, runner.ErrLost) {
				w.Errorf("an event of whoever was taken for gone: %v, want ErrLost", err)
			}
		}
		if err := ofA.Save(ctx, &runner.Suspension{App: "app", User: "ada", Session: "s"}); !errors.Is(err, runner.ErrLost) {
			w.Errorf("a suspension: %v, want ErrLost", err)
		}
		w.check(say(under, ofB))
		stop := a.pool(nil)
		close(a.lost)
		<-ctx.Done()
		if !errors.Is(context.Cause(ctx), runner.ErrLost) {
			w.Errorf("the run ends with %v", context.Cause(ctx))
		}
		if err := l.Ended(context.WithoutCancel(ctx), runner.Done); !errors.Is(err, runner.ErrLost) {
			w.Errorf("its end: %v, want ErrLost", err)
		}
		if err := stop(); !errors.Is(err, runner.ErrLost) {
			w.Errorf("its pool ended with %v, want ErrLost", err)
		}
		b.busy("ada")
		w.check(has.Ended(w.Context(), runner.Done))
		if err := say(context.WithoutCancel(ctx), ofA); !errors.Is(err, runner.ErrLost) {
			w.Errorf("an event when the run is over: %v, want ErrLost", err)
		}
	})
}

// What is under way is what somebody is at, or is to go on with, and not what waits or is over.
func TestUnderWay(t *testing.T) {
	each(t, func(w *world) {
		a, b := w.start("a"), w.start("b")
		a.begin("ada")
		a.begin("dan/1")
		_, ben := a.begin("ben")
		_, cleo := a.begin("cleo")
		w.check(ben.Ended(w.Context(), runner.Done))
		w.check(cleo.Suspended(w.Context(), []string{"never"}, time.Now().Add(time.Hour)))
		under := func() {
			w.Helper()
			got, err := b.store.UnderWay(w.Context())
			if slices.Sort(got); err != nil || !slices.Equal(got, []string{"app/ada/s", "app/dan%2F1/s"}) {
				w.Errorf("%q, %v", got, err)
			}
		}
		under()
		w.kill(a)
		_, err := b.store.Spare(w.Context(), []journal.Task{{Owner: "a", Session: "app/ada/s"}}) // it is ready now
		w.check(err)
		under()
	})
}
