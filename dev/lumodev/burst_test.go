package lumodev

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/jitagent/jitagent/rar"
)

// A burst counts the newest requests, in whatever order a restart found them.
func TestBurstCountsTheNewestRequests(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	s := &Server{cfg: Config{CAEP: CAEPPolicy{BurstRequests: 3}}}
	for _, tt := range []struct {
		ages []time.Duration // of the task's requests, oldest first
		want bool
	}{
		{nil, false},
		{[]time.Duration{50 * time.Second, 40 * time.Second}, false},
		{[]time.Duration{50 * time.Second, 40 * time.Second, 0}, true},
		{[]time.Duration{time.Minute, 40 * time.Second, 0}, false}, // the window has just ended for the first
		{[]time.Duration{time.Hour, 59 * time.Minute, 2 * time.Second, time.Second}, false},
		{[]time.Duration{time.Hour, 59 * time.Minute, 3 * time.Second, 2 * time.Second, time.Second}, true},
	} {
		st := newState()
		for i, age := range tt.ages {
			r := request{ID: fmt.Sprint("jit_", i), TaskID: "task", CreatedAt: now.Add(-age)}
			st.apply(&change{put: []record{r}})
		}
		c := &call{s: s, now: now, st: st}
		if got := c.burst("task"); got != tt.want {
			t.Errorf("requests of ages %v: burst = %v, want %v", tt.ages, got, tt.want)
		}
	}
}

// The order of requests survives a restart: a store returns records by id.
func TestRequestsAreOrderedAfterARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	s, err := openStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.close() }()
	var ch change
	for i, id := range []string{"jit_c", "jit_a", "jit_d", "jit_b"} {
		ch.add(request{ID: id, TaskID: "task", Detail: rar.Detail{Type: "file_access"}, CreatedAt: now.Add(time.Duration(i) * time.Second)})
	}
	if err := s.write(&ch); err != nil {
		t.Fatal(err)
	}
	st, err := s.load()
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(st.ofTask["task"]); got != "[jit_c jit_a jit_d jit_b]" {
		t.Errorf("requests %s, want them oldest first", got)
	}
}
