package cluster

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/internal/pgtest"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
)

var (
	play     = flag.Bool("play", false, "run the cluster")
	sessions = flag.Int("sessions", 500, "how many sessions there are on each database")
	rounds   = flag.Int("rounds", 5, "how often each kind of trouble comes")
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// TestCluster plays the troubles of a cluster on each database.
func TestCluster(t *testing.T) {
	if !*play {
		t.Skip("make cluster runs it")
	}
	var bins []string
	for _, flags := range []string{"", "-w"} {
		bin := filepath.Join(t.TempDir(), "analyst")
		build := exec.CommandContext(t.Context(), "go", "build", "-ldflags="+flags, "-o", bin, "github.com/jitagent/jitagent/cmd/analyst")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		bins = append(bins, bin)
	}
	fmt.Println("| cluster | sessions | suspended | early, late, twice, never | lost | twice | in doubt | used twice | orphans | mixed | torn | late | taken over | takeover p99 |")
	fmt.Println("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
	t.Run("Postgres", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, bins, pgtest.Shared(t))
		w.join("m0", true, 0)
		w.ready() // it makes the tables
		w.join("m1", true, -40*time.Second)
		w.join("m2", false, 40*time.Second)
		w.play("3 workers on Postgres")
	})
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, bins, nil)
		w.join("m0", true, 0)
		w.ready()
		w.join("m1", false, 0)
		w.play("2 processes on SQLite")
	})
}

// play has the members work on sessions while one after the other is in trouble, and
// prints a row.
func (w *world) play(what string) {
	w.ready()
	w.look()
	ctx, stop := context.WithCancel(w.Context())
	defer stop()
	var deciding sync.WaitGroup
	deciding.Go(func() { w.decide(ctx) })
	var saying errgroup.Group
	saying.SetLimit(32)
	pause := time.Duration(*rounds) * 30 * time.Second / time.Duration(*sessions) // so that they begin all the while
	talked := make(chan struct{})
	go func() {
		defer close(talked)
		for n := range *sessions {
			time.Sleep(pause)
			saying.Go(func() error { w.say(n); return nil })
		}
		_ = saying.Wait()
	}()
	for round := range *rounds {
		w.trouble(round)
	}
	w.upgraded.Store(true)
	<-talked
	w.settle()
	stop()
	deciding.Wait()
	for _, m := range w.members {
		m.end()
	}
	w.run("sweep")
	w.judge(what)
}

// run runs a command of the program, which must succeed.
func (w *world) run(args ...string) {
	cmd := exec.CommandContext(w.Context(), w.bins[1], args...)
	cmd.Env = w.env
	if out, err := cmd.CombinedOutput(); err != nil {
		w.Errorf("%s: %v: %s", args[0], err, out)
	}
}

// trouble is one of each kind. What a member is at when it strikes is known: it waits for
// an answer that is kept back until then.
func (w *world) trouble(round int) {
	at := func(i int) *member { return w.members[(round+i)%len(w.members)] }
	killed, stopped, sent := at(0), at(1), at(2)

	w.kill(w.catch(w.answers))

	c := w.catch(killed.answers)
	killed.signal(syscall.SIGKILL, killed.bins[0])
	c.release()

	c = w.catch(stopped.answers)
	owner := w.owner(c.session)
	stopped.signal(syscall.SIGSTOP, stopped.bins[0])
	c.release()           // what it does with the answer it does when it goes on
	if w.restart == nil { // it keeps what it has as long as it is there
		time.Sleep(time.Second)
		stopped.signal(syscall.SIGCONT, stopped.bins[0])
	}
	c = w.catch(sent.effects)
	sent.signal(syscall.SIGKILL, sent.bins[0])
	c.release()
	w.taken()

	if w.restart != nil {
		w.wake(stopped, owner)
		c = w.catch(killed.answers)
		check(w, w.restart())
		c.release()
	}
	for _, m := range w.members { // which go on with what the other build began
		m.signal(syscall.SIGTERM, m.bins[1])
	}
}

// kill ends the session of an answer by "analyst kill", after which nothing of it may leave.
func (w *world) kill(c caught) {
	cmd := exec.CommandContext(w.Context(), w.bins[0], "kill", "session:"+w.session(c.session), "--within", "1s")
	cmd.Env = w.env
	_, _ = cmd.CombinedOutput() // its process has not stopped: it waits for the answer
	w.mu.Lock()
	w.killed[c.session] = true
	w.mu.Unlock()
	c.release()
}

// wake has a process go on that others took for dead. It cannot find out by its lease for a
// while, but has something to write at once; in the end it is to be started anew.
func (w *world) wake(m *member, owner string) {
	w.slept[owner] = w.wrote(owner)
	tx := must(w.runs.BeginTx(w.Context(), nil))(w)
	_, err := tx.ExecContext(w.Context(), "SELECT 1 FROM owners WHERE id = $1 FOR UPDATE", owner)
	check(w, err)
	life := m.lives()
	m.signal(syscall.SIGCONT, m.bins[0])
	time.Sleep(time.Second)
	check(w, tx.Rollback())
	for until := time.Now().Add(20 * time.Second); m.lives() == life; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(until) {
			w.Error("a process that others took for dead goes on")
			break
		}
	}
}

// owner returns the process that has a session, as the journal names it.
func (w *world) owner(n int) (id string) {
	check(w, w.runs.QueryRowContext(w.Context(), "SELECT owner FROM runs WHERE session = $1", name(n)).Scan(&id))
	return id
}

// wrote returns the last entry of a process, on Postgres.
func (w *world) wrote(owner string) (seq int64) {
	check(w, w.runs.QueryRowContext(w.Context(), "SELECT seq FROM owners WHERE id = $1", owner).Scan(&seq))
	return seq
}

