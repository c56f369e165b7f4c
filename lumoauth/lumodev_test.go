package lumoauth_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/jitagent/jitagent/dev"
	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
	"github.com/jitagent/jitagent/state/approval"
)

var (
	readDoc   = rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: "doc_9982"}
	deleteDoc = rar.Detail{Type: "file_access", Actions: []string{"delete"}, Identifier: "doc_9982"}
)

// startDev starts a development server and returns it with a client of its agent.
func startDev(t *testing.T, change func(*lumoauth.Config)) (*lumodev.Server, *lumoauth.Client) {
	t.Helper()
	servers, err := dev.Start(t.Context(), dev.Config{})
	if err != nil {
		t.Fatalf("dev.Start() = %v", err)
	}
	t.Cleanup(func() {
		if err := servers.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	})
	clientCfg := servers.Client()
	clientCfg.MaxWait = time.Millisecond
	if change != nil {
		change(&clientCfg)
	}
	client, err := lumoauth.New(clientCfg)
	if err != nil {
		t.Fatalf("New() = %v", err)
	}
	return servers.Auth, client
}

func userToken(t *testing.T, dev *lumodev.Server, email string) secret.String {
	t.Helper()
	token, err := dev.UserToken(email)
	if err != nil {
		t.Fatalf("UserToken(%s) = %v", email, err)
	}
	return token
}

func TestDevServerWholeTask(t *testing.T) {
	for name, change := range map[string]func(*lumoauth.Config){
		"default":       nil,
		"legacy prefix": func(c *lumoauth.Config) { c.LegacyPrefix = true },
		"basic":         func(c *lumoauth.Config) { c.BasicAuth = true },
	} {
		t.Run(name, func(t *testing.T) {
			_, c := startDev(t, change)
			ctx := t.Context()
			task, err := c.CreateTask(ctx, jit.TaskSpec{Name: "n", Type: "analysis"})
			if err != nil || task.ID == "" || task.ExpiresAt.IsZero() {
				t.Fatalf("CreateTask() = %+v, %v", task, err)
			}
			d, err := c.Request(ctx, jit.Request{TaskID: task.ID, Detail: readDoc, Justification: "to read"})
			if err != nil || d.Status != jit.StatusApproved || d.TaskID != task.ID || d.TTL != jit.DefaultTTL || d.Risk != "low" {
				t.Fatalf("Request() = %+v, %v, want approved", d, err)
			}
			issued, err := c.Token(ctx, d.RequestID)
			if err != nil || issued.ExpiresIn <= 0 || len(issued.Details) != 1 || !rar.Equal(issued.Details[0], readDoc) {
				t.Fatalf("Token() = %+v, %v, want a token for %v", issued, err, readDoc)
			}
			in, err := c.Introspect(ctx, issued.Token)
			if err != nil || !in.Active || in.TaskID != task.ID || len(in.Details) != 1 {
				t.Errorf("Introspect() = %+v, %v, want active", in, err)
			}
			if e, err := c.Evaluate(ctx, task.ID); err != nil || !e.Active {
				t.Errorf("Evaluate() = %+v, %v, want active", e, err)
			}
			for range 2 {
				if err := c.CompleteTask(ctx, task.ID); err != nil {
					t.Errorf("CompleteTask() = %v", err)
				}
			}
			if in, err := c.Introspect(ctx, issued.Token); err != nil || in.Active {
				t.Errorf("Introspect() after completion = %+v, %v, want inactive", in, err)
			}
			if _, err := c.Request(ctx, jit.Request{TaskID: task.ID, Detail: readDoc}); err == nil {
				t.Error("Request() under a completed task succeeded")
			}
		})
	}
}

func TestDevServerDecisionsByPeople(t *testing.T) {
	dev, c := startDev(t, nil)
	ctx := t.Context()
	task, err := c.CreateTask(ctx, jit.TaskSpec{})
	if err != nil {
		t.Fatalf("CreateTask() = %v", err)
	}
	ask := func() jit.Decision {
		t.Helper()
		d, err := c.Request(ctx, jit.Request{TaskID: task.ID, Detail: deleteDoc, Justification: "cleanup"})
		if err != nil || d.Status != jit.StatusPending || d.ExpiresAt.IsZero() {
			t.Fatalf("Request() = %+v, %v, want pending", d, err)
		}
		return d
	}
	reviewer := lumoauth.Reviewer{Client: c, Token: dev.Reviewer}
	yes, no := ask(), ask()
	if _, err := c.Token(ctx, yes.RequestID); !errors.Is(err, lumoauth.ErrForbidden) {
		t.Errorf("Token() of a pending request = %v, want %v", err, lumoauth.ErrForbidden)
	}
	list, _, err := reviewer.Pending(ctx)
	if err != nil || len(list) != 2 {
		t.Fatalf("Pending() = %+v, %v, want two requests", list, err)
	}
	for _, r := range list {
		if r.Problem != "" || r.Justification != "cleanup" || !rar.Equal(r.Details[0], deleteDoc) {
			t.Errorf("Pending() lists %+v", r)
		}
	}
	if err := reviewer.Decide(ctx, yes.RequestID, approval.Decision{Approve: true, TTL: time.Minute, Reason: "internal", Message: "go on"}); err != nil {
		t.Errorf("an approval: %v", err)
	}
	if err := reviewer.Decide(ctx, no.RequestID, approval.Decision{Reason: "internal", Message: "not this one"}); err != nil {
		t.Errorf("a denial: %v", err)
	}
	if d, err := c.Status(ctx, yes.RequestID); err != nil || d.Status != jit.StatusApproved || d.TTL != time.Minute || d.Message != "go on" {
		t.Errorf("Status() = %+v, %v, want approved for a minute", d, err)
	}
	if d, err := c.Status(ctx, no.RequestID); err != nil || d.Status != jit.StatusDenied || d.Message != "not this one" {
		t.Errorf("Status() = %+v, %v, want denied", d, err)
	}
	if issued, err := c.Token(ctx, yes.RequestID); err != nil || issued.ExpiresIn > time.Minute {
		t.Errorf("Token() = %+v, %v, want one for a minute", issued, err)
	}
	if err := reviewer.Decide(ctx, no.RequestID, approval.Decision{Approve: true}); !errors.Is(err, approval.ErrDecided) {
		t.Errorf("an approval of a denied request: %v", err)
	}
	agent, err := c.AgentToken(ctx)
	if err != nil {
		t.Fatalf("AgentToken() = %v", err)
	}
	reviewer.Token = func(context.Context) (secret.String, error) { return agent.Token, nil }
	if _, _, err := reviewer.Pending(ctx); !errors.Is(err, lumoauth.ErrForbidden) {
		t.Errorf("Pending() as an agent = %v, want %v", err, lumoauth.ErrForbidden)
	}
}

