package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/state/approval"
)

// gathering is how long a prompt waits for the other calls of the same turn.
const gathering = 150 * time.Millisecond

// A desk is where the person at the terminal decides what the calls of this run wait
// for: all that waits at a time in one prompt. Without a decider it does nothing.
type desk struct {
	*prompter
	decider approval.Decider // nil when the person here may not decide
	page    func() string    // a link to decide in a browser instead; nil for none

	mu      sync.Mutex
	waiting []string           // request ids that are not decided
	asking  context.CancelFunc // the prompt that stands; nil for none
	wg      sync.WaitGroup
}

// see notes what a run waits for, and that it no longer does, wherever it was decided.
func (d *desk) see(ctx context.Context, e runner.Event) {
	decided, ok := e.(jit.Decided)
	if !ok || d.decider == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	known := slices.Contains(d.waiting, decided.RequestID)
	if decided.Status != jit.StatusPending {
		d.waiting = slices.DeleteFunc(d.waiting, func(id string) bool { return id == decided.RequestID })
		if len(d.waiting) == 0 && d.asking != nil {
			d.asking()
		}
		return
	}
	if known {
		return
	}
	if d.waiting = append(d.waiting, decided.RequestID); d.asking != nil {
		return
	}
	ctx, d.asking = context.WithCancel(ctx)
	d.wg.Go(func() { d.work(ctx) })
}

// close ends the prompt that stands.
func (d *desk) close() {
	d.mu.Lock()
	if d.asking != nil {
		d.asking()
	}
	d.mu.Unlock()
	d.wg.Wait()
	d.waiting = nil // what still waits is asked about when the session goes on
}

// work asks until nothing waits that was not asked about.
func (d *desk) work(ctx context.Context) {
	asked := map[string]bool{}
	for {
		select {
		case <-ctx.Done():
		case <-time.After(gathering):
		}
		d.mu.Lock()
		next := slices.DeleteFunc(slices.Clone(d.waiting), func(id string) bool { return asked[id] })
		if len(next) == 0 || ctx.Err() != nil {
			d.asking()
			d.asking = nil
			d.mu.Unlock()
			return
		}
		d.mu.Unlock()
		for _, id := range next {
			asked[id] = true
		}
		err := d.ask(ctx, next)
		if errors.Is(err, io.EOF) {
			err = errors.New("the input has ended")
		}
		if err != nil && ctx.Err() == nil {
			d.p.Note("nothing was decided here: %s", cli.Say(err))
		}
	}
}

// ask shows requests and enters what the person says about them.
func (d *desk) ask(ctx context.Context, ids []string) error {
	list, err := d.decider.Pending(ctx)
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(approval.Together(list), func(r approval.Request) bool {
		return !slices.ContainsFunc(r.All(), func(one approval.Request) bool { return slices.Contains(ids, one.ID) })
	})
	if len(list) == 0 {
		return nil // decided meanwhile
	}
	d.screen.Lock()
	defer d.screen.Unlock()
	d.clear()
	var b strings.Builder
	b.WriteString("\n")
	if len(list) == 1 {
		b.WriteString(list[0].Text())
	}
	end := list[0].ExpiresAt
	for i, r := range list {
		if len(list) > 1 {
			fmt.Fprintf(&b, "%d  risk %s  %s %s\n   wants %s%s\n", i+1, plain.Escape(r.Risk, 40), plain.Escape(r.Tool, 64), plain.Escape(string(r.Args), 600), wants(r), others(r))
		}
		if r.ExpiresAt.Before(end) {
			end = r.ExpiresAt
		}
	}
	if d.page != nil {
		fmt.Fprintf(&b, "or decide in a browser: %s (works once)\n", d.page())
	}
	what := "Approve this call? [y]es [n]o [l]ess"
	if len(list) > 1 {
		what = "Approve these calls? [y]es to all, [n]o, [1 2 ...] those alone, [s]how all"
	}
	if _, err := fmt.Fprint(d.p.Stderr, b.String()); err != nil {
		return err
	}
	for {
		answer, err := d.line(ctx, what, end)
		if err != nil {
			return err
		}
		words := strings.Fields(strings.ToLower(strings.ReplaceAll(answer, ",", " ")))
		first := ""
		if len(words) > 0 {
			first = words[0]
		}
		switch {
		case first == "y" || first == "yes":
			return d.enter(ctx, list, nil, func(int) bool { return true })
		case first == "n" || first == "no":
			return d.enter(ctx, list, nil, func(int) bool { return false })
		case (first == "l" || first == "less") && len(list) == 1:
			less, err := d.less(ctx, list[0], end)
			if err != nil {
				return err
			}
			if less != nil {
				return d.enter(ctx, list, less, func(int) bool { return true })
			}
		case first == "s" || first == "show":
			for i, r := range list {
				_, _ = fmt.Fprintf(d.p.Stderr, "\n%d\n%s", i+1, r.Text()) // the prompt below tells
			}
		case first != "" && !slices.ContainsFunc(words, func(w string) bool { return !numbered(w, len(list)) }):
			return d.enter(ctx, list, nil, func(i int) bool { return slices.Contains(words, fmt.Sprint(i+1)) })
		}
	}
}

