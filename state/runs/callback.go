package runs

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"

	"golang.org/x/time/rate"

	"github.com/jitagent/jitagent/secret"
	"github.com/jitagent/jitagent/state/journal"
)

// Callbacks are the addresses at which an authorization server says that a person decided
// about a task: each names its task, and nobody else can make one up. Whoever has one can have
// a pool ask that server, and nothing else.
type Callbacks struct {
	Base      *url.URL      // below which they are. Required
	Key       secret.String // of all processes of the state, such as [journal.Store]'s TokenHashKey. Required
	Authority string        // as in [Options]
}

// For returns the address for a task of the authorization server's: see lumoauth.Config.Callback.
func (c Callbacks) For(task string) string {
	return c.Base.JoinPath(base64.RawURLEncoding.EncodeToString(append(c.sum(task), task...))).String()
}

const sumSize = sha256.Size / 2

// sum is what nobody makes who has no key. No token has a line break, so it is no hash of one.
func (c Callbacks) sum(task string) []byte {
	m := hmac.New(sha256.New, []byte(c.Key.Reveal()))
	_, _ = fmt.Fprintf(m, "callback\n%s\n%s", c.Authority, task) // never fails
	return m.Sum(nil)[:sumSize]
}

// task returns the task that an address is for, and false for one that For did not make.
func (c Callbacks) task(u *url.URL) (task string, ok bool) {
	b, err := base64.RawURLEncoding.DecodeString(path.Base(u.Path))
	if err != nil || len(b) <= sumSize {
		return "", false
	}
	task = string(b[sumSize:])
	return task, hmac.Equal(b[:sumSize], c.sum(task))
}

// Callback serves the addresses of c: it hints at whatever the run waits for whose task one
// names, by the journal that tasks are in. Nothing of a request is read but method and path,
// so nothing that it says is believed; the answer is the same whether or not something waits.
// Twenty a second are heard, and a hundred at once. One that comes before the run waits is for
// nothing: the pool asks by itself a second after it does.
func (s *Store) Callback(c Callbacks, tasks interface {
	Task(ctx context.Context, id string) (journal.Task, error)
}) http.Handler {
	limit := rate.NewLimiter(atMost, 5*atMost) // as often as is asked without any
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		task, ours := c.task(r.URL)
		switch {
		case !ours: // which costs nobody else anything
			w.WriteHeader(http.StatusNotFound)
		case r.Method != http.MethodPost:
			w.Header().Set("Allow", http.MethodPost)
			w.WriteHeader(http.StatusMethodNotAllowed)
		case !limit.Allow():
			w.WriteHeader(http.StatusTooManyRequests)
		default:
			t, err := tasks.Task(r.Context(), task)
			if err == nil {
				err = s.hintAll(r.Context(), t.Session)
			}
			if err == nil || errors.Is(err, journal.ErrNotFound) {
				w.WriteHeader(http.StatusNoContent)
				return
			}
			s.Logger.WarnContext(r.Context(), "the run that waits for a decision goes on later", "error", err)
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
}

// hintAll is Hint about all that the run waits for whose session [runner.SessionName] names.
func (s *Store) hintAll(ctx context.Context, session string) error {
	at := []any{s.Authority, waiting}
	for segment := range strings.SplitSeq(session, "/") {
		name, _ := url.PathUnescape(segment) // "" is nobody's
		at = append(at, name)
	}
	if len(at) != 5 { // it is no session of this store
		return nil
	}
	found, err := s.read(ctx, "SELECT "+columns+requests+" FROM runs WHERE authority = $1 AND state = $2 AND app = $3 AND person = $4 AND session = $5", at...)
	for _, r := range found {
		for _, request := range r.waitsFor() {
			err = errors.Join(err, s.Hint(ctx, request))
		}
	}
	return err
}
