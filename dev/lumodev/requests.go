package lumodev

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

type requestIn struct {
	TaskID        string         `json:"task_id"`
	Details       jsontext.Value `json:"authorization_details"`
	Justification string         `json:"justification"`
	TTL           *int64         `json:"requested_ttl"`
	For           purpose        `json:"context"` // our own: for which call
	CallbackURL   string         `json:"callback_url"`
}

// createRequest serves POST /jit/request.
func (c *call) createRequest(in requestIn) (any, error) {
	if in.TaskID == "" {
		return nil, invalid("task_id is required")
	}
	if len(in.Details) == 0 || in.Details.Kind() == 'n' {
		return nil, fail(http.StatusBadRequest, codeInvalidDetails, "authorization_details is required")
	}
	detail, err := rar.ParseOne(in.Details)
	if err != nil {
		// rar's errors name members and quote no values.
		return nil, fail(http.StatusBadRequest, codeInvalidDetails, "%v", err)
	}
	if len(in.Justification) > maxText {
		return nil, tooLong("justification", maxText)
	}
	if max(len(in.For.Tool), len(in.For.CallID), len(in.For.Origin), len(in.For.User)) > maxName || len(in.For.Args) > maxArgs {
		return nil, invalid("context: a text is over %d bytes, or its arguments are over %d", maxName, maxArgs)
	}
	if in.CallbackURL != "" && !callable(in.CallbackURL) {
		return nil, invalid("callback_url must be an https address, or an http address of this machine")
	}
	ttl, err := c.ttl(in.TTL)
	if err != nil {
		return nil, err
	}
	risk := c.s.cfg.Risk.assess(detail)
	t, err := own(c, c.st.tasks, "task", in.TaskID)
	if err != nil {
		return nil, err
	}
	if now := t.stateAt(c.now); now != taskActive {
		return nil, fail(http.StatusBadRequest, codeInvalidState, "the task is %s", now)
	}
	r := request{
		ID:            newID(requestPrefix),
		TaskID:        in.TaskID,
		ClientID:      c.who.agent.ClientID,
		Detail:        detail,
		For:           in.For,
		Justification: in.Justification,
		RequestedTTL:  ttl,
		CallbackURL:   in.CallbackURL,
		CreatedAt:     c.now,
		Act:           c.who.token.Act,
	}
	r.Act = cmp.Or(r.Act, t.Act)
	c.decide(t, &r, risk)
	c.ch.add(r)
	c.status = http.StatusCreated
	return c.describe(&r, r.Status), nil
}

// ttl returns the lifetime to grant: the default when nothing is asked for, the
// maximum when more is. LumoAuth's minimum of 300 s is not held to: its SDKs know
// none, and short lifetimes help tests.
func (c *call) ttl(asked *int64) (time.Duration, error) {
	if asked == nil {
		return c.s.cfg.DefaultTTL, nil
	}
	if *asked < 1 {
		return 0, invalid("a lifetime must be at least one second")
	}
	return time.Duration(min(*asked, int64(c.s.cfg.MaxTTL/time.Second))) * time.Second, nil
}

// decide scores a new request and decides it, or leaves it to a person. The
// request that makes its task suspicious is denied and the task suspended.
func (c *call) decide(t task, r *request, own Risk) {
	policy := &c.s.cfg.CAEP
	r.Risk = policy.raise(own, t.Score, t.Denials)
	t.Score += levelScores[own]
	if c.burst(t.ID) {
		t.Score += burstScore
	}
	denied := c.s.cfg.Risk.denies(own) || c.s.cfg.Risk.denies(r.Risk)
	if denied {
		t.denied(r, c.now)
	}
	switch {
	case policy.exceeded(t.Score, t.Denials):
		c.suspend(t)
		r.Status, r.DecidedAt = statusDenied, c.now
		r.AgentMessage = "The task was suspended because of its risk score."
		return
	case denied:
		r.Status, r.DecidedAt = statusDenied, c.now
		r.AgentMessage = "The organization's policy denies this."
	case c.s.cfg.Risk.needsPerson(r.Risk):
		r.Status = statusPending
		r.ExpiresAt = c.now.Truncate(time.Second).Add(c.s.cfg.HumanWindow)
	default:
		r.Status, r.DecidedAt, r.GrantedTTL = statusApproved, c.now, r.RequestedTTL
	}
	c.ch.add(t)
}

// denied counts a denial, unless the request was made before the last one that counts:
// the requests of one turn are one prompt, and an agent that was told no has not asked
// again.
func (t *task) denied(r *request, now time.Time) {
	if r.CreatedAt.Before(t.DeniedAt) {
		return
	}
	t.Denials++
	t.Score += denialScore
	t.DeniedAt = now
}

// burst reports whether one more request now is one too many for the window.
func (c *call) burst(taskID string) bool {
	most := c.s.cfg.CAEP.BurstRequests
	recent := 1
	for _, id := range slices.Backward(c.st.ofTask[taskID]) { // newest first: a task may have made thousands
		if c.now.Sub(c.st.requests[id].CreatedAt) >= burstWindow || recent > most {
			break
		}
		recent++
	}
	return most >= 0 && recent > most
}