func numbered(word string, most int) bool {
	for i := range most {
		if word == fmt.Sprint(i+1) {
			return true
		}
	}
	return false
}

// wants is a line about what a request asks.
func wants(r approval.Request) string {
	if r.Problem != "" || len(r.Details) == 0 {
		return "what cannot be read"
	}
	return plain.Escape(r.Details[0].String(), 600)
}

// others says how many tasks more ask the same.
func others(r approval.Request) string {
	if len(r.Also) == 0 {
		return ""
	}
	return ", and so for " + plain.Count(len(r.Also), "other task")
}

// less asks what to take away; nil is nothing.
func (d *desk) less(ctx context.Context, r approval.Request, end time.Time) (*approval.Decision, error) {
	for {
		answer, err := d.line(ctx, "Take away, such as actions=delete or ttl=1m; empty to go back:", end)
		if err != nil || strings.TrimSpace(answer) == "" {
			return nil, err
		}
		how := approval.Decision{}
		var take []string
		for _, word := range strings.Fields(answer) {
			life, isTTL := strings.CutPrefix(word, "ttl=")
			if !isTTL {
				take = append(take, word)
			} else if how.TTL, err = time.ParseDuration(life); err == nil && (how.TTL < time.Second || r.TTL > 0 && how.TTL > r.TTL) {
				err = errors.New("that is longer than was asked, or no time at all")
			}
		}
		if err == nil {
			if how.Less, err = r.Less(take); err == nil {
				return &how, nil
			}
		}
		_, _ = fmt.Fprintln(d.p.Stderr, plain.Line(err.Error(), 300)) // the prompt below tells
	}
}

// enter sends the decisions. What was decided elsewhere first stays so.
func (d *desk) enter(ctx context.Context, list []approval.Request, less *approval.Decision, yes func(int) bool) error {
	var errs []error
	for i, r := range list {
		how := approval.Decision{}
		if less != nil {
			how = *less
		}
		if how.Approve = yes(i) && r.Problem == "" && len(r.Details) > 0; !how.Approve {
			how = approval.Decision{Message: "the person at the terminal said no"}
		}
		errs = append(errs, r.Decide(ctx, d.decider, how))
	}
	return errors.Join(errs...)
}

// A passing authority ends with the run, which does not wait: where it would be decided
// is no address when it is read.
type passing struct{ cli.Authority }

func (a passing) Request(ctx context.Context, req jit.Request) (jit.Decision, error) {
	d, err := a.Authority.Request(ctx, req)
	d.DecideAt = ""
	return d, err
}

func (a passing) Status(ctx context.Context, id string) (jit.Decision, error) {
	d, err := a.Authority.Status(ctx, id)
	d.DecideAt = ""
	return d, err
}
