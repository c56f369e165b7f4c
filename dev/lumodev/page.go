package lumodev

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/jitagent/jitagent/state/approval"
)

// pagePath is where people decide in a browser.
const pagePath = "/approvals"

// SignIn returns a URL by which the first reviewer of the configuration signs in to the
// page of requests that wait, once; "" when nobody may decide.
func (s *Server) SignIn() string {
	if s.page == nil {
		return ""
	}
	return s.cfg.BaseURL + s.page.SignIn()
}

// openPage makes the page of the first reviewer.
func (s *Server) openPage() {
	for i := range s.cfg.Users {
		if u := &s.cfg.Users[i]; u.Reviewer {
			s.page = approval.NewPage(approval.PageConfig{Decider: &person{s, u}, Path: pagePath, Now: s.cfg.Now})
			return
		}
	}
}

// A person decides at the page.
type person struct {
	s    *Server
	user *User
}

// Pending implements [approval.Decider].
func (p *person) Pending(context.Context) (_ []approval.Request, more bool, _ error) {
	list, err := inState(func(c *call) (any, error) {
		var list []approval.Request
		for _, r := range c.st.pending(c.s.cfg.RedemptionWindow, c.now) {
			list = append(list, c.view(&r))
		}
		return list, nil
	})(&call{s: p.s, now: p.s.cfg.Now()})
	if err != nil {
		return nil, false, err
	}
	return list.([]approval.Request), false, nil
}

// Decide implements [approval.Decider].
func (p *person) Decide(ctx context.Context, id string, d approval.Decision) error {
	_, err := inState(func(c *call) (any, error) { return c.decideAs(id, p.user.ID, d) })(&call{s: p.s, now: p.s.cfg.Now()})
	p.s.cfg.Logger.LogAttrs(ctx, slog.LevelInfo, "decision at the page",
		slog.Int("user", p.user.ID), slog.Bool("approve", d.Approve), slog.Bool("taken", err == nil))
	if e, ok := errors.AsType[*wireError](err); ok {
		switch e.code {
		case codeOtherRequest:
			return approval.ErrOtherRequest
		case codeNotFound, codeInvalidState:
			return approval.ErrDecided
		}
	}
	return err
}

// toPage leads a browser from where requests are approved to the page: the address that
// clients name as where to decide.
func (c *call) toPage() (any, error) {
	e := fail(http.StatusSeeOther, codeSeeOther, "people decide at the page")
	e.header = http.Header{"Location": {pagePath + "/" + c.r.PathValue("request")}}
	return nil, e
}
