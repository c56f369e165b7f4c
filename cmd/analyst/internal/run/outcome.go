package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"google.golang.org/adk/v2/model"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/models"
	"github.com/jitagent/jitagent/models/provider"
	"github.com/jitagent/jitagent/runner"
)

// summary keeps what the end of a run is worded from.
type summary struct {
	model     string // as it was named
	embedded  bool   // the servers are
	ephemeral bool   // nothing is kept
	chat      bool   // a person can say more
	finished  runner.Finished
	completed *jit.Completed // what became of the task; nil when that was not seen
	pending   jit.Decided
	doubt     jit.LeftInDoubt        // the last effect that is in doubt
	refused   map[string]jit.Refused // the last one of a call
	blocked   map[string]bool        // the calls of which a demand was not asked for
	err       error
}

func (s *summary) see(e runner.Event) {
	switch e := e.(type) {
	case runner.Finished:
		s.finished = e
	case jit.Completed:
		s.completed = &e
	case jit.LeftInDoubt:
		s.doubt = e
	case jit.Refused:
		put(&s.refused, e.CallID, e)
	case jit.Blocked:
		put(&s.blocked, e.CallID, true)
	case jit.Decided:
		if e.Status == jit.StatusPending {
			s.pending = e
		}
	}
}

func put[V any](m *map[string]V, key string, v V) {
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[key] = v
}

// exit turns the outcome into an exit code and, where something is left to say,
// one line.
func (s *summary) exit(ctx context.Context) error {
	if s.finished.Outcome == runner.InDoubt {
		return s.inDoubt()
	}
	if s.finished.Outcome == runner.Interrupted {
		return cli.Interrupted(ctx)
	}
	if s.finished.Outcome == runner.Spent {
		return cli.Endf(cli.ExitSpent, "ask for less, or raise it in the file that --policy names (docs/ceilings.md)", "%w", s.err)
	}
	if s.finished.Outcome == runner.Pending {
		return s.waiting()
	}
	if errors.Is(s.err, runner.ErrUnattended) {
		return cli.Endf(cli.ExitUnattended, "run it where somebody is asked, or with --unattended=suspend, which waits", "%w", s.err)
	}
	if s.err != nil {
		if e, ok := errors.AsType[*cli.ExitError](sessionError(s.err, s.finished.Session)); ok {
			return e
		}
		return cli.Failf("", "%w", s.broken())
	}
	why := s.finished.Failure
	switch s.finished.Outcome {
	case runner.Done:
		return nil
	case runner.LoginRequired:
		wants := ""
		if e := s.refused[why.CallID].Error; e != "" {
			wants = " (" + e + ")"
		}
		return cli.Endf(cli.ExitLogin, "have the user log in as the API asks, and run it again: an approval does not stand for a login",
			"a login is required: %s: %s%s", why.Tool, why.Error, wants)
	case runner.Denied:
		for _, last := range s.finished.Refused {
			if last.CallID == why.CallID {
				return cli.Endf(cli.ExitDenied, "if you want it, say so in the request, or run it at a terminal, where you are asked (docs/naming.md)",
					"not done, since nobody asked for it: %s: %s", last.Tool, last.Reason)
			}
		}
		hint := ""
		switch n := len(s.refused[why.CallID].Demanded); {
		case !s.blocked[why.CallID]:
		case n > 1:
			hint = fmt.Sprintf("the API demands %d authorization details at once, and a token carries one: its owner can have it demand one", n)
		default:
			hint = "if you find the API's demand right, allow it in a file that --policy names (docs/ceilings.md)"
		}
		return cli.Endf(cli.ExitDenied, hint, "authority denied: %s: %s", why.Tool, why.Error)
	}
	return cli.Failf("", "%s failed: %s", why.Tool, why.Error)
}

