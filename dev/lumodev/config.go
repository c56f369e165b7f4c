package lumodev

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/jitagent/jitagent/internal/lazy"
	"github.com/jitagent/jitagent/internal/serve"
	"github.com/jitagent/jitagent/secret"
)

// The default organization, clients and people.
const (
	DefaultOrg              = "acme-corp"
	DefaultAgentClientID    = "analyst"
	DefaultResourceServerID = "documents-api"
	DefaultReviewerEmail    = "reviewer@acme-corp.example"
	DefaultUserEmail        = "ada@acme-corp.example"
)

// CapabilityDelegate lets an agent act on behalf of users. The other spelling in
// use, "delegation:on_behalf", does too.
const CapabilityDelegate = "delegate:on_behalf"

const capabilityDelegateOld = "delegation:on_behalf"

// maxDelegationDepth bounds chains of actors and of tasks.
const maxDelegationDepth = 3

// defaultTTL is the lifetime of a JIT token when the request names none.
const defaultTTL = 600 * time.Second

const defaultAgentScopes = "agent:basic jit:request"

// Config describes a server. The zero value of every field works: it has the
// default that its comment names. New copies what it needs, so a Config may be
// changed and used again afterwards.
type Config struct {
	// BaseURL is scheme://host:port as clients reach the server. The issuer is
	// BaseURL + "/orgs/" + Org. New needs it; package dev has it from its listener.
	// Tokens are valid for their issuer only, so they survive a restart only under
	// the same BaseURL.
	BaseURL string

	// Org is the slug of the one organization served. Default [DefaultOrg].
	Org string

	// Agents may log in, open tasks and ask for authority. nil means one agent,
	// [DefaultAgentClientID], that may act on behalf of users.
	Agents []Agent

	// ResourceServers may introspect every token of the organization. nil means
	// one, [DefaultResourceServerID].
	ResourceServers []Client

	// Users are the people of the organization. nil means a reviewer,
	// [DefaultReviewerEmail], and a user who is none, [DefaultUserEmail].
	Users []User

	// Risk says how risky a request is and which need a person.
	Risk RiskPolicy

	// CAEP says when a task is suspended.
	CAEP CAEPPolicy

	// DPoP demands that agents' tokens are bound to a key, with a nonce of the server's in
	// each proof (RFC 9449). Without it a token is bound where its request has a proof.
	DPoP bool

	// Lifetimes. Zero means the default in parentheses; they are whole seconds.
	AgentTokenTTL    time.Duration // base and delegated tokens (1 h); keep it well above 60 s, at which SDKs log in anew before each call
	UserTokenTTL     time.Duration // access tokens of Users (12 h)
	TaskTTL          time.Duration // task, and with it everything below (1 h)
	DefaultTTL       time.Duration // JIT token when the request names none (600 s)
	MaxTTL           time.Duration // JIT token at most (900 s)
	HumanWindow      time.Duration // for a person's decision (5 min)
	RedemptionWindow time.Duration // from approval to redemption (5 min)
	ApprovalTTL      time.Duration // push approval (120 s)
	Retention        time.Duration // how long ended tasks stay known (24 h)

	// StateDir keeps the signing key, generated secrets, tasks, requests, tokens
	// and revocations over restarts. "" keeps everything in memory. The directory
	// is made with mode 0700 if it does not exist, and serves one process.
	StateDir string

	// Logger gets one line per request and one at the start. nil discards.
	Logger *slog.Logger

	// Now is the clock; nil means time.Now. It must be safe for concurrent use.
	Now func() time.Time
}

// An Agent is an OAuth client that may open tasks.
type Agent struct {
	ClientID string // 1 to 64 of A-Z a-z 0-9 . _ -

	// ClientSecret is what the agent logs in with. When zero, New makes a random
	// one, keeps it in StateDir, and gives it through [Server.Config].
	ClientSecret secret.String

	Name    string // part of the sub of JIT tokens; default ClientID
	AgentID string // "agt_...", which New derives from ClientID

	// Scopes are granted when a login asks for none; nil means agent:basic and
	// jit:request. A login that asks for others gets those.
	Scopes []string

	// Capabilities answer agents/ask and show in agents/me. [CapabilityDelegate]
	// lets the agent act on behalf of users.
	Capabilities []string
}

// canDelegate reports whether the agent may act on behalf of users.
func (a *Agent) canDelegate() bool {
	return slices.Contains(a.Capabilities, CapabilityDelegate) || slices.Contains(a.Capabilities, capabilityDelegateOld)
}

// A Client is a resource server.
type Client struct {
	ClientID     string        // as Agent.ClientID; unique among agents and clients
	ClientSecret secret.String // as Agent.ClientSecret
}

// A User is a person. Users do not log in: [Server.UserToken] gives their access
// tokens.
type User struct {
	ID       int    // its place in the list, from 1: New sets it
	Email    string // required, unique
	Reviewer bool   // holds jit.approve: may list, approve and deny requests

	// Scopes bound what agents may do with the user's token; nil does not bound.
	Scopes []string

	// RefusesDelegation makes tasks on behalf of this user an error.
	RefusesDelegation bool
}

