package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/internal/pause"
	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/state/approval"
)

// gathering is how long nothing must happen in a run for a prompt to be shown, so that it
// has the other calls of the same turn; it is shown after ten times as long in any case.
const gathering = 150 * time.Millisecond

// A desk is where the person at the terminal decides what the calls of this run wait
// for: all that waits at a time in one prompt. Without a decider it does nothing.
type desk struct {
	*prompter
	decider approval.Decider // nil when the person here may not decide
	page    func() string    // a link to decide in a browser instead; nil for none
	wait    time.Duration    // how long a call waits
	decided func()           // called when something was
	end     time.Time        // of the run, at the latest

	mu      sync.Mutex
	waiting map[string]time.Time    // until when a request is waited for, by its id
	seen    time.Time               // when something happened last
	stop    context.CancelCauseFunc // ends the prompt that stands; nil for none
	wg      sync.WaitGroup
}

// Why a prompt ends before it is answered.
var (
	errElsewhere = errors.New("it was decided elsewhere")
	errNoLonger  = errors.New("the run waits no longer")
)

// begin begins a run that takes at most a while.
func (d *desk) begin(clear func(), most time.Duration) {
	d.end, d.waiting, d.stop = time.Now().Add(most), map[string]time.Time{}, nil
	d.clear, d.failed = clear, nil
}

// see notes what a run waits for, and that it no longer does, for whatever reason.
func (d *desk) see(ctx context.Context, e runner.Event) {
	if d.decider == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen = time.Now()
	switch e := e.(type) {
	case jit.Decided:
		switch _, known := d.waiting[e.RequestID]; {
		case e.Status == jit.StatusExpired:
			d.over(errNoLonger, e.RequestID)
		case e.Status != jit.StatusPending:
			d.over(errElsewhere, e.RequestID)
		case !known:
			d.waiting[e.RequestID] = earlier(e.Time.Add(d.wait), d.end)
			if d.stop == nil {
				var asking context.Context
				asking, d.stop = context.WithCancelCause(ctx)
				d.wg.Go(func() { d.work(ctx, asking) })
			}
		}
	case runner.ToolReturned:
		d.over(errNoLonger, e.RequestID)
	case jit.Suspended, runner.Finished:
		d.over(errNoLonger, slices.Collect(maps.Keys(d.waiting))...)
	}
}

