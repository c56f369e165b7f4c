package runner

import (
	"errors"
	"fmt"

	adk "google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/model"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/policy"
)

// ErrBudget says that the run's models used what its [Budget] allows.
var ErrBudget = errors.New("the budget of the run is spent")

// A Budget bounds what the models of one run use, those of its other agents included. What
// a call used is in the journal before the next is made, so that a run which is resumed,
// in whatever process, goes on with what is left. It is looked at before each call, and so
// exceeded by one call of each agent at work, or by one for each process that dies in the middle of it.
// The zero Budget bounds nothing.
type Budget struct {
	Tokens int                     // prompts and answers together
	Money  float64                 // in the currency of Prices
	Prices map[string]policy.Price // by the names of models; with Money, one that is not there is not asked
}

// bounded reports whether b bounds anything.
func (b Budget) bounded() bool { return b.Tokens > 0 || b.Money > 0 }

// left returns why the model that is named must not be asked; nil if it may be.
func (b Budget) left(used []jit.Usage, model string) error {
	tokens, money := 0, 0.0
	for _, u := range append(used, jit.Usage{Model: model}) {
		price, known := b.Prices[u.Model]
		if b.Money > 0 && !known {
			return fmt.Errorf("runner: no price is known of the model %s, and money is bounded", u.Model)
		}
		tokens += u.Prompt + u.Output
		money += (float64(u.Prompt)*price.Input + float64(u.Output)*price.Output) / 1e6
	}
	switch {
	case b.Tokens > 0 && tokens >= b.Tokens:
		return fmt.Errorf("runner: %w: %d tokens of %d", ErrBudget, tokens, b.Tokens)
	case b.Money > 0 && money >= b.Money:
		return fmt.Errorf("runner: %w: %.4f of %.4f", ErrBudget, money, b.Money)
	}
	return nil
}

// afford fails where the run may ask no model any more.
func (r *run) afford(agent, model string) error {
	b := r.r.cfg.Budget
	if !b.bounded() {
		return nil
	}
	r.asking.Store(agent, model)
	return b.left(r.task.Usage(), model)
}

// spend records what an answer used.
func (r *run) spend(ctx adk.Context, resp *model.LLMResponse) error {
	if !r.r.cfg.Budget.bounded() {
		return nil
	}
	m := resp.UsageMetadata
	asked, _ := r.asking.Load(ctx.AgentName())
	name, _ := asked.(string)
	used := jit.Usage{Model: name}
	if m != nil { // each count for itself: a sum that is none gives nothing back
		used.Prompt = int(max(m.PromptTokenCount, 0))
		used.Output = max(int(m.TotalTokenCount)-used.Prompt, int(m.CandidatesTokenCount)+int(m.ThoughtsTokenCount), 0)
	}
	if used.Prompt+used.Output == 0 {
		return fmt.Errorf("runner: the model %s does not say how many tokens it used, so no budget holds", name)
	}
	return r.task.Used(ctx, used)
}
