package main

import (
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/jit/challenge"
)

// TestAnswersOfAnAPI runs the whole program against an API that answers one call in every
// way: the exit code, the finished event, how often the effect was asked for.
func TestAnswersOfAnAPI(t *testing.T) {
	says := func(status int, head, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if name, value, ok := strings.Cut(head, ": "); ok {
				w.Header().Set(name, value)
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	endless := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, strings.Repeat("x", 64<<10)); err != nil {
				return
			}
		}
	}
	packed := func(n int) string {
		var b strings.Builder
		z := gzip.NewWriter(&b)
		_, _ = io.WriteString(z, "Churn rose to 4.2 %."+strings.Repeat(" ", n))
		_ = z.Close()
		return b.String()
	}
	for name, tt := range map[string]struct {
		answer    http.HandlerFunc
		get, post int // exit codes
	}{
		"201 empty":      {says(201, "", ""), cli.ExitFailed, cli.ExitDone},
		"204":            {says(204, "", ""), cli.ExitFailed, cli.ExitDone},
		"text":           {says(200, "Content-Type: text/plain", "Churn rose to 4.2 % in the third quarter."), cli.ExitDone, cli.ExitDone},
		"HTML":           {says(200, "Content-Type: text/html", "<title>Churn</title><p>Churn rose to 4.2 % in the third quarter."), cli.ExitDone, cli.ExitDone},
		"duplicate keys": {says(201, "Content-Type: application/json", `{"id":"x","id":"x","content":"Churn rose to 4.2 %."}`), cli.ExitDone, cli.ExitDone},
		"numeric id":     {says(201, "Content-Type: application/json", `{"id":1234567890123456789,"content":"Churn rose to 4.2 %."}`), cli.ExitDone, cli.ExitDone},
		"too large":      {says(200, "", strings.Repeat("x", 5<<20)), cli.ExitFailed, cli.ExitDone},
		"Latin-1":        {says(200, "Content-Type: text/plain; charset=iso-8859-1", "Churn ros\xe9 to 4.2 %."), cli.ExitDone, cli.ExitDone},
		"BOM":            {says(201, "Content-Type: application/json", "\ufeff"+`{"id":"x","content":"Churn rose to 4.2 %."}`), cli.ExitDone, cli.ExitDone},
		"nested JSON":    {says(201, "Content-Type: application/json", `{"data":{"document":{"text":"Churn rose to 4.2 %."}}}`), cli.ExitDone, cli.ExitDone},
		"compressed":     {says(200, "Content-Encoding: gzip", packed(0)), cli.ExitDone, cli.ExitDone},
		"a bomb":         {says(200, "Content-Encoding: gzip", packed(64<<20)), cli.ExitFailed, cli.ExitDone},
		"endless":        {endless, cli.ExitFailed, cli.ExitDone},
		"400":            {says(400, "", "no"), cli.ExitFailed, cli.ExitFailed},
		"500":            {says(500, "", "down"), cli.ExitFailed, cli.ExitInDoubt},
		"302":            {says(302, "Location: /elsewhere", ""), cli.ExitFailed, cli.ExitInDoubt},
		"303":            {says(303, "Location: /v1/reports/1", ""), cli.ExitFailed, cli.ExitDone},
	} {
		for method, code := range map[string]int{"GET": tt.get, "POST": tt.post} {
			t.Run(name+"/"+method, func(t *testing.T) {
				var effects atomic.Int64
				w := newWorld(t, func(w *world) http.Handler {
					return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
						demand := `[{"type":"file_access","actions":["read"],"identifier":"doc_9982"}]`
						if r.Method == http.MethodPost {
							demand = `[{"type":"file_access","actions":["write"],"identifier":"reports"}]`
						}
						switch {
						case !w.granted(r.Header.Get("Authorization")):
							rw.Header().Set(challenge.Header, base64.StdEncoding.EncodeToString([]byte(demand)))
							rw.WriteHeader(http.StatusForbidden)
						case r.Method == method && !strings.HasSuffix(r.URL.Path, "/elsewhere"):
							effects.Add(1)
							tt.answer(rw, r)
						case r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, "/v1/documents/"):
							_, _ = fmt.Fprint(rw, `{"id":"doc_9982","title":"Churn","content":"Churn rose to 4.2 % in the third quarter."}`)
						default:
							http.NotFound(rw, r)
						}
					})
				})
				prompt := "Summarize doc_9982"
				if method == http.MethodPost {
					prompt = "Summarize doc_9982, and create a report titled 'Churn'"
				}
				got := w.run("run", "--json", prompt)
				outcome := map[int]string{cli.ExitDone: "done", cli.ExitFailed: "failed", cli.ExitInDoubt: "in_doubt"}[code]
				if got.code != code || !strings.Contains(got.stdout, `"outcome":"`+outcome+`"`) {
					t.Errorf("exit %d, want %d and the outcome %s\n%s%s", got.code, code, outcome, got.stdout, got.stderr)
				}
				told := map[string]string{"GET": "4.2 %", "POST": `"status":"ok"`}[method]
				if code == cli.ExitDone && !strings.Contains(got.stdout, told) {
					t.Errorf("nobody is told %q:\n%s", told, got.stdout)
				}
				if n := effects.Load(); method == http.MethodPost && n != 1 {
					t.Errorf("the API was asked for its effect %d times", n)
				}
			})
		}
	}
}