// over notes that requests are waited for no longer. The caller holds d.mu.
func (d *desk) over(why error, ids ...string) {
	for _, id := range ids {
		delete(d.waiting, id)
	}
	if len(d.waiting) == 0 && d.stop != nil {
		d.stop(why)
		d.stop = nil
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// close ends the prompt that stands, and returns what came of showing. What still waits
// is asked about when the session goes on.
func (d *desk) close() error {
	d.mu.Lock()
	if d.stop != nil {
		d.stop(errNoLonger)
	}
	d.mu.Unlock()
	d.wg.Wait()
	return d.show(func() error { return nil })
}

// gather waits for the other calls of the turn.
func (d *desk) gather(asking context.Context) {
	for end := time.Now().Add(10 * gathering); time.Now().Before(end); {
		d.mu.Lock()
		rest := time.Until(d.seen.Add(gathering))
		d.mu.Unlock()
		if rest <= 0 || !pause.For(asking, rest) {
			return
		}
	}
}

// work asks, until asking ends or nothing waits that was not asked about.
func (d *desk) work(ctx, asking context.Context) {
	asked := map[string]bool{}
	for {
		d.gather(asking)
		d.mu.Lock()
		next, end := []string{}, d.end
		for id, until := range d.waiting {
			if !asked[id] {
				asked[id] = true
				next, end = append(next, id), earlier(until, end)
			}
		}
		if asking.Err() == nil && len(next) == 0 {
			d.stop(nil)
			d.stop = nil
		}
		if asking.Err() != nil {
			d.mu.Unlock()
			return
		}
		d.mu.Unlock()
		d.ask(ctx, asking, next, end)
	}
}

// ask has requests decided, at the latest at end, and says why they were not.
func (d *desk) ask(ctx, asking context.Context, ids []string, end time.Time) {
	asking, cancel := context.WithDeadlineCause(asking, end, errNoLonger)
	defer cancel()
	d.hold()
	defer d.release()
	err := d.question(ctx, asking, ids, end)
	switch {
	case err == nil || ctx.Err() != nil:
		return
	case errors.Is(err, io.EOF):
		err = errors.New("the input has ended; the run goes on waiting: decide elsewhere, or leave with Ctrl-C")
	case asking.Err() != nil:
		err = context.Cause(asking)
	}
	d.p.Note("nothing was decided here: %s", cli.Say(err))
}

// question shows requests, and enters what the person says about them.
func (d *desk) question(ctx, asking context.Context, ids []string, end time.Time) error {
	list, more, err := d.decider.Pending(asking)
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(approval.Together(list), func(r approval.Request) bool {
		return !slices.ContainsFunc(r.All(), func(one approval.Request) bool { return slices.Contains(ids, one.ID) })
	})
	switch {
	case len(list) == 0 && more:
		return errors.New("more requests wait than can be listed, and this is not among them: decide the others, see analyst approvals list")
	case len(list) == 0:
		return nil // decided meanwhile
	}
	var b strings.Builder
	b.WriteString("\n")
	if len(list) == 1 {
		b.WriteString(list[0].Text())
	}
	for i, r := range list {
		if len(list) > 1 {
			fmt.Fprintf(&b, "%d  risk %s  %s %s\n", i+1, plain.Escape(r.Risk, 40), plain.Escape(r.Tool, 64), plain.Escape(string(r.Args), 600))
			for _, line := range r.Wants() {
				fmt.Fprintf(&b, "   wants %s\n", line)
			}
		}
		if !r.ExpiresAt.IsZero() {
			end = earlier(r.ExpiresAt, end)
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
		answer, err := d.line(asking, what, end)
		if err != nil {
			return err
		}
		words := strings.Fields(strings.ToLower(strings.ReplaceAll(answer, ",", " ")))
		said := strings.Join(words, " ") // all of it: "yes, but" is no yes
		switch {
		case said == "":
		case said == "y" || said == "yes":
			return d.enter(ctx, list, nil, func(int) bool { return true })
		case said == "n" || said == "no":
			return d.enter(ctx, list, nil, func(int) bool { return false })
		case (said == "l" || said == "less") && len(list) == 1:
			less, err := d.less(asking, list[0], end)
			if err != nil {
				return err
			}
			if less != nil {
				return d.enter(ctx, list, less, func(int) bool { return true })
			}
		case said == "s" || said == "show":
			for i, r := range list {
				_, _ = fmt.Fprintf(d.p.Stderr, "\n%d\n%s", i+1, r.Text()) // the prompt below tells
			}
		case !slices.ContainsFunc(words, func(w string) bool { return !numbered(w, len(list)) }):
			return d.enter(ctx, list, nil, func(i int) bool { return slices.Contains(words, fmt.Sprint(i+1)) })
		default:
			_, _ = fmt.Fprintln(d.p.Stderr, "that is none of the answers") // the prompt below tells
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
	var done, all int
	var errs []error
	for i, r := range list {
		how := approval.Decision{}
		if less != nil {
			how = *less
		}
		if how.Approve = yes(i) && r.Problem == "" && len(r.Details) > 0; !how.Approve {
			how = approval.Decision{Message: "the person at the terminal said no"}
		}
		n, err := r.Decide(ctx, d.decider, how)
		done, all = done+n, all+len(r.Also)+1
		if err != nil {
			errs = append(errs, err)
		}
	}
	d.decided()
	if done == 0 {
		return errors.Join(errs...)
	}
	for _, err := range errs {
		d.p.Note("%d of %s were decided here, but not %s", done, plain.Count(all, "request"), cli.Say(err))
	}
	return nil
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
