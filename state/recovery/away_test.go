package recovery_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/recovery"
	"github.com/jitagent/jitagent/state/sqlite"
)

// A wire leads to a development server without a socket, so that its time can be
// virtual, and breaks as it is told.
type wire struct {
	server *lumodev.Server

	mu    sync.Mutex
	fault func(req *http.Request, n int) (*http.Response, error) // nil, or both nil: none
	asked int                                                    // while there is a fault
}

func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	w.mu.Lock()
	fault := w.fault
	if fault != nil {
		w.asked++
	}
	n := w.asked
	w.mu.Unlock()
	if fault != nil {
		if resp, err := fault(req, n); resp != nil || err != nil {
			return resp, err
		}
	}
	rec := httptest.NewRecorder()
	w.server.ServeHTTP(rec, req)
	return rec.Result(), nil
}

func (w *wire) set(fault func(*http.Request, int) (*http.Response, error)) (asked int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault = fault
	return w.asked
}

func replied(status int, header, body string) (*http.Response, error) {
	h := http.Header{}
	if name, value, ok := strings.Cut(header, ": "); ok {
		h.Set(name, value)
	}
	return &http.Response{StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: h, Body: io.NopCloser(strings.NewReader(body))}, nil
}

// cutBody breaks off in the middle.
type cutBody struct{ io.Reader }

func (c cutBody) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (cutBody) Close() error { return nil }

// faults are the ways of an authorization server to be away.
func faults() map[string]func(*http.Request, int) (*http.Response, error) {
	table := map[string]func(*http.Request, int) (*http.Response, error){
		"refused": func(*http.Request, int) (*http.Response, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
		},
		"reset": func(*http.Request, int) (*http.Response, error) {
			return nil, &net.OpError{Op: "read", Net: "tcp", Err: errors.New("connection reset by peer")}
		},
		"hangs": func(req *http.Request, _ int) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		},
		"503 with Retry-After": func(*http.Request, int) (*http.Response, error) {
			return replied(503, "Retry-After: 90", "")
		},
		"503 asking for an hour": func(_ *http.Request, n int) (*http.Response, error) {
			if n > 1 {
				return replied(503, "", "")
			}
			return replied(503, "Retry-After: 600", "")
		},
		"429": func(*http.Request, int) (*http.Response, error) {
			return replied(429, "Retry-After: 5", `{"error":"rate_limited"}`)
		},
		"500 with garbage": func(*http.Request, int) (*http.Response, error) {
			return replied(500, "", "\x00\xff{{{")
		},
		"502 of a proxy": func(*http.Request, int) (*http.Response, error) {
			return replied(502, "Content-Type: text/html", "<html>Bad Gateway</html>")
		},
		"404 of a proxy": func(*http.Request, int) (*http.Response, error) {
			return replied(404, "Content-Type: text/html", "<html>no such app</html>")
		},
		"401": func(*http.Request, int) (*http.Response, error) {
			return replied(401, "", `{"error":"invalid_client"}`)
		},
		"redirect": func(*http.Request, int) (*http.Response, error) {
			return replied(302, "Location: https://maintenance.test/", "")
		},
		"cut body": func(*http.Request, int) (*http.Response, error) {
			resp, err := replied(200, "", "")
			resp.Body = cutBody{strings.NewReader(`{"status":"comp`)}
			return resp, err
		},
	}
	table["flapping"] = func(req *http.Request, n int) (*http.Response, error) {
		switch n % 5 {
		case 0:
			return nil, nil // for once it works
		case 1:
			return table["refused"](req, n)
		case 2:
			return replied(503, "Retry-After: 3", "")
		case 3:
			return table["404 of a proxy"](req, n)
		}
		return table["cut body"](req, n)
	}
	return table
}

