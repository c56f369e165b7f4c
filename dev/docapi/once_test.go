package docapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jitagent/jitagent/internal/disk"
)

const q4 = `{"title":"Q4 Analysis","content":"Revenue rose."}`

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	f := serveAPI(t, nil)
	first := f.post("key-1", q4)
	if first.status != 201 || first.header.Get("Idempotent-Replayed") != "" {
		t.Fatalf("first POST = %d %s", first.status, first.body)
	}
	f.pass(time.Hour)
	// The same request, spelled in another way.
	again := f.post("key-1", `{ "content": "Revenue rose.", "source_documents": null, "title": "Q4 Analys\u0069s" }`)
	if again.status != 201 || again.body != first.body || again.header.Get("Idempotent-Replayed") != "true" ||
		again.header.Get("Location") != first.header.Get("Location") {
		t.Errorf("second POST = %d %s, replayed %q; want the first answer", again.status, again.body, again.header.Get("Idempotent-Replayed"))
	}
	if other := f.post("key-1", `{"title":"Q4 Analysis","content":"Revenue fell."}`); other.status != 422 {
		t.Errorf("another payload = %d %s, want 422", other.status, other.body)
	}
	if names := f.files(); len(names) != 1 {
		t.Errorf("files %v, want one", names)
	}
	// Another client's key of the same text is another key.
	if other := f.send("POST", "/v1/reports", "writer-other", q4, "Idempotency-Key", "key-1"); other.status != 201 || other.body == first.body {
		t.Errorf("another client = %d %s, want a report of its own", other.status, other.body)
	}
	if other := f.post("key-2", q4); other.status != 201 || other.body == first.body {
		t.Errorf("another key = %d %s, want another report", other.status, other.body)
	}
	if names := f.files(); len(names) != 3 {
		t.Errorf("files %v, want three", names)
	}
}

// A key is looked at after the authority: a replay is no way around a token.
func TestReplayNeedsAuthority(t *testing.T) {
	t.Parallel()
	f := serveAPI(t, nil)
	if got := f.post("key-1", q4); got.status != 201 {
		t.Fatal(got)
	}
	for token, want := range map[string]int{"": 401, "wrong": 401, "base": 403, "read-doc_9982": 403} {
		if got := f.send("POST", "/v1/reports", token, q4, "Idempotency-Key", "key-1"); got.status != want {
			t.Errorf("token %q: %d, want %d", token, got.status, want)
		}
	}
}

func TestKeysAreForgotten(t *testing.T) {
	t.Parallel()
	f := serveAPI(t, func(c *Config) { c.Limits = Limits{Keys: 2, KeyAge: time.Hour} })
	replayed := func(key string) bool {
		got := f.post(key, q4)
		if got.status != 201 {
			t.Fatalf("POST with %s = %d %s", key, got.status, got.body)
		}
		return got.header.Get("Idempotent-Replayed") == "true"
	}
	for i, key := range []string{"a", "b"} {
		if replayed(key) {
			t.Errorf("key %d is known before its use", i)
		}
		f.pass(time.Minute)
	}
	f.send("POST", "/v1/reports", "writer-other", q4, "Idempotency-Key", "x")
	f.send("POST", "/v1/reports", "writer-other", q4, "Idempotency-Key", "y")
	f.send("POST", "/v1/reports", "writer-other", q4, "Idempotency-Key", "z")
	// At the limit a retry of the oldest key forgets nothing, and neither do the
	// keys of another client.
	if !replayed("a") || !replayed("b") {
		t.Error("a key within the limits is forgotten")
	}
	if replayed("c") || !replayed("c") || !replayed("b") {
		t.Error("a third key is not taken, or not in the place of the oldest")
	}
	if replayed("a") {
		t.Error("the oldest of three keys is still known")
	}
	f.pass(2 * time.Hour)
	if replayed("a") {
		t.Error("a key over its age is still known")
	}
}