// describe is a request as its agent sees it. Reviewers' notes are never part.
func (c *call) describe(r *request, now status) object {
	path := c.root() + "/jit/request/" + r.ID
	out := object{
		"request_id":            r.ID,
		"status":                now,
		"risk_level":            r.Risk,
		"task_id":               r.TaskID,
		"authorization_details": r.granted(), // an object: SDKs fail on an array here
	}
	if r.For.Tool != "" {
		out["context"] = r.For
	}
	switch now {
	case statusApproved:
		out["token_url"] = path + "/token"
		out["granted_ttl"] = seconds(r.GrantedTTL)
	case statusPending:
		out["status_url"] = path + "/status"
		out["expires_at"] = stamp(r.ExpiresAt)
		out["delegation_consent_required"] = false
		out["message"] = "A person must decide this request."
		return out
	}
	if user := c.s.users[r.DecidedBy]; user != nil {
		out["decided_by"] = user.Email // more than LumoAuth says: whoever audits wants to know
	}
	out["has_notes"] = r.Notes != ""
	out.setIf("agent_message", r.AgentMessage)
	if now == statusDenied {
		out.setIf("deny_reason", r.AgentMessage)
	}
	return out
}

// requestStatus serves GET /jit/request/{request}/status.
func (c *call) requestStatus() (any, error) {
	if err := c.checkTask(c.st.requests[c.r.PathValue("request")].TaskID); err != nil {
		return nil, err
	}
	r, err := own(c, c.st.requests, "request", c.r.PathValue("request"))
	if err != nil {
		return nil, err
	}
	return c.describe(&r, c.statusOf(&r)), nil
}

func (c *call) statusOf(r *request) status {
	return c.st.statusOf(r, c.s.cfg.RedemptionWindow, c.now)
}

// jitResponse is the answer to a redemption: authorization_details is an array
// here (RFC 9396, section 7).
type jitResponse struct {
	tokenResponse
	Details   []rar.Detail `json:"authorization_details"`
	TaskID    string       `json:"task_id"`
	RequestID string       `json:"jit_request_id"`
}

// requestToken serves POST /jit/request/{request}/token. Redeeming again gives the
// same token while it lives, so that a client that lost the answer may ask again
// and there is never a second token for one decision.
func (c *call) requestToken() (any, error) {
	r, err := own(c, c.st.requests, "request", c.r.PathValue("request"))
	if err != nil {
		return nil, err
	}
	if now := c.statusOf(&r); now != statusApproved {
		return nil, denied("the request is %s, not approved", now)
	}
	t := c.st.tasks[r.TaskID]
	if now := t.stateAt(c.now); now != taskActive {
		return nil, denied("the task is %s", now)
	}
	tok := c.st.tokens[r.TokenID]
	if r.TokenID == "" {
		tok = c.newJITToken(&r, &t)
		c.ch.add(r, tok)
	} else if !tok.liveAt(c.now) || !c.now.Before(r.DecidedAt.Add(c.s.cfg.RedemptionWindow)) {
		return nil, denied("the request was redeemed and is no longer redeemable")
	}
	raw, err := c.s.jitToken(&tok, &r, &t, c.who.token.Bound)
	if err != nil {
		return nil, err
	}
	return jitResponse{
		tokenResponse: tokenResponse{
			AccessToken:     raw.Reveal(), // to the agent that redeemed
			TokenType:       c.who.token.kind(),
			ExpiresIn:       seconds(tok.ExpiresAt.Sub(c.now.Truncate(time.Second))),
			IssuedTokenType: typeAccessToken,
		},
		Details:   []rar.Detail{r.granted()},
		TaskID:    r.TaskID,
		RequestID: r.ID,
	}, nil
}

// newJITToken marks r as redeemed by a new token, which ends with its task at the
// latest.
func (c *call) newJITToken(r *request, t *task) jitToken {
	start := c.now.Truncate(time.Second)
	end := start.Add(r.GrantedTTL)
	if t.ExpiresAt.Before(end) {
		end = t.ExpiresAt
	}
	r.TokenID = newID("")
	return jitToken{ID: r.TokenID, RequestID: r.ID, TaskID: t.ID, IssuedAt: start, ExpiresAt: end}
}

// jitToken signs a JIT token, bound as the token of the agent that redeems it, or returns
// it as it was signed before. After a restart, and for another key, it is signed anew,
// with the same jti and the same end. The caller holds s.mu.
func (s *Server) jitToken(tok *jitToken, r *request, t *task, to bound) (secret.String, error) {
	if have, known := s.issued[tok.ID]; known && have.to == to {
		return have.raw, nil
	}
	agent := s.agents[t.ClientID]
	std := registered{
		ID:        tok.ID,
		Subject:   "agent:" + agent.Name + ":task:" + t.ID,
		Audience:  append(jwt.Audience{s.Issuer()}, r.granted().Locations...),
		IssuedAt:  tok.IssuedAt.Unix(),
		NotBefore: tok.IssuedAt.Unix(),
		Expiry:    tok.ExpiresAt.Unix(),
	}
	own := claims{
		ClientID:     agent.ClientID,
		TokenUse:     useJIT,
		Organization: s.cfg.Org,
		AgentID:      agent.AgentID,
		Act:          r.Act,
		Bound:        to,
	}
	jit := jitClaims{
		JIT:                  true,
		TaskID:               t.ID,
		JITRequestID:         r.ID,
		CAEPSessionID:        t.Session,
		AuthorizationDetails: []rar.Detail{r.granted()},
		OnBehalfOf:           t.OnBehalfOf,
	}
	if t.Parent != "" {
		jit.ParentTaskID = &t.Parent
	}
	raw, err := s.keys.sign(members{std, own, &jit})
	if err == nil {
		s.issued[tok.ID] = issued{raw, to}
	}
	return raw, err
}