// For 20 minutes the authorization server is away, in every way. Nothing is given up,
// no state says more than is known, and soon after its return all is given back.
func TestServerAwayForTwentyMinutes(t *testing.T) {
	const away, tasks = 20 * time.Minute, 12
	for name, fault := range faults() {
		dir := stateDir(t)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				dev, err := lumodev.New(lumodev.Config{BaseURL: "http://127.0.0.1:8600", TaskTTL: 24 * time.Hour})
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = dev.Close() }()
				w := &wire{server: dev}
				agent := dev.Config().Agents[0]
				client, err := lumoauth.New(lumoauth.Config{
					URL: "http://127.0.0.1:8600", Org: dev.Config().Org, ClientID: agent.ClientID, ClientSecret: agent.ClientSecret,
					HTTPClient: &http.Client{Transport: w},
				})
				if err != nil {
					t.Fatal(err)
				}
				leave(t, dir, client, tasks)
				time.Sleep(2 * time.Hour) // the login is old when the next process comes
				w.set(fault)

				j := open(t, dir)
				start := time.Now()
				cfg := config(j, client)
				ctx, cancel := context.WithTimeout(t.Context(), away)
				during := must(t)(recovery.Sweep(ctx, cfg))
				cancel()
				honest(t, j, dev, during)
				asked := w.set(nil)
				if asked < 15 || asked > 40*20 {
					t.Errorf("%d requests in %s", asked, away)
				}
				time.Sleep(time.Until(start.Add(away)))

				after := must(t)(recovery.Sweep(t.Context(), cfg))
				if total := during.Completed + after.Completed; total != tasks || after.Left() != 0 || during.Expired+after.Expired != 0 {
					t.Errorf("%d of %d completed: %+v, then %+v", total, tasks, during, after)
				}
				if late := time.Since(start) - away; late > 11*time.Minute {
					t.Errorf("it took %s after the server's return", late)
				}
				honest(t, j, dev, after)
				if n := dev.Snapshot().LiveTokens; n != 0 {
					t.Errorf("%d live tokens", n)
				}
				if _, err := j.Verify(t.Context()); err != nil {
					t.Errorf("Verify() = %v", err)
				}
			})
		})
	}
}

// leave opens tasks with a grant each, in a process that dies then.
func leave(t *testing.T, dir string, client *lumoauth.Client, n int) {
	t.Helper()
	j := open(t, dir)
	detail := rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: "doc_9982"}
	for i := range n {
		info, err := client.CreateTask(t.Context(), jit.TaskSpec{Name: "n"})
		if err != nil {
			t.Fatal(err)
		}
		d, err := client.Request(t.Context(), jit.Request{TaskID: info.ID, Detail: detail})
		if err != nil {
			t.Fatal(err)
		}
		issued, err := client.Token(t.Context(), d.RequestID)
		if err != nil {
			t.Fatal(err)
		}
		run, now := fmt.Sprintf("run-%d", i), time.Now()
		for _, e := range []jit.Entry{
			{Kind: jit.EntryTaskOpening, Run: run, Authority: here},
			{Kind: jit.EntryTaskOpened, Run: run, TaskID: info.ID, ExpiresAt: info.ExpiresAt},
			{Kind: jit.EntryGrant, Run: run, TaskID: info.ID, RequestID: d.RequestID, Detail: &detail, ExpiresAt: now.Add(issued.ExpiresIn), TokenHash: "0123456789abcdef"},
		} {
			if err := j.Append(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
	}
	shut(t, j)
}

// honest checks that each task is called completed if and only if the server has
// ended it, or, if its answer was lost, that it is not called anything better.
func honest(t *testing.T, j *sqlite.Journal, dev *lumodev.Server, r recovery.Report) {
	t.Helper()
	atServer := map[string]string{}
	for _, k := range dev.Snapshot().Tasks {
		atServer[k.ID] = k.State
	}
	tasks, err := j.Tasks(t.Context(), journal.TaskFilter{})
	if err != nil {
		t.Fatal(err)
	}
	left := 0
	for _, k := range tasks {
		switch {
		case k.State == journal.StateCompleted && atServer[k.ID] != "completed":
			t.Errorf("%s is called completed, and is %s at the server", k.ID, atServer[k.ID])
		case k.State == journal.StateExpired || k.State == journal.StateUnknown:
			t.Errorf("%s is called %s", k.ID, k.State)
		case !k.State.Finished():
			left++
		}
		if k.State == journal.StateCompleting && k.Attempts > 0 && k.LastError == "" {
			t.Errorf("%s: %d attempts without a reason", k.ID, k.Attempts)
		}
	}
	if r.Waiting != left {
		t.Errorf("%d are said to be waiting, %d are", r.Waiting, left)
	}
}
