package serve

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"errors"
	"html/template"
	"net/http"
	"slices"

	"google.golang.org/adk/v2/session"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/state/approval"
	"github.com/jitagent/jitagent/state/explain"
	"github.com/jitagent/jitagent/state/journal"
)

//go:embed home.html
var homeText string

var homeHTML = template.Must(template.New("home").Parse(homeText))

// strict is the policy of our own pages: nothing is loaded or run.
const strict = "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// pages returns the pages of users: their sessions, what happened in each, and what waits
// for a decision.
func (s *server) pages() map[string]http.Handler {
	all := map[string]http.Handler{"GET /{$}": s.failing(s.home)}
	if s.Journal != nil {
		all["GET /explain/{app}/{session}"] = s.failing(s.explain)
	}
	if s.Decider != nil {
		page := approval.NewPage(approval.PageConfig{
			Decider: s.Decider, Path: "/approvals", Secure: s.URL.Scheme == "https", SignedIn: func(r *http.Request) bool { return s.decides(r.Context()) },
		})
		all["/approvals"], all["/approvals/"] = page, page
	}
	return all
}

// decides reports whether the user of a context may decide.
func (s *server) decides(ctx context.Context) bool {
	user, _ := User(ctx)
	return s.Decider != nil && s.Rights.May(approval.Approver(user))
}

// asker returns the user whose session a request is for, "" for one of another program.
func (s *server) asker(ctx context.Context, r approval.Request) (string, error) {
	if s.Journal == nil {
		return "", errors.New("there is no journal that says who asks")
	}
	t, err := s.Journal.Task(ctx, r.TaskID)
	if errors.Is(err, journal.ErrNotFound) {
		return "", nil
	}
	return jit.SessionUser(t.Session), err
}

func (s *server) home(w http.ResponseWriter, r *http.Request) error {
	user, _ := User(r.Context())
	var all []session.Session
	for _, app := range s.Agents.ListAgents() {
		got, err := s.Sessions.List(r.Context(), &session.ListRequest{AppName: app, UserID: user.ID})
		if err != nil {
			return err
		}
		all = append(all, got.Sessions...)
	}
	slices.SortFunc(all, func(a, b session.Session) int { return b.LastUpdateTime().Compare(a.LastUpdateTime()) })
	var page bytes.Buffer
	if err := homeHTML.Execute(&page, map[string]any{"User": cmp.Or(user.Email, user.ID), "Sessions": all, "UI": s.UI != nil, "Decides": s.decides(r.Context())}); err != nil {
		return err
	}
	return show(w, page.Bytes(), strict)
}

// explain tells what happened in a session, which may be deleted by now.
func (s *server) explain(w http.ResponseWriter, r *http.Request) error {
	at, err := s.place(r, r.PathValue("app"), whoever, r.PathValue("session"))
	if err != nil {
		return err
	}
	tasks, err := s.Journal.Tasks(r.Context(), journal.TaskFilter{Session: runner.SessionName(at.app, at.user, at.session)})
	if err != nil {
		return err
	}
	if len(tasks) == 0 {
		return refuse(http.StatusNotFound, "nothing is known of this session")
	}
	var runs []string
	for _, t := range tasks {
		runs = append(runs, t.Run)
	}
	story, err := explain.Tell(r.Context(), s.Journal, runs, nil, explain.Options{Of: "session " + at.session})
	if err != nil {
		return err
	}
	var page bytes.Buffer
	if err := story.WriteHTML(&page, nil); err != nil {
		return err
	}
	return show(w, page.Bytes(), "") // it has a policy of its own
}

// show answers with a page.
func show(w http.ResponseWriter, page []byte, policy string) error {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	if policy != "" {
		h.Set("Content-Security-Policy", policy)
	}
	_, err := w.Write(page)
	return err
}

func style(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	_, _ = w.Write([]byte(approval.Style)) // whoever asked is gone
}

// webUI serves ADK's web UI, which brings scripts and styles in its pages, and whose icons
// are letters of a font of Google's. Nothing else is loaded from elsewhere, and nothing is
// sent there.
func webUI(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "+
			"img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data: https://fonts.gstatic.com; object-src 'none'; frame-ancestors 'none'; base-uri 'self'; form-action 'self'")
		w.Header().Set("X-Frame-Options", "DENY")
		w.Header().Set("Referrer-Policy", "same-origin")
		w.Header().Set("Cache-Control", "private, max-age=3600")
		h.ServeHTTP(w, r)
	})
}
