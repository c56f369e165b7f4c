package resource

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/jitagent/jitagent/dpop"
	"github.com/jitagent/jitagent/jit/challenge"
	"github.com/jitagent/jitagent/rar"
)

type contextKey struct{}

// FromContext returns the token that Require verified for this request.
func FromContext(ctx context.Context) (*Token, bool) {
	t, ok := ctx.Value(contextKey{}).(*Token)
	return t, ok
}

// Require returns a handler that lets a request pass to next when its token
// covers what need says the request needs. It answers otherwise itself:
//
//	400  the token is sent in a wrong way, or need returned an error
//	401  no token, or one that does not hold
//	403  the token does not cover the need; the answer says what would (401 in the
//	     dialect Remediation)
//	503  the token cannot be checked at the moment
//
// need is called only for requests with a good token, so it tells strangers
// nothing. It must not read the body. Its error is logged and not shown.
//
// next finds the token with FromContext. The request that it sees has no
// Authorization header and no proof, so that it can neither log nor forward them.
func (v *Verifier) Require(need func(*http.Request) (rar.Detail, error), next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		token, err := v.Verify(ctx, r)
		if err != nil {
			level := slog.LevelInfo
			if errors.Is(err, ErrUnavailable) {
				level = slog.LevelError
			}
			v.log.Log(ctx, level, "request refused", "method", r.Method, "reason", err.Error())
			Refuse(w, v.realm, err)
			return
		}
		if token.Nonce != "" {
			w.Header().Set(dpop.HeaderNonce, token.Nonce)
		}
		detail, err := need(r)
		if err != nil {
			v.log.InfoContext(ctx, "request not understood", "method", r.Method, "reason", err.Error())
			WriteError(w, http.StatusBadRequest, "invalid_request", "the request does not say what it is for")
			return
		}
		here := detail
		if here.Locations == nil && v.location != "" {
			here.Locations = []string{v.location}
		}
		if !token.Covers(detail) && !token.Covers(here) {
			v.log.InfoContext(ctx, "more authority needed", "method", r.Method, "task", token.TaskID)
			v.dialect.demand(w, detail)
			return
		}
		r = r.WithContext(context.WithValue(ctx, contextKey{}, token))
		r.Header = r.Header.Clone()
		r.Header.Del("Authorization")
		r.Header.Del(dpop.Header)
		next.ServeHTTP(w, r)
	})
}

// Challenge answers 403 and says that the call needs detail. Name what the call
// needs and no more, your own origin in Locations: clients refuse demands that
// go beyond the call. A detail that is not valid gives a 500, and so do no scopes at all.
func Challenge(w http.ResponseWriter, detail rar.Detail) { LumoAuth.demand(w, detail) }

func (d Dialect) demand(w http.ResponseWriter, detail rar.Detail) {
	const description = "the access token does not cover this call"
	watch := &headerWatch{ResponseWriter: w}
	var err error
	if d == Remediation {
		err = challenge.WriteRemediation(watch, detail, description)
	} else {
		err = challenge.Write(watch, http.StatusForbidden, detail, description)
	}
	if err != nil && !watch.wrote {
		WriteError(w, http.StatusInternalServerError, "server_error", "the request could not be handled")
	}
}

// A headerWatch knows whether an answer was begun: an error before that must not
// leave the server to answer 200, and one after it leaves nothing to say.
type headerWatch struct {
	http.ResponseWriter
	wrote bool
}

// WriteHeader implements [http.ResponseWriter].
func (w *headerWatch) WriteHeader(status int) {
	w.wrote = true
	w.ResponseWriter.WriteHeader(status)
}
