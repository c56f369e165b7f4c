package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/internal/logtest"
	"github.com/jitagent/jitagent/secret"
	"github.com/jitagent/jitagent/serve"
)

// A server is analyst serve in a process of its own, for the users ada and a reviewer.
type server struct {
	*process
	t       *testing.T
	url     string
	metrics string      // where they are
	header  http.Header // of each request, besides who makes it
}

const served = "protected_data_analyst"

func (w *world) serve(args ...string) *server {
	w.t.Helper()
	tokens := filepath.Join(w.t.TempDir(), "tokens")
	lines := serve.Hash(secret.New("ada")) + " ada\n" + serve.Hash(secret.New("rev")) + " " + lumodev.DefaultReviewerEmail + " approvers\n"
	if err := os.WriteFile(tokens, []byte(lines), 0o600); err != nil {
		w.t.Fatal(err)
	}
	s := &server{t: w.t, process: w.start(append([]string{"serve", "--listen", "127.0.0.1:0", "--token-file", tokens}, args...)...)}
	for s.url == "" && s.stderr.Scan() {
		if _, at, ok := strings.Cut(s.stderr.Text(), "metrics at "); ok {
			s.metrics = at
		}
		if _, rest, ok := strings.Cut(s.stderr.Text(), "serving at "); ok {
			s.url, _, _ = strings.Cut(rest, ";")
		}
	}
	return s
}

// do makes a request of a user, whose session of that name a POST without body makes.
func (s *server) do(user, method, path, body string) (int, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	maps.Copy(req.Header, s.header)
	req.Header.Set("Authorization", "Bearer "+user)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, string(text) + err.Error()
	}
	return resp.StatusCode, string(text)
}

// say sends a message to a session, which it makes.
func (s *server) say(user, route, session, text string) (int, string) {
	s.t.Helper()
	if status, answer := s.do(user, http.MethodPost, "/api/apps/"+served+"/users/user/sessions/"+session, ""); status != http.StatusOK {
		s.t.Errorf("the session was not made: %d %s", status, answer)
	}
	body, _ := json.Marshal(map[string]any{ // of texts alone
		"appName": served, "userId": "user", "sessionId": session, "newMessage": map[string]any{"role": "user", "parts": []any{map[string]any{"text": text}}},
	})
	return s.do(user, http.MethodPost, "/api/"+route, string(body))
}

// ends waits for the end of the process.
func (s *server) ends() {
	s.t.Helper()
	var failed *exec.ExitError
	for s.stderr.Scan() {
		continue
	}
	if err := s.cmd.Wait(); errors.As(err, &failed) {
		s.t.Errorf("the server ended with %v", err)
	}
}

// What is wrong with its settings is all said before anything else is, or is begun.
func TestServeSaysWhatIsWrongFirst(t *testing.T) {
	w := newWorld(t, nil)
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(strings.Repeat("k", 40)), 0o600); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	for _, tt := range []struct{ args, want string }{
		{"serve --origin x --max-runs 0 --max-rate -1", `--max-runs must be positive; --max-rate must be positive; --origin "x"`},
		{"serve --url http://a.example/b", "--url"},
		{"serve --cert " + key + " --key " + key, "--cert and --key: "},
		{"serve --quorum 2", "--quorum 2: without"},
		{"serve --listen " + taken.Addr().String(), "--listen: "},
		{"serve --database postgres://127.0.0.1:1/db --tenant A --vault-key " + key, "tenant"},
		{"worker --vault-key " + key, "--vault-key is for a database"},
		{"worker --workers -1 --ttl 1ms", "--ttl is a whole number of seconds, at least 1s; --workers must"},
		{"run --model nobody --wait -2s --ephemeral --session s x", `unknown model "nobody"`},
	} {
		got := w.run(strings.Fields(tt.args)...)
		if lines := strings.Count(got.stderr, "analyst: "); got.code != cli.ExitUsage || !strings.Contains(got.stderr, tt.want) || lines != 1 {
			t.Errorf("%s: exit %d: %s", tt.args, got.code, got.stderr)
		}
	}
}

// Who is stopped at the start says so, and blames neither directory nor database.
func TestStoppedAtTheStart(t *testing.T) {
	t.Parallel()
	for name, clustered := range map[string]bool{"directory": false, "database": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			if clustered {
				w.clustered("")
			}
			for _, args := range []string{"serve --listen 127.0.0.1:0", "worker", "run x", "sweep", "kill ALL", "tasks"} {
				ctx, stop := context.WithCancelCause(t.Context())
				stop(cli.Signal{Signal: syscall.SIGTERM})
				var stderr logtest.Buffer
				code := run(ctx, strings.Fields(args), private(t, w.env), strings.NewReader(""), io.Discard, &stderr)
				if clustered || args != "tasks" { // which has nothing to read in a directory
					if code != cli.ExitInterrupted || stderr.String() != "analyst: interrupted\n" {
						t.Errorf("%s: exit %d: %s", args, code, stderr.String())
					}
				}
			}
		})
	}
}

