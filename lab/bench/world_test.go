package bench

import (
	"context"
	"io"
	"net/http"
	"path"
	"testing"
	"time"

	"github.com/jitagent/jitagent/dev"
	"github.com/jitagent/jitagent/dev/docapi"
	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/challenge"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/resource"
)

// app is what all that is named here is called.
const app = "bench"

// world is an authorization server with an API beside it, in this process, and one
// connection pool that measures and floors share. It ends with its row.
type world struct {
	*dev.Servers
	authority *lumoauth.Client
	engine    *jit.Engine
	base      *http.Transport
	plain     *http.Client
	token     string // the agent's own
}

// newWorld starts the servers, without the bounds that would end a task after a
// hundred requests. documents serves the sample API, which asks the authorization
// server about each token; else the API is a thin one.
func newWorld(t *testing.T, documents bool) *world {
	w := &world{base: &http.Transport{MaxIdleConnsPerHost: 256}}
	w.plain = &http.Client{Transport: w.base}
	cfg := dev.Config{
		Auth: lumodev.Config{
			CAEP:    lumodev.CAEPPolicy{RiskThreshold: -1, BurstRequests: -1},
			TaskTTL: 24 * time.Hour,
			MaxTTL:  time.Hour,
		},
		Guard: func(cfg *resource.Config, _ string) { cfg.HTTPClient = w.plain }, // and memory for all state: a disk would hide what the rest costs
	}
	if documents {
		cfg.Documents = &docapi.Config{Reports: t.TempDir(), Limits: docapi.Limits{Keys: 1 << 30}}
	} else {
		cfg.API = func(*resource.Verifier, string) (http.Handler, error) { return http.HandlerFunc(w.thin), nil }
	}
	w.Servers = must(dev.Start(t.Context(), cfg))(t)
	t.Cleanup(func() {
		w.base.CloseIdleConnections()
		check(t, w.Close())
	})
	agent := w.Client()
	agent.HTTPClient = w.plain
	w.authority = must(lumoauth.New(agent))(t)
	w.token = must(w.authority.AgentToken(t.Context()))(t).Token.Reveal()
	w.engine = must(jit.New(jit.Config{Authority: w.authority}))(t)
	return w
}

// openTask opens a task that is completed with its row.
func openTask(t *testing.T, engine *jit.Engine) *jit.Task {
	task := must(engine.Open(t.Context(), jit.TaskSpec{Name: app}))(t)
	t.Cleanup(func() { check(t, task.Complete(context.WithoutCancel(t.Context()))) })
	return task
}

// content is what the thin API answers: a short document.
const content = `{"id":"doc_1","title":"Quarterly numbers","content":"Churn rose to 4.2 % in the fourth quarter."}`

// thin is an API that does nothing but tell the base token from others: all that is
// slower in it makes a client look cheaper than it is.
func (w *world) thin(rw http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") == "Bearer "+w.token {
		_ = challenge.Write(rw, http.StatusForbidden, read(path.Base(r.URL.Path)), "")
		return
	}
	_, _ = io.WriteString(rw, content)
}

func read(id string) rar.Detail {
	return rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: id}
}
