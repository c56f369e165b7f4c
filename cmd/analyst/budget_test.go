package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
)

// A budget of a policy counts an effect that was sent, whatever its process came to, and
// whichever process is asked for the next one.
func TestBudgetCountsWhatAKilledProcessSent(t *testing.T) {
	t.Parallel()
	const first, second = "Create a report titled 'One' about doc_9982.", "Create a report titled 'Two' about doc_9982."
	for _, how := range []string{"the next message", "after resume", "served"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			sent, asked := 0, make(chan struct{})
			w := newWorld(t, func(w *world) http.Handler {
				api := w.documents(w)
				return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					if r.Method == http.MethodPost && w.granted(r.Header.Get("Authorization")) {
						mu.Lock()
						sent++
						n := sent
						mu.Unlock()
						if _, err := io.ReadAll(r.Body); n == 1 && err == nil { // the answer never comes
							close(asked)
							<-r.Context().Done()
							return
						}
					}
					api.ServeHTTP(rw, r)
				})
			}).shared()
			policy := filepath.Join(t.TempDir(), "policy.yaml")
			if err := os.WriteFile(policy, []byte("tools: {create_report: {max: 1}}"), 0o600); err != nil {
				t.Fatal(err)
			}
			w.env[cli.EnvPolicy] = policy
			said := ""
			if how == "served" {
				s := w.serve()
				go s.say("ada", "run", "s", first)
				<-asked
				s.kill()
				s = w.serve("--max-rate", "1000000")
				body := `{"appName": "` + served + `", "userId": "user", "sessionId": "s", "newMessage": {"role": "user", "parts": [{"text": "` + second + `"}]}}`
				for status := http.StatusConflict; status == http.StatusConflict; { // until it is known that nobody is at it
					status, said = s.do("ada", http.MethodPost, "/api/run", body)
				}
			} else {
				p := w.start("run", "--session", "s", first)
				<-asked
				p.kill()
				if how == "after resume" {
					if got := w.run("resume", "s"); got.code != cli.ExitInDoubt {
						t.Errorf("resume: exit %d: %s%s", got.code, got.stdout, got.stderr)
					}
				}
				got := w.run("run", "--session", "s", second)
				said = got.stdout + got.stderr
			}
			mu.Lock()
			defer mu.Unlock()
			if sent != 1 || !strings.Contains(said, "one conversation may do no more of this than 1") {
				t.Errorf("%d reports were sent, want one: %s", sent, said)
			}
		})
	}
}
