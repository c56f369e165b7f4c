package postgres_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/jitagent/jitagent/internal/pgtest"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/secret"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/journal/journaltest"
	"github.com/jitagent/jitagent/state/postgres"
)

func TestEntriesAndTasks(t *testing.T) {
	a, _ := open(t, pgtest.Shared(t).URL(t))
	now := time.Now()
	journaltest.Add(t, a, jit.Entry{Kind: jit.EntryTaskOpening, Time: now, Run: "r", Session: "s\x00", Authority: "auth"})
	a.Note(jit.Entry{Kind: jit.EntryTaskOpened, Run: "r", TaskID: "t", ExpiresAt: now.Add(time.Hour)})
	journaltest.Add(t, a, jit.Entry{Kind: jit.EntryRequest, Run: "r", TaskID: "t", CallID: "c\x00"}, jit.Entry{Kind: jit.EntryTaskOpening, Run: "q"})
	task, err := a.Task(t.Context(), "t")
	if err != nil || task.Run != "r" || task.Session != "s\x00" || task.ExpiresAt.IsZero() || task.State != journal.StateOpen || task.Owner != a.Owner() {
		t.Errorf("Task() = %+v, %v", task, err)
	}
	if runs, err := a.Runs(t.Context(), "s\x00"); err != nil || len(runs) != 1 || runs[0] != "r" {
		t.Errorf("Runs() = %v, %v", runs, err)
	}
	if runs, err := a.Runs(t.Context(), "s\ufffd"); err != nil || len(runs) != 0 {
		t.Errorf("Runs() of another session = %v, %v", runs, err)
	}
	got, err := a.Entries(t.Context(), "r")
	if err != nil || len(got) != 3 || got[2].CallID != "c\x00" || got[1].Kind != jit.EntryTaskOpened {
		t.Errorf("Entries() = %+v, %v", got, err)
	}
	if list := journaltest.All(t, a, journal.Filter{Call: "c", Kinds: []jit.EntryKind{jit.EntryRequest}}); len(list) != 1 {
		t.Errorf("the requests of the call: %+v", list)
	}
	if err := a.Mark(t.Context(), "r", journal.Mark{State: journal.StateCompleted}); err != nil {
		t.Error(err)
	}
	if list, err := a.Tasks(t.Context(), journal.TaskFilter{Unfinished: true}); err != nil || len(list) != 1 || list[0].Run != "q" {
		t.Errorf("unfinished: %+v, %v", list, err)
	}
	if list, err := a.Tasks(t.Context(), journal.TaskFilter{Newest: 1}); err != nil || len(list) != 1 || list[0].Run != "q" {
		t.Errorf("the newest: %+v, %v", list, err)
	}
	if report, err := a.Verify(t.Context()); err != nil || report.Entries != 5 || report.Tasks != 2 || len(report.Heads) != 1 {
		t.Errorf("Verify() = %+v, %v", report, err)
	}
}

func TestAReaderMakesNothing(t *testing.T) {
	db := connect(t, options(pgtest.Shared(t).URL(t)))
	read := postgres.JournalOptions{ReadOnly: true}
	if _, err := postgres.OpenJournal(t.Context(), db, read); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("without a journal: %v", err)
	}
	w, err := postgres.OpenJournal(t.Context(), db, postgres.JournalOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := postgres.OpenJournal(t.Context(), db, read)
	if err != nil {
		t.Fatal(err)
	}
	journaltest.Add(t, w, jit.Entry{Kind: jit.EntryTaskOpening, Run: "r"})
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if err := r.Append(t.Context(), jit.Entry{Kind: jit.EntryTaskOpening, Run: "q"}); !errors.Is(err, journal.ErrReadOnly) {
		t.Errorf("a reader's Append: %v", err)
	}
	if list, err := r.Orphans(t.Context(), time.Time{}); err != nil || len(list) != 1 {
		t.Errorf("Orphans() = %v, %v", list, err)
	}
	if err := w.Append(t.Context(), jit.Entry{Kind: jit.EntryTaskOpening, Run: "q"}); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("Append to a closed one: %v", err)
	}
}