func TestServeTwoUsersAtOnce(t *testing.T) {
	w := newWorld(t, nil).shared()
	s := w.serve()
	var wg sync.WaitGroup
	for user, route := range map[string]string{"ada": "run", "rev": "run_sse"} {
		wg.Go(func() {
			status, answer := s.say(user, route, "s", "Fetch doc_9982 and create a summary report titled '"+user+"'")
			if status != http.StatusOK || !strings.Contains(answer, "create_report") || strings.Contains(answer, `"error"`) {
				t.Errorf("%s: %d %s", route, status, answer)
			}
		})
	}
	wg.Wait()
	for user, other := range map[string]string{"ada": "rev", "rev": "ada"} {
		if _, answer := s.do(user, http.MethodGet, "/api/apps/"+served+"/users/user/sessions/s", ""); !strings.Contains(answer, "titled '"+user) || strings.Contains(answer, "titled '"+other) {
			t.Errorf("the session of %s: %s", user, answer)
		}
	}
	behalf := map[string]int{}
	for _, task := range w.auth.Snapshot().Tasks {
		behalf[task.OnBehalfOf]++
	}
	if behalf[lumodev.DefaultReviewerEmail] != 1 || behalf[""] != 1 {
		t.Errorf("tasks on behalf of %v", behalf)
	}
	if states := w.atServer(); states != "completed completed" {
		t.Errorf("tasks at the server: %s", states)
	}
}

// Whoever decides sees for whom it is and what they said, and one answer is for one user.
func TestServeNamesWhoAsks(t *testing.T) {
	w := newWorld(t, nil).shared()
	w.env[cli.EnvReviewer] = filepath.Join(t.TempDir(), "reviewer")
	token, _ := w.auth.Reviewer(t.Context())
	if err := os.WriteFile(w.env[cli.EnvReviewer], []byte(token.Reveal()), 0o600); err != nil {
		t.Fatal(err)
	}
	s := w.serve("--workers", "0")
	for _, of := range []string{"ada 1", "ada 2", "rev 3"} {
		user, session, _ := strings.Cut(of, " ")
		if status, answer := s.say(user, "run", "s"+session, "Summarize doc_7310"); status != http.StatusOK || !strings.Contains(answer, "jitagent_waiting") {
			t.Fatalf("%d %s", status, answer)
		}
	}
	_, page := s.do("rev", http.MethodGet, "/approvals", "")
	if n := strings.Count(page, `<a class="card"`); n != 2 {
		t.Errorf("%d cards, want one for each user: %s", n, page)
	}
	const task = "analyst: Summarize doc_7310"
	own := lumodev.DefaultReviewerEmail + ": " + task
	for said, want := range map[string][]string{
		page: {"for ada<", ": " + task + "<", "for " + own},
		strings.Join(strings.Fields(w.run("approvals", "list").stdout), " "): {"for ada that for jit_", "for " + own},
		w.run("approvals", "list", "--json").stdout:                          {`"user": "ada"`, `"user": "` + lumodev.DefaultReviewerEmail, `"task_name": "` + task},
		w.run("approvals", "show", "last").stdout:                            {"for         " + lumodev.DefaultReviewerEmail + "\n", task + " (task_"},
	} {
		for _, text := range want {
			if !strings.Contains(said, text) {
				t.Errorf("%q is not in what is said:\n%s", text, said)
			}
		}
	}
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	s.ends()
}

