package main

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/internal/pgtest"
)

// operating returns the shell of docs/operate.md, block by block, with the lines for state
// in "a directory" or "a database".
func operating(t *testing.T, state string) (blocks []string) {
	t.Helper()
	for _, name := range []string{"curl", "openssl"} {
		if _, err := exec.LookPath(name); err != nil || runtime.GOOS == "windows" {
			t.Skip("no sh, or no " + name)
		}
	}
	page, err := os.ReadFile("../../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	other := map[string]string{"a directory": "a database", "a database": "a directory"}[state]
	for _, b := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllSubmatch(page, -1) {
		blocks = append(blocks, regexp.MustCompile("(?m)^.* # "+other+".*\n").ReplaceAllString(string(b[1]), ""))
	}
	return blocks
}

// rotating returns those with which the agent logs in and a person looks at what waits,
// from now on. The agent's secret may be next as well.
func (w *world) rotating(next string) *[]string {
	var mu sync.Mutex
	var seen []string
	agent := w.env[cli.EnvClientID]
	w.hijack(func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			mu.Lock()
			if form, _ := url.ParseQuery(string(body)); form.Get("client_id") == agent {
				seen = append(seen, form.Get("client_secret"))
				body = bytes.ReplaceAll(body, []byte(next), []byte(w.secrets[0]))
			} else if path.Base(r.URL.Path) == "pending" {
				seen = append(seen, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
			}
			mu.Unlock()
			r.Body = io.NopCloser(bytes.NewReader(body))
			h.ServeHTTP(rw, r)
		})
	})
	return &seen
}

// TestOperateByTheLetter runs the shell of docs/operate.md as it stands, with both kinds of
// state.
func TestOperateByTheLetter(t *testing.T) {
	for _, state := range []string{"a directory", "a database"} {
		t.Run(state, func(t *testing.T) {
			const next = "another-secret"
			dir, w := t.TempDir(), newWorld(t, nil)
			seen := w.rotating(next)
			files := map[string]string{"client.secret": w.secrets[0], "client.secret.new": next}
			for _, name := range []string{"reviewer.token", "reviewer.token.new"} {
				token, err := w.auth.UserToken(lumodev.DefaultReviewerEmail)
				if err != nil {
					t.Fatal(err)
				}
				files[name] = token.Reveal()
			}
			for name, text := range files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			program, err := exec.LookPath("analyst")
			if err != nil {
				t.Fatal(err)
			}
			script := "trap 'kill $! 2>/dev/null || true' EXIT\nmkdir bin && cp " + program + " bin/analyst && cp bin/analyst analyst.new\n" + strings.Join(operating(t, state), "")
			cmd := exec.CommandContext(t.Context(), "sh", "-eu", "-c", script) //nolint:gosec // our own page
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "NO_PROXY=*", "HOME="+dir, "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"))
			delete(w.env, cli.EnvSecret)
			if state == "a database" {
				maps.Copy(w.env, pgtest.Env(t, pgtest.Shared(t).URL(t)))
			}
			for name, value := range w.env {
				cmd.Env = append(cmd.Env, name+"="+value)
			}
			out, err := cmd.CombinedOutput()
			if err != nil || strings.Count(string(out), "held:  the checkpoint of") != 2 || !strings.Contains(string(out), "Salary Bands 2025") {
				said, _ := os.ReadFile(filepath.Join(dir, "serve.log"))
				t.Fatalf("%v: %s\n%s", err, out, said)
			}
			for _, name := range []string{"client.secret", "reviewer.token"} {
				at := slices.Index(*seen, files[name+".new"])
				if at < 0 || !slices.Contains((*seen)[:at], files[name]) || slices.Contains((*seen)[at:], files[name]) {
					t.Errorf("of %s the old one was not used before the new one alone", name)
				}
			}
			if states := w.atServer(); states != "completed completed completed" || w.auth.Snapshot().LiveTokens != 0 {
				t.Errorf("tasks at the server: %s; %d tokens live", states, w.auth.Snapshot().LiveTokens)
			}
		})
	}
}

// TestWhatToWatch plays the faults that docs/operate.md has operators watch for, and sees
// each in what it names.
func TestWhatToWatch(t *testing.T) {
	w := newWorld(t, func(w *world) http.Handler {
		docs := w.documents(w)
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost && w.granted(r.Header.Get("Authorization")) { // its answer is lost
				docs.ServeHTTP(httptest.NewRecorder(), r)
				panic(http.ErrAbortHandler)
			}
			docs.ServeHTTP(rw, r)
		})
	}).shared()
	var away atomic.Bool // the authorization server, for who would end a task
	w.hijack(func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if path.Base(r.URL.Path) == "complete" && away.Load() {
				rw.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			h.ServeHTTP(rw, r)
		})
	})
	dir := t.TempDir()
	key, checkpoints := filepath.Join(dir, "key"), filepath.Join(dir, "checkpoints")
	if got := w.run("audit", "key", "audit.example.com", key); got.code != cli.ExitDone {
		t.Fatal(got.stderr)
	}
	if err := os.Mkdir(checkpoints, 0o700); err != nil {
		t.Fatal(err)
	}
	s := w.serve("--workers", "0", "--max-rate", "1000000", "--metrics-listen", "127.0.0.1:0", "--checkpoint-key", key, "--checkpoints", checkpoints, "--checkpoint-every", "1s")
	if err := os.RemoveAll(checkpoints); err != nil {
		t.Fatal(err)
	}
	s.say("ada", "run", "doubtful", "Fetch doc_9982 and create a report titled 'X'")
	s.say("ada", "run", "waits", "Summarize doc_7310")
	away.Store(true)
	go s.say("ada", "run", "held", "Summarize doc_9982") // it goes on trying
	page, err := os.ReadFile("../../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	watched := regexp.MustCompile(`(?m)^\| .*?\|`).FindAllString(string(page), -1)
	named := regexp.MustCompile("`(jit_[a-z_]+)(?:{(.*?)})?`").FindAllStringSubmatch(strings.Join(watched, "\n"), -1)
	if len(named) < 4 {
		t.Fatalf("the page names %q", named)
	}
	for _, m := range named {
		line := regexp.MustCompile(`(?m)^` + m[1] + `({.*` + regexp.QuoteMeta(m[2]) + `.*})? [1-9]`)
		(&server{t: t, url: s.metrics}).until(line.MatchString, "")
	}
	for got := w.run("tasks", "--state", "completing"); !strings.Contains(got.stdout, "completing"); got = w.run("tasks", "--state", "completing") {
		if t.Context().Err() != nil {
			t.Fatal(got)
		}
	}
	s.process.until(t, "journal: no checkpoint was made")
	away.Store(false)
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for status := 0; status != http.StatusServiceUnavailable; {
		status, _ = s.do("", http.MethodGet, "/readyz", "")
	}
}

// until asks for a page until it is as it should be, or the test has no more time.
func (s *server) until(right func(string) bool, page string) {
	s.t.Helper()
	text := ""
	for end, ok := s.t.Deadline(); !right(text); {
		if ok && time.Until(end) < 10*time.Second {
			s.t.Fatalf("%s: %q", page, regexp.MustCompile("(?m)^jit_.*").FindAllString(text, -1))
		}
		_, text = s.do("", http.MethodGet, page, "")
	}
}
