package bench

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
	gormpostgres "gorm.io/driver/postgres"

	"github.com/jitagent/jitagent/dev"
	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/internal/pgtest"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
	"github.com/jitagent/jitagent/state/postgres"
	"github.com/jitagent/jitagent/state/runs"
	"github.com/jitagent/jitagent/state/session"
)

// A worker is analyst worker as it was at rest.
type worker struct {
	memory     float64 // bytes that are resident
	goroutines float64
	processor  float64 // percent of one core
}

// atRest are three measures of one analyst worker, while so many runs of a process that is
// gone wait for a person. Those are whole runs, with their conversations, their tasks at
// the authorization server and their entries in the journal; what they run is a small agent
// in this process, in place of the analyst.
func atRest(onPostgres bool) []measure {
	var idle, worker worker
	var once sync.Once
	row := func(what, unit string, floor float64, of func() float64) measure {
		return measure{
			name: fmt.Sprintf("cluster: %s of a worker, %d runs suspended on %s", what, *suspended, databaseName(onPostgres)), floor: "what it should stay below", unit: unit, goal: goal{ratio: 1}, asked: true,
			once: func(t *testing.T) (float64, float64) {
				once.Do(func() { idle, worker = workersAtRest(t, onPostgres) })
				return of(), floor
			},
		}
	}
	memory := row("memory for each run", "kB", 20, func() float64 { return max(.1, (worker.memory-idle.memory)/float64(*suspended)/1e3) })
	memory.said = func() []string {
		return []string{fmt.Sprintf("%.1f MB resident, %.1f without any run", worker.memory/1e6, idle.memory/1e6)}
	}
	processor := row("processor", "%", 1, func() float64 { return worker.processor })
	processor.said = func() []string { return []string{fmt.Sprintf("%.2f %% without any run", idle.processor)} }
	return []measure{memory, row("goroutines", "of them", 100, func() float64 { return worker.goroutines }), processor}
}

func workersAtRest(t *testing.T, onPostgres bool) (idle, full worker) {
	dir, key := t.TempDir(), rand.Text()+rand.Text()
	world := must(dev.Start(t.Context(), dev.Config{Auth: lumodev.Config{
		CAEP:    lumodev.CAEPPolicy{RiskThreshold: -1, BurstRequests: -1},
		TaskTTL: 24 * time.Hour, HumanWindow: 24 * time.Hour,
		Risk: lumodev.RiskPolicy{Assess: func(rar.Detail) lumodev.Risk { return lumodev.High }},
	}}))(t)
	t.Cleanup(func() { check(t, world.Close()) })
	login := world.Client()
	env := []string{
		"HOME=" + dir, "ANALYST_STATE_DIR=" + filepath.Join(dir, "state"), "ANALYST_MODEL=offline", "ANALYST_API_URL=http://127.0.0.1:9",
		"LUMOAUTH_URL=" + world.AuthURL, "LUMOAUTH_ORG_ID=" + login.Org, "AGENT_CLIENT_ID=" + login.ClientID, "AGENT_CLIENT_SECRET=" + login.ClientSecret.Reveal(),
	}
	var address string
	if onPostgres {
		address = pgtest.Shared(t).URL(t)
		check(t, os.WriteFile(filepath.Join(dir, "key"), []byte(key), 0o600))
		env = append(env, "ANALYST_DATABASE="+address, "ANALYST_TENANT=bench", "ANALYST_VAULT_KEY_FILE="+filepath.Join(dir, "key"))
	}
	program := buildProgram(t)
	idle = program.atRest(env)
	authority := must(lumoauth.New(login))(t)
	t.Run("suspend", func(t *testing.T) { // which closes all that it opens
		name := world.AuthURL + "/" + login.Org + "/" + login.ClientID
		var w *waiters
		if onPostgres {
			db := must(postgres.Connect(t.Context(), postgres.Options{URL: secret.New(address), Tenant: "bench", Key: secret.New(key)}))(t)
			t.Cleanup(db.Close)
			j := must(postgres.OpenJournal(t.Context(), db, postgres.JournalOptions{}))(t)
			t.Cleanup(func() { check(t, j.Close()) })
			sessions := must(session.New(gormpostgres.New(gormpostgres.Config{Conn: stdlib.OpenDBFromPool(db.Pool())}), nil))(t)
			t.Cleanup(func() { check(t, sessions.Close()) })
			store := must(runs.OpenPostgres(t.Context(), db.Pool(), runs.Options{Journal: j, Authority: name}))(t)
			t.Cleanup(func() { check(t, store.Close()) })
			w = newWaiters(t, authority, name, j, sessions, store)
		} else {
			dir := filepath.Join(dir, "state")
			j, sessions := openJournal(t, dir), must(session.Open(t.Context(), dir))(t)
			t.Cleanup(func() { check(t, sessions.Close()) })
			store := must(runs.Open(t.Context(), dir, runs.Options{Journal: j, Authority: name}))(t)
			t.Cleanup(func() { check(t, store.Close()) })
			w = newWaiters(t, authority, name, j, sessions, store)
		}
		check(t, w.suspend(*suspended))
	})
	return idle, program.atRest(env)
}

// atRest starts a worker, and ends it when it was seen for a while.
func (p *program) atRest(env []string) (w worker) {
	cmd := exec.CommandContext(p.t.Context(), p.path, "worker")
	cmd.Env = env
	stderr := must(cmd.StderrPipe())(p.t)
	check(p.t, cmd.Start())
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 1<<20)
	said := ""
	for !strings.Contains(said, "working on") {
		if !lines.Scan() {
			p.t.Fatalf("the worker ended: %v: %s", cmd.Wait(), said)
		}
		said += lines.Text() + "\n"
	}
	time.Sleep(*budget) // until it has begun
	used := p.used(cmd)
	start := time.Now()
	time.Sleep(4 * *budget)
	w.processor = 100 * float64(p.used(cmd)-used) / float64(time.Since(start))
	status := must(os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid)))(p.t)
	if m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(status); m != nil {
		kB, _ := strconv.Atoi(string(m[1]))
		w.memory = float64(kB) * 1024
	}
	check(p.t, cmd.Process.Signal(syscall.SIGQUIT)) // says what its goroutines do
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "goroutine ") {
			w.goroutines++
		}
	}
	check(p.t, lines.Err())
	_ = cmd.Wait() // with the signal
	return w
}

// used is the processor time of a process of Linux so far.
func (p *program) used(cmd *exec.Cmd) time.Duration {
	stat := string(must(os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid)))(p.t))
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	user, err := strconv.Atoi(fields[11])
	system, other := strconv.Atoi(fields[12])
	check(p.t, errors.Join(err, other))
	return time.Duration(user+system) * 10 * time.Millisecond
}