// A worker finishes what the server began and a person approved, and is seen from outside. One
// that is configured for another authorization server says whose it leaves.
func TestWorkerGoesOn(t *testing.T) {
	w := newWorld(t, nil).shared()
	told := t.TempDir()
	s := w.serve("--workers", "0", "--max-rate", "1000000", "--notify-command", "tee -a "+told+"/serve")
	if status, answer := s.say("ada", "run", "s", "Summarize doc_7310"); status != http.StatusOK || !strings.Contains(answer, "jitagent_waiting") {
		t.Fatalf("%d %s", status, answer)
	}
	other := newWorld(t, nil)
	other.env[cli.EnvState] = w.env[cli.EnvState]
	other.start("worker").until(t, "working on", "from earlier: 1 run of "+w.env[cli.EnvURL]+"/")
	worker := &server{t: t, process: w.start("worker", "--metrics-listen", "127.0.0.1:0", "--notify-command", "tee -a "+told+"/worker")}
	for worker.url == "" && worker.stderr.Scan() {
		_, worker.url, _ = strings.Cut(worker.stderr.Text(), "metrics at ")
	}
	decide(t, w.auth, "approve")
	for answer := ""; !strings.Contains(answer, "Summary of"); {
		status := 0
		if status, answer = s.do("ada", http.MethodGet, "/api/apps/"+served+"/users/user/sessions/s", ""); status != http.StatusOK {
			t.Fatalf("%d %s", status, answer)
		}
	}
	if _, metrics := worker.do("", http.MethodGet, "", ""); !strings.Contains(metrics, `jit_calls_total`) {
		t.Errorf("metrics of the worker: %s", metrics)
	}
	if status, body := worker.do("", http.MethodGet, "/../debug/pprof/", ""); status != http.StatusNotFound {
		t.Errorf("another page beside the metrics: %d %s", status, body)
	}
	if err := worker.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	worker.ends()
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	s.ends()
	for by, want := range map[string]string{
		"serve":  `"request.pending".*"tool":"fetch_document","request_id":"jit_.*"run.ended".*"outcome":"pending","waiting":\[{"request_id":"jit_`,
		"worker": `"run.ended".*"outcome":"done"`,
	} {
		if text, err := os.ReadFile(filepath.Join(told, by)); err != nil || !regexp.MustCompile(want).Match(text) || strings.Contains(string(text), "doc_7310") {
			t.Errorf("%s told %s, %v", by, text, err)
		}
	}
	if states := w.atServer(); states != "completed" {
		t.Errorf("tasks at the server: %s", states)
	}
}

// Told to end, the server says so first and serves on; then what is under way ends, or is
// stopped, and what it was granted is given back.
func TestServeEnds(t *testing.T) {
	for name, ends := range map[string]bool{"what is under way ends": true, "what is under way is stopped": false, "what is under way is stopped at once": false} {
		t.Run(name, func(t *testing.T) {
			begun, goOn := make(chan bool, 1), make(chan bool)
			w := newWorld(t, func(w *world) http.Handler {
				docs := w.documents(w)
				return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					if w.granted(r.Header.Get("Authorization")) && strings.HasSuffix(r.URL.Path, "doc_9982") {
						begun <- true
						<-goOn
					}
					docs.ServeHTTP(rw, r)
				})
			}).shared()
			end := sync.OnceFunc(func() { close(goOn) })
			t.Cleanup(end)
			notice, drain := "1ms", "1h"
			twice := strings.HasSuffix(name, "at once")
			if twice {
				notice = "1h"
			} else if !ends {
				drain = "2s" // for which it goes on, and which the giving back has, too
			}
			s := w.serve("--notice", notice, "--drain", drain)
			answered := make(chan string, 1)
			go func() {
				status, answer := s.say("ada", "run", "s", "Summarize doc_9982")
				answered <- http.StatusText(status) + answer
			}()
			<-begun
			told := func(says string) {
				t.Helper()
				if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
					t.Fatal(err)
				}
				if !s.stderr.Scan() || !strings.Contains(s.stderr.Text(), says) {
					t.Errorf("it says %q, want %q", s.stderr.Text(), says)
				}
			}
			told("ending: what is under way has ")
			if twice {
				for status := 0; status != http.StatusServiceUnavailable; {
					if status, _ = s.do("", http.MethodGet, "/readyz", ""); status == 0 {
						t.Fatal("nobody was told that the server ends")
					}
				}
				if status, _ := s.do("ada", http.MethodGet, "/api/list-apps", ""); status != http.StatusOK {
					t.Errorf("while it says so, it answers %d", status)
				}
				told("ending: what was granted is being given back; once more leaves at once")
				s.ends() // and waits neither for the hour nor for what is under way
			} else if ends {
				end()
				if got := <-answered; !strings.Contains(got, "Summary of") {
					t.Errorf("the answer is %s", got)
				}
				s.ends()
			} else {
				s.ends()
			}
			if states := w.atServer(); states != "completed" {
				t.Errorf("tasks at the server: %s", states)
			}
		})
	}
}

// What waits for a person to the end is suspended, and gone on with by the next server: also
// where nobody waits for the end, as with timeout(1), which says it twice.
func TestServeEndsWhileACallWaits(t *testing.T) {
	for name, signals := range map[string]int{"told once": 1, "told twice": 2} {
		t.Run(name, func(t *testing.T) { endsWhileACallWaits(t, signals) })
	}
}