// Rows of one tenant are not there for another, who has other keys.
func TestTenants(t *testing.T) {
	address := pgtest.Shared(t).URL(t)
	a, _ := open(t, address)
	journaltest.Add(t, a, jit.Entry{Kind: jit.EntryTaskOpening, Run: "r", Session: "s"})
	opts := options(address)
	opts.Tenant = "other"
	b, err := postgres.OpenJournal(t.Context(), connect(t, opts), postgres.JournalOptions{})
	if err != nil {
		t.Fatal(err)
	}
	journaltest.Add(t, b, jit.Entry{Kind: jit.EntryTaskOpening, Run: "r", Session: "s"}) // the same run is another one
	if got := journaltest.All(t, b, journal.Filter{}); len(got) != 1 || got[0].Owner != b.Owner() {
		t.Errorf("the other tenant sees %+v", got)
	}
	if list, err := b.Tasks(t.Context(), journal.TaskFilter{}); err != nil || len(list) != 1 || list[0].Owner != b.Owner() {
		t.Errorf("the other tenant's tasks: %+v, %v", list, err)
	}
	if a.TokenHashKey().Reveal() == b.TokenHashKey().Reveal() {
		t.Error("hashes of tokens can be joined over tenants")
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if orphans, err := a.Orphans(t.Context(), time.Time{}); err != nil || len(orphans) != 0 {
		t.Errorf("another tenant's tasks are orphans here: %v, %v", orphans, err)
	}
	for _, name := range []string{"", "A", "a b", `a";--`, strings.Repeat("a", 60)} {
		opts.Tenant = name
		if _, err := postgres.Connect(t.Context(), opts); err == nil {
			t.Errorf("tenant %q is taken", name)
		}
	}
}

func TestTheKeyIsKnownAgain(t *testing.T) {
	address := pgtest.Shared(t).URL(t)
	open(t, address)
	opts := options(address)
	opts.Key = secret.New(strings.Repeat("another ", 8))
	for _, readOnly := range []bool{false, true} {
		if _, err := postgres.OpenJournal(t.Context(), connect(t, opts), postgres.JournalOptions{ReadOnly: readOnly}); err == nil || !strings.Contains(err.Error(), "the key is not the one") {
			t.Errorf("another key: %v", err)
		}
	}
	opts.Key = secret.New("short")
	if _, err := postgres.Connect(t.Context(), opts); err == nil {
		t.Error("a short key is taken")
	}
}

func TestUpgradeIsOnlyVerified(t *testing.T) {
	opts := options(pgtest.Shared(t).URL(t))
	opts.VerifyOnly = true
	db := connect(t, opts)
	if _, err := postgres.OpenJournal(t.Context(), db, postgres.JournalOptions{}); !errors.Is(err, journal.ErrOlder) || !strings.Contains(err.Error(), "tables of journal of tenant test") {
		t.Errorf("a database without tables: %v", err)
	}
	var there *string
	if err := db.Pool().QueryRow(t.Context(), "SELECT to_regnamespace('analyst_test')::text").Scan(&there); err != nil || there != nil {
		t.Errorf("something was made: %v, %v", there, err)
	}
	_, p := open(t, opts.URL.Reveal())
	j, err := postgres.OpenJournal(t.Context(), db, postgres.JournalOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	exec(t, p, "UPDATE versions SET version = 99")
	if _, err := postgres.OpenJournal(t.Context(), db, postgres.JournalOptions{}); !errors.Is(err, journal.ErrNewer) {
		t.Errorf("a later version: %v", err)
	}
}

// A connection that does not keep what it was opened with is not used: its statements would
// be about whichever tables are there. PgBouncer refuses such settings or, where it is told
// to, drops them.
func TestSettingsThatAreDropped(t *testing.T) {
	address := pgtest.Between(t, pgtest.Shared(t).URL(t), func(client, server net.Conn) {
		defer func() { _, _ = client.Close(), server.Close() }()
		said, err := pgproto3.NewBackend(client, client).ReceiveStartupMessage()
		start, ok := said.(*pgproto3.StartupMessage)
		if err != nil || !ok {
			return
		}
		delete(start.Parameters, "search_path")
		text, err := start.Encode(nil)
		if err == nil {
			_, err = server.Write(text)
		}
		if err == nil {
			go func() { _, _ = io.Copy(server, client) }()
			_, _ = io.Copy(client, server)
		}
	})
	_, err := postgres.Connect(t.Context(), options(address))
	if err == nil || !strings.Contains(err.Error(), "(search_path)") || !postgres.Concerns(err) {
		t.Errorf("Connect() = %v", err)
	}
}

// One connection is not enough, since tables are made on a second one, and neither are those
// that send no types.
func TestSettingsThatAreRefused(t *testing.T) {
	address := pgtest.Shared(t).URL(t)
	for _, setting := range []string{"pool_max_conns=1", "default_query_exec_mode=exec", "default_query_exec_mode=simple_protocol"} {
		name, _, _ := strings.Cut(setting, "=")
		if err := postgres.CheckURL(secret.New(address + "&" + setting)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", setting, err)
		}
	}
	open(t, address+"&pool_max_conns=2")
}

// No error has the password, whatever is wrong with the address.
func TestPasswordsAreInNoError(t *testing.T) {
	const canary = "hunter2"
	for _, address := range []string{
		"postgres://u:" + canary + "@127.0.0.1:1/db", "postgres://u:" + canary + "@127.0.0.1:port/db", "postgres://u:" + canary + "@[::1/db",
		"postgres://u:" + canary + "@db.example/db", "host=127.0.0.1 password=" + canary, "postgres://u:" + canary + "@127.0.0.1/db?sslmode=" + canary,
		"postgres://127.0.0.1:1/db?password=" + canary, "mysql://u:" + canary + "@h/db", "postgres://u:%zz" + canary + "@h/db",
		"postgres://u:" + canary + "@127.0.0.1:1/db?sslrootcert=/none/" + canary,
	} {
		_, err := postgres.Connect(t.Context(), options(address))
		if err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("the address %q: %v", address, err)
		}
	}
}