// DefaultConfig returns the configuration that the zero one means: one agent, one
// resource server and two users. New makes the secrets that are left zero.
func DefaultConfig() Config {
	return Config{
		Org: DefaultOrg,
		Agents: []Agent{{
			ClientID:     DefaultAgentClientID,
			Capabilities: []string{"read:documents", "write:reports", CapabilityDelegate},
		}},
		ResourceServers: []Client{{ClientID: DefaultResourceServerID}},
		Users: []User{
			{Email: DefaultReviewerEmail, Reviewer: true},
			{Email: DefaultUserEmail},
		},
	}
}

// resolved returns a deep copy with every default filled in, or what is wrong.
// Secrets that are zero stay so.
func (c Config) resolved() (Config, error) {
	c = c.clone()
	def := DefaultConfig()
	c.Org = cmp.Or(c.Org, def.Org)
	if c.Agents == nil {
		c.Agents = def.Agents
	}
	if c.ResourceServers == nil {
		c.ResourceServers = def.ResourceServers
	}
	if c.Users == nil {
		c.Users = def.Users
	}
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	if c.Now == nil {
		c.Now = time.Now
	}
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	name := func(what, s string) {
		if !nameRE().MatchString(s) {
			bad("%s %q: want 1 to 64 of A-Z a-z 0-9 . _ -", what, s)
		}
	}
	name("Org", c.Org)
	var err error
	if c.BaseURL, err = serve.Origin(c.BaseURL); err != nil {
		bad("BaseURL: %w", err)
	}
	c.fillLifetimes(bad)
	c.fillClients(bad, name)
	c.fillUsers(bad)
	if c.Risk, err = c.Risk.resolved(); err != nil {
		bad("Risk: %w", err)
	}
	c.CAEP = c.CAEP.resolved()
	if err := errors.Join(errs...); err != nil {
		return Config{}, fmt.Errorf("lumodev: %w", err)
	}
	return c, nil
}

// clone returns a copy that shares no list or map with c, but those of Risk and CAEP,
// which resolved copies.
func (c Config) clone() Config {
	c.Agents, c.ResourceServers, c.Users = slices.Clone(c.Agents), slices.Clone(c.ResourceServers), slices.Clone(c.Users)
	for i := range c.Agents {
		a := &c.Agents[i]
		a.Scopes, a.Capabilities = slices.Clone(a.Scopes), slices.Clone(a.Capabilities)
	}
	for i := range c.Users {
		c.Users[i].Scopes = slices.Clone(c.Users[i].Scopes)
	}
	return c
}

func (c *Config) fillLifetimes(bad func(string, ...any)) {
	c.MaxTTL = cmp.Or(c.MaxTTL, 900*time.Second)
	for _, f := range []struct {
		name  string
		value *time.Duration
		def   time.Duration
	}{
		{"AgentTokenTTL", &c.AgentTokenTTL, time.Hour},
		{"UserTokenTTL", &c.UserTokenTTL, 12 * time.Hour},
		{"TaskTTL", &c.TaskTTL, time.Hour},
		{"MaxTTL", &c.MaxTTL, 0},
		{"DefaultTTL", &c.DefaultTTL, min(defaultTTL, c.MaxTTL)},
		{"HumanWindow", &c.HumanWindow, 5 * time.Minute},
		{"RedemptionWindow", &c.RedemptionWindow, 5 * time.Minute},
		{"ApprovalTTL", &c.ApprovalTTL, 120 * time.Second},
		{"Retention", &c.Retention, 24 * time.Hour},
	} {
		*f.value = cmp.Or(*f.value, f.def)
		if *f.value < time.Second || *f.value%time.Second != 0 {
			bad("%s %v: want whole seconds, 1s or more", f.name, *f.value)
		}
	}
	if c.DefaultTTL > c.MaxTTL {
		bad("DefaultTTL %v is over MaxTTL %v", c.DefaultTTL, c.MaxTTL)
	}
}

func (c *Config) fillClients(bad func(string, ...any), name func(what, s string)) {
	taken := map[string]bool{userClientID: true}
	claim := func(id string) {
		name("client id", id)
		if taken[id] {
			bad("client id %q is taken", id)
		}
		taken[id] = true
	}
	for i := range c.Agents {
		a := &c.Agents[i]
		a.Name = cmp.Or(a.Name, a.ClientID)
		a.AgentID = "agt_" + stableID(c.Org+"/"+a.ClientID)
		claim(a.ClientID)
		name("agent Name", a.Name)
		if a.Scopes == nil {
			a.Scopes = strings.Fields(defaultAgentScopes)
		}
		if _, err := parseScope(strings.Join(a.Scopes, " ")); err != nil {
			bad("agent %q: Scopes: %w", a.ClientID, err)
		}
		if a.Capabilities == nil {
			a.Capabilities = []string{} // never null on the wire
		}
	}
	for _, rs := range c.ResourceServers {
		claim(rs.ClientID)
	}
}

func (c *Config) fillUsers(bad func(string, ...any)) {
	emails := make(map[string]bool)
	for i := range c.Users {
		u := &c.Users[i]
		u.ID = i + 1
		if u.Email == "" || emails[u.Email] {
			bad("user %q: want an Email that no other user has", u.Email)
		}
		if _, err := parseScope(strings.Join(u.Scopes, " ")); err != nil {
			bad("user %q: Scopes: %w", u.Email, err)
		}
		emails[u.Email] = true
	}
}

// nameRE is what may stand in a sub, a path and a log line without care.
var nameRE = lazy.Regexp(`^[A-Za-z0-9._-]{1,64}$`)