func endsWhileACallWaits(t *testing.T, signals int) {
	w := newWorld(t, nil).shared()
	s := w.serve("--notice", "1ms", "--drain", "1s", "--wait", "10m")
	answered := make(chan string, 1)
	go func() {
		status, answer := s.say("ada", "run", "s", report)
		answered <- http.StatusText(status) + answer
	}()
	waits := func(r lumodev.RequestInfo) bool { return r.Status == "pending" }
	for t.Context().Err() == nil && !slices.ContainsFunc(w.auth.Snapshot().Requests, waits) {
		runtime.Gosched()
	}
	for range signals {
		if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if !s.stderr.Scan() {
			t.Fatal("it says nothing")
		}
	}
	if got := <-answered; !strings.HasPrefix(got, "OK") || !strings.Contains(got, "jitagent_waiting") {
		t.Errorf("the answer is %s", got)
	}
	s.ends()
	if states := w.atServer(); states != "active" {
		t.Errorf("tasks at the server: %s", states)
	}
	s = w.serve("--workers", "0")
	decide(t, w.auth, "approve")
	if status, answer := s.do("ada", http.MethodPost, "/api/apps/"+served+"/users/user/sessions/s/resume", ""); status != http.StatusOK || !strings.Contains(answer, "was created") {
		t.Errorf("resumed: %d %s", status, answer)
	}
}

// A server whose state cannot be worked with says so to whoever sends it requests, and lives.
func TestServeIsNotReady(t *testing.T) {
	says := func(t *testing.T, s *server, want string) {
		t.Helper()
		for end := time.Now().Add(time.Minute); ; {
			status, answer := s.do("", http.MethodGet, "/readyz", "")
			if status == 0 || time.Now().After(end) {
				t.Fatal(answer)
			}
			if alive, _ := s.do("", http.MethodGet, "/healthz", ""); alive != http.StatusOK {
				t.Fatalf("it lives, and says %d", alive)
			}
			if answer == want {
				return
			}
		}
	}
	t.Run("directory", func(t *testing.T) {
		w := newWorld(t, nil).shared()
		s, dir := w.serve(), w.env[cli.EnvState]
		says(t, s, "ready\n")
		if err := os.Rename(dir, dir+".away"); err != nil {
			t.Fatal(err)
		}
		says(t, s, "not ready: the state directory cannot be written to\n")
		if err := os.Rename(dir+".away", dir); err != nil {
			t.Fatal(err)
		}
		says(t, s, "ready\n")
	})
	t.Run("database", func(t *testing.T) {
		w := newWorld(t, nil)
		w.clustered("")
		s := w.serve()
		says(t, s, "ready\n")
		c, err := pgx.Connect(t.Context(), "dbname=postgres host="+w.env["PGHOST"]+" user="+w.env["PGUSER"])
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close(context.WithoutCancel(t.Context())) }()
		allow := func(yes bool) {
			for _, statement := range []string{ // in a transaction each: whoever comes back finds the first done
				fmt.Sprintf("ALTER DATABASE %s ALLOW_CONNECTIONS %t", w.env["PGDATABASE"], yes),
				fmt.Sprintf("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '%s'", w.env["PGDATABASE"]),
			} {
				if _, err := c.Exec(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
		}
		allow(false)
		says(t, s, "not ready: the database does not answer\n")
		allow(true)
		says(t, s, "ready\n")
	})
}

// A server that others take for dead tells whoever waits for an answer, and ends.
func TestServeThatIsTakenForDead(t *testing.T) {
	begun, goOn := make(chan bool, 1), make(chan bool)
	defer close(goOn)
	w := newWorld(t, func(w *world) http.Handler {
		docs := w.documents(w)
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if w.granted(r.Header.Get("Authorization")) {
				begun <- true
				<-goOn
			}
			docs.ServeHTTP(rw, r)
		})
	})
	exec := w.clustered("")
	s := w.serve("--notice", "0s")
	answered := make(chan string, 1)
	go func() {
		status, answer := s.say("ada", "run", "s", "Summarize doc_9982")
		answered <- http.StatusText(status) + " " + answer
	}()
	<-begun
	exec("UPDATE analyst_acme.owners SET until = '-infinity'")
	if got := <-answered; !strings.HasPrefix(got, http.StatusText(http.StatusInternalServerError)) {
		t.Errorf("the answer is %s", got)
	}
	s.process.until(t, "the server ends", "start it again")
	if err := s.cmd.Wait(); err == nil {
		t.Error("it ended as if nothing had been")
	}
}