func TestKeysSurviveARestart(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "st%41te ?#")
	reports := t.TempDir()
	config := func(c *Config) { c.StateDir, c.Reports, c.BaseURL = state, reports, "http://127.0.0.1:1" }
	start := func() *fixture {
		return serveAPI(t, func(c *Config) {
			config(c)
			c.Verifier = &fakeVerifier{base: c.BaseURL}
		})
	}
	first := start().post("key-1", q4)
	second := start()
	again := second.post("key-1", q4)
	if again.status != 201 || again.body != first.body || again.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("after a restart: %d %s, want the first answer %s", again.status, again.body, first.body)
	}
	if names := second.files(); len(names) != 1 {
		t.Errorf("files %v, want one", names)
	}
	entries, err := os.ReadDir(state)
	if err != nil || !slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == "docapi.db" }) {
		t.Errorf("the state is not where it should be: %v, %v", entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v, want 0600", e.Name(), info.Mode(), err)
		}
	}
}

func TestKeyInFlight(t *testing.T) {
	t.Parallel()
	f := serveAPI(t, nil)
	entered, release := make(chan struct{}), make(chan struct{})
	f.server.write = func(path string, data []byte, mode fs.FileMode) error {
		close(entered)
		<-release
		return disk.Create(path, data, mode)
	}
	answers := make(chan reply)
	go func() { answers <- f.post("key-1", q4) }()
	<-entered
	if got := f.post("key-1", q4); got.status != 409 || got.header.Get("Retry-After") == "" {
		t.Errorf("while the first is in flight: %d %s, want 409 with Retry-After", got.status, got.body)
	}
	close(release)
	if got := <-answers; got.status != 201 {
		t.Errorf("the first: %d %s", got.status, got.body)
	}
	if got := f.post("key-1", q4); got.status != 201 || got.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("after the first: %d %s", got.status, got.body)
	}
}

func TestManyAtOnceMakeOneReport(t *testing.T) {
	t.Parallel()
	f := serveAPI(t, nil)
	var wg sync.WaitGroup
	ids := make(chan string, 30)
	for range 30 {
		wg.Go(func() {
			got := f.post("key-1", q4)
			var r createdReport
			switch {
			case got.status == 409:
			case got.status == 201 && json.Unmarshal([]byte(got.body), &r) == nil:
				ids <- r.ID
			default:
				t.Errorf("POST = %d %s", got.status, got.body)
			}
		})
	}
	wg.Wait()
	close(ids)
	first := <-ids
	for id := range ids {
		if id != first {
			t.Errorf("two reports under one key: %s and %s", first, id)
		}
	}
	if names := f.files(); len(names) != 1 {
		t.Errorf("files %v, want one", names)
	}
}

// The process dies on the way between taking the key and answering. What counts is
// that the next process makes exactly one report of it.
func TestCrashMakesNoSecondReport(t *testing.T) {
	t.Parallel()
	for name, leave := range leftovers {
		t.Run(name, func(t *testing.T) {
			state, reports := t.TempDir(), t.TempDir()
			start := func() *fixture {
				return serveAPI(t, func(c *Config) {
					c.StateDir, c.Reports, c.BaseURL = state, reports, "http://127.0.0.1:1"
					c.Verifier = &fakeVerifier{base: c.BaseURL}
				})
			}
			dying := start()
			dying.dies(leave)
			// Nobody hears the answer; the first process is not asked again.
			dying.post("key-1", q4)
			before := dying.files()

			next := start()
			next.pass(time.Hour)
			got := next.post("key-1", q4)
			var r createdReport
			if err := json.Unmarshal([]byte(got.body), &r); err != nil || got.status != 201 || got.header.Get("Idempotent-Replayed") != "" {
				t.Fatalf("the next process: %d %s", got.status, got.body)
			}
			names := next.files()
			if len(names) != 1 || names[0] != r.Path || strings.Contains(name, "report") && !slices.Equal(before, names) {
				t.Errorf("files %v, before %v; want only %s", names, before, r.Path)
			}
			if !r.CreatedAt.Equal(noon) {
				t.Errorf("created at %v, want the time of the first try", r.CreatedAt)
			}
			if other := next.post("key-1", strings.Replace(q4, "rose", "fell", 1)); other.status != 422 {
				t.Errorf("another payload after a crash: %d, want 422", other.status)
			}
		})
	}
}