func TestDevServerIdentityMetadataAndRevocation(t *testing.T) {
	dev, c := startDev(t, nil)
	ctx := t.Context()
	if me, err := c.Me(ctx); err != nil || me.AgentID == "" || me.Type != "agent" || !slices.Contains(me.Capabilities, lumodev.CapabilityDelegate) {
		t.Errorf("Me() = %+v, %v", me, err)
	}
	p, err := c.Ping(ctx)
	if err != nil || p.Metadata.Issuer != dev.Issuer() || p.Metadata.JWKSURI == "" || p.Metadata.IntrospectionEndpoint == "" {
		t.Errorf("Ping() = %+v, %v", p, err)
	}
	if p.ServerTime.IsZero() || p.Skew.Abs() > 2*time.Second {
		t.Errorf("Ping() = %+v, want no skew to this machine's own clock", p)
	}
	before, err := c.AgentToken(ctx)
	if err != nil {
		t.Fatalf("AgentToken() = %v", err)
	}
	if err := c.Revoke(ctx, before.Token); err != nil {
		t.Errorf("Revoke() = %v", err)
	}
	if err := c.Revoke(ctx, secret.New("unknown-token")); err != nil {
		t.Errorf("Revoke() of an unknown token = %v", err)
	}
	if _, err := c.Me(ctx); err != nil {
		t.Errorf("Me() after the agent's token was revoked = %v, want a new login", err)
	}
	if after, err := c.AgentToken(ctx); err != nil || after.Token.Equal(before.Token) {
		t.Errorf("AgentToken() after revocation = the same, %v", err)
	}
}

func TestDevServerDelegation(t *testing.T) {
	dev, c := startDev(t, nil)
	ctx := t.Context()
	user := userToken(t, dev, lumodev.DefaultUserEmail)
	d, err := c.ExchangeOnBehalfOf(ctx, lumoauth.Exchange{Subject: static(user)})
	if err != nil {
		t.Fatalf("ExchangeOnBehalfOf() = %v", err)
	}
	token, err := d.Token(ctx)
	if err != nil {
		t.Fatalf("Token() = %v", err)
	}
	if in, err := c.Introspect(ctx, token.Token); err != nil || !in.Active {
		t.Errorf("Introspect() of the delegated token = %+v, %v, want active", in, err)
	}
	if _, err := c.ExchangeOnBehalfOf(ctx, lumoauth.Exchange{Subject: static(secret.New("no-such-token"))}); err == nil {
		t.Error("ExchangeOnBehalfOf() with an unknown user token succeeded")
	}
}

func TestDevServerRefusals(t *testing.T) {
	_, wrongSecret := startDev(t, func(c *lumoauth.Config) { c.ClientSecret = secret.New("wrong-secret") })
	if _, err := wrongSecret.AgentToken(t.Context()); !errors.Is(err, lumoauth.ErrInvalidClient) {
		t.Errorf("AgentToken() with a wrong secret = %v, want %v", err, lumoauth.ErrInvalidClient)
	}
	_, wrongOrg := startDev(t, func(c *lumoauth.Config) { c.Org = "nobody" })
	if _, err := wrongOrg.AgentToken(t.Context()); !errors.Is(err, lumoauth.ErrNotFound) {
		t.Errorf("AgentToken() of an unknown organization = %v, want %v", err, lumoauth.ErrNotFound)
	}
	_, c := startDev(t, nil)
	if _, err := c.Status(t.Context(), "jit_unknown"); !errors.Is(err, lumoauth.ErrNotFound) {
		t.Errorf("Status() of an unknown request = %v, want %v", err, lumoauth.ErrNotFound)
	}
	if _, err := c.CreateTask(t.Context(), jit.TaskSpec{OnBehalfOf: "nobody@acme-corp.example"}); err == nil {
		t.Error("CreateTask() on behalf of an unknown user succeeded")
	}
}

// static gives the same token always.
func static(token secret.String) func(context.Context) (secret.String, error) {
	return func(context.Context) (secret.String, error) { return token, nil }
}