// torn reports whether a conversation is not what one run writes: of each call one result,
// unless it waits or was killed, and so one answer.
func (w *world) torn(n int, over bool) bool {
	rows := must(w.runs.QueryContext(w.Context(), "SELECT author, content FROM events WHERE session_id = $1", name(n)))(w)
	defer func() { _ = rows.Close() }() // it was read
	answers, calls, results := 0, map[string]int{}, map[string]int{}
	for rows.Next() {
		var author, text string
		var content genai.Content
		check(w, rows.Scan(&author, &text))
		check(w, json.Unmarshal([]byte(text), &content))
		for _, p := range content.Parts {
			switch {
			case p.FunctionCall != nil:
				calls[p.FunctionCall.ID]++
			case p.FunctionResponse != nil:
				results[p.FunctionResponse.ID]++
			case author != user && author != genai.RoleUser:
				answers++
			}
		}
	}
	check(w, rows.Err())
	for id := range results {
		if results[id] > 1 || calls[id] != 1 {
			return true
		}
	}
	return answers > 1 || over && (answers == 0 || len(results) != len(calls))
}

// story tells what became of a session.
func (w *world) story(n int, entries []jit.Entry) (told string) {
	for _, e := range entries {
		told += fmt.Sprintf("\n%s %s %s %s %s", e.Time.Format("15:04:05.000"), e.Kind, e.Run[:4], e.CallID, e.Error)
	}
	rows, err := w.runs.QueryContext(w.Context(), "SELECT timestamp, author, content FROM events WHERE session_id = $1 ORDER BY timestamp", name(n))
	for err == nil && rows.Next() {
		var at time.Time
		var author, content string
		err = rows.Scan(&at, &author, &content)
		told += fmt.Sprintf("\n%s %s: %s", at.UTC().Format("15:04:05.000"), author, content)
	}
	return told + fmt.Sprintf("\n(%v)", err)
}

// judge counts what came of the sessions, and prints it.
func (w *world) judge(what string) {
	w.run("audit", "verify")
	j := w.open()
	var waited, lost, twice, doubts, again, orphans, mixed, torn, late int
	wrong := func(n *int, format string, args ...any) {
		*n++
		w.Errorf(format, args...)
	}
	for n := range *sessions {
		tasks := must(j.Tasks(w.Context(), journal.TaskFilter{Session: w.session(n)}))(w)
		var entries []jit.Entry
		waits := false
		for _, t := range tasks {
			switch t.State {
			case journal.StateSuspended:
				waits = true
			case journal.StateOpen, journal.StateCompleting:
				wrong(&orphans, "%s: task %s is %s", name(n), t.ID, t.State)
			}
			entries = append(entries, must(j.Entries(w.Context(), t.Run))(w)...)
		}
		sent, doubt, suspended := 0, false, false
		for _, e := range jit.Effects(entries) {
			switch e.Outcome {
			case jit.OutcomeInDoubt:
				doubt = true
			case jit.OutcomeAnswered:
				sent++
			}
		}
		for _, e := range entries {
			suspended = suspended || e.Kind == jit.EntryTaskSuspended
			for _, other := range titles.FindAllString(string(e.Args), -1) {
				if other != title(n) {
					wrong(&mixed, "%s has %s", name(n), other)
				}
			}
		}
		made := len(must(filepath.Glob(filepath.Join(w.path("reports"), strings.ReplaceAll(strings.ToLower(title(n)), " ", "-")+"-*.md")))(w))
		if suspended {
			waited++
		}
		if sent > 1 {
			wrong(&again, "%s sent its effect %d times", name(n), sent)
		}
		over := len(tasks) > 0 && !waits && !w.killed[n]
		switch {
		case w.late[n] > 0 || w.killed[n] && made > 0:
			wrong(&late, "%s was killed, and made %d requests and %d reports", name(n), w.late[n], made)
		case made > 1:
			wrong(&twice, "%s made %d reports", name(n), made)
		case doubt:
			doubts++
		case made == 0 && over:
			wrong(&lost, "%s: no report, and no doubt:%s", name(n), w.story(n, entries))
			continue
		}
		if w.torn(n, over) {
			wrong(&torn, "%s is torn:%s", name(n), w.story(n, entries))
		}
	}
	for owner, last := range w.slept {
		if w.wrote(owner) != last {
			wrong(&late, "process %s was taken for dead, and wrote to the journal", owner)
		}
	}
	check(w, j.Close())
	w.run("kill", "ALL") // what waits for ever
	if n := w.servers.Auth.Snapshot().LiveTokens; n > 0 {
		orphans += n
		w.Errorf("%d tokens are alive", n)
	}
	var times [kinds]int
	for _, r := range w.asked {
		if r.decided || r.kind == never {
			times[r.kind]++
		}
	}
	if slices.Contains(times[:], 0) || doubts == 0 || len(w.took) == 0 {
		w.Errorf("there is a kind of trouble that did not come: decisions %v, in doubt %d, taken over %d", times, doubts, len(w.took))
	}
	slices.Sort(w.took)
	worst := "-"
	if n := len(w.took); n > 0 {
		p99 := w.took[min(n-1, n*99/100)]
		worst = p99.Round(100 * time.Millisecond).String()
		if p99 > 12*time.Second {
			w.Errorf("takeover p99 is %s", p99)
		}
	}
	fmt.Printf("| %s | %d | %d | %s | %d | %d | %d | %d | %d | %d | %d | %d | %d | %s |\n", what, *sessions, waited, strings.Trim(strings.ReplaceAll(fmt.Sprint(times), " ", ", "), "[]"), lost, twice, doubts, again, orphans, mixed, torn, late, len(w.took), worst)
}