// A report that was written and then edited by hand is not overwritten by a retry
// whose answer was lost.
func TestRetryLeavesAnEditedReportAlone(t *testing.T) {
	t.Parallel()
	f := serveAPI(t, nil)
	f.dies(leftovers["the report"])
	f.post("key-1", q4)
	names := f.files()
	if len(names) != 1 {
		t.Fatalf("files %v, want one", names)
	}
	path := filepath.Join(f.reports, names[0])
	writeFile(t, path, "edited")
	f.server.write = disk.Create
	if got := f.post("key-1", q4); got.status != 201 {
		t.Fatalf("retry: %d %s", got.status, got.body)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "edited" {
		t.Errorf("the file holds %q, %v; want the edit", text, err)
	}
}

func TestDiskErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err    error
		status int
		want   string
	}{
		{syscall.ENOSPC, 507, "cannot write the report: no space left on device"},
		{syscall.EDQUOT, 507, "cannot write the report: disk quota exceeded"},
		{syscall.EFBIG, 507, "cannot write the report: file too large"},
		{syscall.EROFS, 500, "cannot write the report: read-only file system"},
		{syscall.EACCES, 500, "cannot write the report: permission denied"},
		{syscall.EIO, 500, "cannot write the report: input/output error"},
		{errors.New("CANARY"), 500, "cannot write the report: input/output error"},
	} {
		t.Run(test.err.Error(), func(t *testing.T) {
			t.Parallel()
			f := serveAPI(t, nil)
			f.server.write = func(path string, _ []byte, _ fs.FileMode) error {
				return &os.PathError{Op: "write", Path: "/CANARY/" + path, Err: test.err}
			}
			got := f.post("key-1", q4)
			if got.status != test.status || !strings.Contains(got.body, test.want) {
				t.Errorf("POST = %d %s, want %d with %q", got.status, got.body, test.status, test.want)
			}
			if strings.Contains(got.body, "CANARY") || strings.Contains(got.body, f.reports) {
				t.Errorf("the client sees the error's text: %s", got.body)
			}
			if log := f.log.String(); !strings.Contains(log, "CANARY") || !strings.Contains(log, "level=ERROR") {
				t.Errorf("the log lacks the cause:\n%s", log)
			}
			// Once the disk is well, the same key makes the report.
			f.server.write = disk.Create
			if got := f.post("key-1", q4); got.status != 201 || got.header.Get("Idempotent-Replayed") != "" {
				t.Errorf("retry = %d %s, want 201", got.status, got.body)
			}
			if names := f.files(); len(names) != 1 {
				t.Errorf("after the retry: %v, want one file", names)
			}
		})
	}
}

func TestReportsDirectoryThatIsAFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	writeFile(t, file, "x")
	for _, dir := range []string{file, filepath.Join(file, "reports")} {
		f := serveAPI(t, func(c *Config) { c.Reports = dir })
		got := f.send("POST", "/v1/reports", "writer-analyst", q4)
		if got.status != 500 || !strings.Contains(got.body, "the reports directory is not a directory") || strings.Contains(got.body, file) {
			t.Errorf("POST = %d %s", got.status, got.body)
		}
		if got := f.send("GET", "/v1/reports/aaaaaaaaaa", "read-reports/aaaaaaaaaa", ""); got.status != 500 {
			t.Errorf("GET = %d %s, want 500", got.status, got.body)
		}
	}
}

// A store that fails is an error before anything is written.
func TestStateThatFails(t *testing.T) {
	t.Parallel()
	f := serveAPI(t, nil)
	if err := f.server.keys.db.Do("DROP TABLE idempotency"); err != nil {
		t.Fatal(err)
	}
	got := f.post("key-1", q4)
	if got.status != 500 || !strings.Contains(got.body, "cannot record the request") || strings.Contains(got.body, "idempotency ") {
		t.Errorf("POST = %d %s, want 500", got.status, got.body)
	}
	if names := f.files(); len(names) != 0 {
		t.Errorf("left behind: %v", names)
	}
	if got := f.post("key-1", q4); got.status != 500 {
		t.Errorf("again: %d, want 500 and not a key in flight", got.status)
	}
}

func TestFullStateDisk(t *testing.T) {
	t.Parallel()
	f := serveAPI(t, nil)
	if err := f.server.keys.db.Do("PRAGMA max_page_count = 1"); err != nil {
		t.Fatal(err)
	}
	big := strings.Repeat("x", 100)
	var got reply
	for i := range 500 { // until the pages that are there are full
		if got = f.post(fmt.Sprint(big, i), q4); got.status != 201 {
			break
		}
	}
	if got.status != 507 || !strings.Contains(got.body, "cannot record the request: no space left on device") {
		t.Errorf("POST = %d %s, want 507", got.status, got.body)
	}
}
