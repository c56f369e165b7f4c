package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/internal/sqldb"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/state/session"
)

// postponed returns what has the runs that wait asked about in an hour, and says how many those
// are that were to be asked about before.
func (w *world) postponed(clustered bool) func() int64 {
	const query = "UPDATE runs SET check_at = check_at + 3600000000 WHERE state = 'waiting' AND check_at < since + 1800000000"
	return func() int64 {
		w.t.Helper()
		if !clustered {
			db, err := sqldb.Open(filepath.Join(w.env[cli.EnvState], session.File), 1)
			if err != nil {
				w.t.Fatal(err)
			}
			done, err := db.ExecContext(w.t.Context(), query)
			if err != nil {
				w.t.Fatal(err)
			}
			n, err := done.RowsAffected()
			if err := errors.Join(err, db.Close()); err != nil {
				w.t.Fatal(err)
			}
			return n
		}
		address, err := os.ReadFile(w.env[cli.EnvDatabaseFile])
		if err != nil {
			w.t.Fatal(err)
		}
		c, err := pgx.Connect(w.t.Context(), string(address))
		if err != nil {
			w.t.Fatal(err)
		}
		defer func() { _ = c.Close(context.WithoutCancel(w.t.Context())) }()
		done, err := c.Exec(w.t.Context(), strings.ReplaceAll(query, "runs", "analyst_acme.runs"))
		if err != nil {
			w.t.Fatal(err)
		}
		return done.RowsAffected()
	}
}

// callbacks are the addresses that the authorization server was given, one for each request.
func (w *world) callbacks() (all []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, body := range w.bodies {
		var in struct {
			Callback string `json:"callback_url"`
		}
		if err := json.Unmarshal([]byte(body), &in); err != nil {
			w.t.Error(err)
		}
		all = append(all, in.Callback)
	}
	return all
}

// A decision at the authorization server has a run gone on with at once, by the server's word
// alone: nobody would ask for an hour. So has one about what a worker asked for.
func TestCallbackWakesARun(t *testing.T) {
	for name, clustered := range map[string]bool{"directory": false, "database": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil, func(c *lumodev.Config) {
				c.Risk.Assess = func(rar.Detail) lumodev.Risk { return lumodev.High } // reports, too
			})
			if w.shared(); clustered {
				w.clustered("")
			}
			asked := make(chan string, 1000) // what it is asked about by whoever goes on with runs
			w.hijack(func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					next.ServeHTTP(rw, r)
					if strings.HasSuffix(r.URL.Path, "/status") {
						asked <- r.URL.Path
					}
				})
			})
			postpone := w.postponed(clustered)
			s := w.serve("--workers", "0", "--max-rate", "1000000")
			w.start("worker", "--url", s.url).until(t, "working on")
			if status, answer := s.say("ada", "run", "s", report); status != http.StatusOK || !strings.Contains(answer, "jitagent_waiting") {
				t.Fatalf("%d %s", status, answer)
			}
			for n, by := range []string{"the server", "the worker"} { // who asks for what is decided
				for postpone() == 0 {
					continue // until it waits
				}
				for len(asked) > 0 {
					<-asked // before that
				}
				given := w.callbacks()
				if len(given) != n+1 || !strings.HasPrefix(given[n], s.url+"/callbacks/") {
					t.Fatalf("%s gave the authorization server %q, want an address below %s", by, given, s.url)
				}
				for _, tt := range []struct {
					method, address string
					want            int
				}{
					{http.MethodPost, s.url + "/callbacks/AAAAAAAAAAAAAAAAAAAAAHRhc2tfMQ", http.StatusNotFound},
					{http.MethodPost, given[n] + "A", http.StatusNotFound},
					{http.MethodGet, given[n], http.StatusMethodNotAllowed},
					{http.MethodPost, given[n], http.StatusNoContent},
				} {
					if status := posted(t, tt.method, tt.address, `{"status":"approved"}`+strings.Repeat(" ", 1<<17)); status != tt.want {
						t.Fatalf("%s %s: %d, want %d", tt.method, tt.address, status, tt.want)
					}
				}
				<-asked // by the last of them, and nothing was decided
				if _, answer := s.do("ada", http.MethodGet, "/api/apps/"+served+"/users/user/sessions/s", ""); strings.Contains(answer, "was created") || w.asked() != n+1 {
					t.Errorf("the run goes on with what %s asked for, and nothing was decided: %s", by, answer)
				}
				decide(t, w.auth, "approve")
			}
			for answer := ""; !strings.Contains(answer, "was created"); {
				_, answer = s.do("ada", http.MethodGet, "/api/apps/"+served+"/users/user/sessions/s", "")
			}
		})
	}
}

// posted makes a request of nobody.
func posted(t *testing.T, method, address, body string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}
