package jit

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jitagent/jitagent/rar"
)

// Config sets up an [Engine].
type Config struct {
	// Authority is the authorization server. Required.
	Authority Authority

	// Policy is the operator's own ceiling over every call: a demand must lie
	// within one of these details too. nil leaves it to each call's ceiling; an
	// empty list that is not nil forbids everything.
	Policy []rar.Detail

	// Rules compare details of types that need more than the default comparison.
	// nil means the default for every type. Answers are remembered, so the same
	// pair must always get the same one; and what lies within a detail must lie
	// within whatever that one lies within.
	Rules rar.Rules

	// Journal is told before anything that creates authority or an effect. nil
	// keeps no journal.
	Journal Journal

	// AuthorityName says which authorization server and agent this is, for the
	// journal: whoever recovers a task after a crash must know whom to ask. No
	// secret.
	AuthorityName string

	// TokenHashKey keys the hashes by which the journal names tokens. nil means
	// a random key, so that hashes of different engines cannot be joined.
	TokenHashKey []byte

	// TTL is the lifetime asked for each token, in whole seconds and at least one;
	// the server may grant less. 0 means [DefaultTTL].
	TTL time.Duration

	// Wait is how long one call waits for a person's decision. 0 means not at
	// all: a pending request is a *PendingError at once. The call's own context
	// bounds the wait as well.
	Wait time.Duration

	// DenyPending says that nobody is there to decide: a request that is still pending when
	// Wait is over is a *DeniedError, with StatusPending, in place of a *PendingError.
	DenyPending bool

	// PollInterval is the time between two looks at a pending request, counted
	// from sending the earlier one, give or take a tenth. 0 means 5 seconds.
	PollInterval time.Duration

	// MaxPending bounds how long a pending request is polled when the server
	// names no end. 0 means 10 minutes.
	MaxPending time.Duration

	// MaxEscalations bounds how often one call may be refused, granted more and
	// repeated. 0 means 3.
	MaxEscalations int

	// GrantUses bounds how many requests one grant is sent with, each [Acquire] being one:
	// after that it is asked for anew. 0 is no bound. A grant never outlives the process
	// that it was issued to, so nobody else has to count.
	GrantUses int

	// Attempts bounds how often one request is sent in all, because its answer was
	// lost. 0 means 4; with 1 nothing is sent again.
	Attempts int

	// CompleteTimeout bounds the tries of one Task.Complete. 0 means 30 seconds.
	CompleteTimeout time.Duration

	// Logger receives what goes wrong in the background. nil discards.
	Logger *slog.Logger
}

// DefaultTTL is the lifetime that is asked for a token when nothing else is said.
const DefaultTTL = 5 * time.Minute

// An Engine opens tasks and obtains authority for the calls made under them. It
// is safe for concurrent use. It holds nothing that needs closing; each [Task]
// must be completed.
type Engine struct {
	cfg    Config
	policy []rar.Checked // of cfg.Policy
	log    *slog.Logger

	waits     context.Context // within which calls wait for a person
	endsWaits context.CancelFunc

	mu    sync.Mutex
	woken chan struct{} // closed by Look; nil when nobody waits for that
}

// WaitNoMore has every call wait for a person as if [Config.Wait] were 0, also those that
// wait already: for a program that ends, and leaves them to whoever goes on.
func (e *Engine) WaitNoMore() { e.endsWaits() }

// Look has the requests that wait looked at now instead of when the time between two
// looks is over: for a program that knows that something was decided.
func (e *Engine) Look() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.woken != nil {
		close(e.woken)
		e.woken = nil
	}
}

// awake returns what the next Look closes.
func (e *Engine) awake() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.woken == nil {
		e.woken = make(chan struct{})
	}
	return e.woken
}