// inDoubt words an effect in doubt, and what the session waits for besides.
func (s *summary) inDoubt() error {
	e := &cli.ExitError{
		Code: cli.ExitInDoubt, Hint: "analyst explain says what that run sent",
		Err: errors.New("in doubt: an earlier run was interrupted before the result of a call was recorded"),
	}
	if s.doubt.Tool != "" {
		e.Hint = "look at the API for Idempotency-Key " + s.doubt.IdempotencyKey + " before you run this again"
		if server, _, ofServer := strings.Cut(s.doubt.Tool, "__"); ofServer { // which got no key
			e.Hint = "find out from the MCP server " + server + " whether it took effect before you run this again"
		}
		e.Err = fmt.Errorf("in doubt: %s: %s %s: %s", s.doubt.Tool, s.doubt.Method, s.doubt.URL, s.doubt.Error)
	}
	if len(s.finished.Waiting) > 0 {
		w := s.waiting()
		e.Err, e.Hint = fmt.Errorf("%w; and %w", e.Err, w.Err), e.Hint+"; "+w.Hint
	}
	return e
}

// waiting words what a run waits for, and how it goes on.
func (s *summary) waiting() *cli.ExitError {
	e := &cli.ExitError{Code: cli.ExitPending}
	if len(s.finished.Waiting) == 0 {
		e.Err = fmt.Errorf("waiting for a person: request %s (%s, risk %s)", s.pending.RequestID, s.pending.Detail, s.pending.Risk)
		e.Hint = "the run has ended and the request with it; run again with --wait 5m to give a reviewer time"
		if s.embedded {
			e.Hint = "the run has ended and the request with it; run again at a terminal, where you are asked, or with --wait 5m, which prints a link to decide at"
		}
		if s.ephemeral {
			e.Hint += ", or without --ephemeral to go on later"
		}
		return e
	}
	var calls []string
	var decide string
	for _, w := range s.finished.Waiting {
		if w.Unnamed != "" {
			calls = append(calls, fmt.Sprintf("%s: nobody asked for it: %s", w.Tool, w.Unnamed))
			decide = "you are asked at a terminal, by: "
			continue
		}
		calls = append(calls, fmt.Sprintf("%s: request %s (risk %s) until %s", w.Tool, w.RequestID, w.Risk, w.ExpiresAt.Local().Format(time.DateTime)))
		switch {
		case len(s.finished.Waiting) > 1:
			decide = "analyst approvals list shows what to decide, then: "
		case s.embedded:
			decide = "analyst approvals approve " + w.RequestID + ", then: "
		case w.DecideAt != "":
			decide = "decide at " + w.DecideAt + ", then: "
		}
	}
	e.Err = fmt.Errorf("session %s waits for a person: %s", s.finished.Session, strings.Join(calls, "; "))
	if s.err != nil {
		e.Err = fmt.Errorf("%w; the message was not said", e.Err)
	}
	e.Hint = decide + "analyst resume " + s.finished.Session
	if s.chat {
		e.Hint = decide + "what waits goes on first when you say more"
	}
	return e
}

// broken words the error that broke a run. One of the model names provider, model
// and remedy; where it came from inside does not help anybody.
func (s *summary) broken() error {
	if ended, ok := errors.AsType[*runner.ModelError](s.err); ok {
		what, remedy := endedWith(ended)
		return fmt.Errorf("%s: %s (%s): %s", s.model, what, ended.Code, remedy)
	}
	if e, ok := errors.AsType[*provider.Error](s.err); ok {
		return errors.New(strings.TrimPrefix(e.Error(), "models: "))
	}
	if errors.Is(s.err, runner.ErrNoAnswer) {
		return fmt.Errorf("%s: %w: try again, or use another model", s.model, runner.ErrNoAnswer)
	}
	return s.err
}

// otherModel completes the error of a model that is not there by asking the server
// which are.
func otherModel(ctx context.Context, llm model.LLM, err error) error {
	const patience = 5 * time.Second
	if failed, ok := errors.AsType[*provider.Error](err); ok && failed.Status == http.StatusNotFound {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		if known, ok := errors.AsType[*provider.Error](models.Check(ctx, llm)); ok && known.Status == failed.Status {
			failed.Problem, failed.Remedy = known.Problem, known.Remedy
		}
	}
	return err
}

// endedWith words the code by which a provider ended an answer (genai.FinishReason). What
// helps against a limit is the model's to say: it knows whose server it asked.
func endedWith(e *runner.ModelError) (what, remedy string) {
	switch e.Code {
	case "MAX_TOKENS":
		return "the answer was cut off at the limit of tokens", cmp.Or(e.Message, "ask for less")
	case "SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "RECITATION", "LANGUAGE":
		return "the model refused to answer", "word the request differently, or use another document or model"
	}
	return "the model broke the answer off", "try again, or use another model"
}