// New checks cfg and returns an engine. It does no I/O.
func New(cfg Config) (*Engine, error) {
	if cfg.Authority == nil {
		return nil, errors.New("jit: config: no Authority")
	}
	// What is checked now must be what holds later.
	policy := make([]rar.Checked, len(cfg.Policy))
	for i, d := range cfg.Policy {
		var err error
		if policy[i], err = d.Clone().Check(); err != nil {
			return nil, fmt.Errorf("jit: config: Policy[%d]: %w", i, err)
		}
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"TTL", cfg.TTL}, {"Wait", cfg.Wait}, {"PollInterval", cfg.PollInterval},
		{"MaxPending", cfg.MaxPending}, {"CompleteTimeout", cfg.CompleteTimeout},
	} {
		if d.value < 0 {
			return nil, fmt.Errorf("jit: config: %s is negative", d.name)
		}
	}
	if cfg.MaxEscalations < 0 || cfg.Attempts < 0 || cfg.GrantUses < 0 {
		return nil, errors.New("jit: config: MaxEscalations, Attempts or GrantUses is negative")
	}
	if cfg.TTL%time.Second != 0 {
		return nil, errors.New("jit: config: TTL is not a whole number of seconds")
	}
	setDefault(&cfg.TTL, DefaultTTL)
	setDefault(&cfg.PollInterval, 5*time.Second)
	setDefault(&cfg.MaxPending, 10*time.Minute)
	setDefault(&cfg.MaxEscalations, 3)
	setDefault(&cfg.Attempts, 4)
	setDefault(&cfg.CompleteTimeout, 30*time.Second)
	cfg.Rules = maps.Clone(cfg.Rules)
	cfg.TokenHashKey = slices.Clone(cfg.TokenHashKey)
	if cfg.TokenHashKey == nil {
		cfg.TokenHashKey = make([]byte, 32)
		_, _ = rand.Read(cfg.TokenHashKey) // never fails, see crypto/rand
	}
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	e := &Engine{cfg: cfg, policy: policy, log: log}
	e.waits, e.endsWaits = context.WithCancel(context.Background())
	return e, nil
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// Open opens a task and waits until the authorization server has it. When that
// fails, what may be open is given back.
func (e *Engine) Open(ctx context.Context, spec TaskSpec) (*Task, error) {
	t := e.Start(ctx, spec, nil)
	_, err := t.ID(ctx)
	if err == nil {
		return t, nil
	}
	giveBack := func() {
		if err := t.Complete(context.WithoutCancel(ctx)); err != nil {
			e.log.WarnContext(ctx, "a task that failed to open is left behind", "error", err)
		}
	}
	if ctx.Err() != nil {
		go giveBack() // the opening is still under way, and the caller in a hurry
	} else {
		giveBack()
	}
	return nil, err
}

// Start begins to open a task and returns at once, so that the caller's first
// steps overlap the round trip. Calls that need the task's id wait for it.
// observe, which may be nil, receives the task's events, one at a time; it must
// return soon and must not call the task's methods, except for Scrub. The opening
// outlives ctx: cancelling ctx does not leave a task that nobody knows of. The
// requests for authority that calls share see the values of ctx, not those of
// their own contexts. The caller must call [Task.Complete].
func (e *Engine) Start(ctx context.Context, spec TaskSpec, observe func(Event)) *Task {
	t := e.newTask(ctx, rand.Text(), &family{observe: observe})
	t.spec = spec
	go t.create(context.WithoutCancel(ctx))
	return t
}

func (e *Engine) newTask(ctx context.Context, run string, of *family) *Task {
	return &Task{
		family: of, engine: e, run: run, opened: make(chan struct{}), announced: make(chan struct{}), completing: make(chan struct{}, 1),
		grants: newGrants(e), requests: newRequests(context.WithoutCancel(ctx), &of.standing),
	}
}

// within reports whether d lies within the ceiling and the operator's policy, and
// which element of the ceiling holds it.
func (e *Engine) within(d rar.Checked, ceiling []rar.Checked) (int, error) {
	i, err := e.cfg.Rules.WithinAny(d, ceiling)
	if err != nil {
		return -1, err
	}
	if e.cfg.Policy != nil {
		if _, err := e.cfg.Rules.WithinAny(d, e.policy); err != nil {
			return -1, fmt.Errorf("operator's policy: %w", err)
		}
	}
	return i, nil
}

// Narrower reports whether each of some ceilings could be that of a task below one with the
// ceiling before it, as [Task.Child] has it: nil when they could.
func (e *Engine) Narrower(ceilings ...[]rar.Detail) error {
	above := &Task{engine: e}
	for _, ceiling := range ceilings {
		checked, err := above.narrower(ceiling)
		if err != nil {
			return fmt.Errorf("jit: %w", err)
		}
		above = &Task{engine: e, parent: above, ceiling: checked}
	}
	return nil
}

// note keeps what only reports, if there is a journal.
func (e *Engine) note(entry Entry) {
	if e.cfg.Journal == nil {
		return
	}
	entry.Time = time.Now()
	e.cfg.Journal.Note(entry)
}

// record appends to the journal, if there is one. Where that fails, nothing more is sent
// under the task, see [Task.Alive].
func (t *Task) record(ctx context.Context, entries ...Entry) error {
	err := t.engine.record(ctx, entries...)
	t.fail(ctx, err)
	return err
}

// record appends to the journal, if there is one.
func (e *Engine) record(ctx context.Context, entries ...Entry) error {
	if e.cfg.Journal == nil {
		return nil
	}
	now := time.Now()
	for i := range entries {
		entries[i].Time = now
	}
	if err := e.cfg.Journal.Append(ctx, entries...); err != nil {
		return fmt.Errorf("jit: %w at %s: %w", ErrJournal, entries[0].Kind, err)
	}
	return nil
}
