package faults

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/jitagent/jitagent/dev"
	"github.com/jitagent/jitagent/dev/docapi"
	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/resource"
	"github.com/jitagent/jitagent/secret"
)

// maxGrants is the largest number of grants under one task here.
const maxGrants = 100

// endGoal is what the time from a task's end to the last refusal should stay below,
// for 99 of 100 ends.
const endGoal = 250 * time.Millisecond

// ends are servers whose tasks end.
type ends struct {
	*lab
	*dev.Servers
	client *lumoauth.Client
	http   *http.Client
}

// taskEnds measures how long after the end of a task the last of its grants is still
// good for the API, which asks the authorization server about each token. From the
// call that ends the task to the last refusal; all grants are tried at once.
func taskEnds(t *testing.T, l *lab) {
	documents := t.TempDir()
	for i := range maxGrants {
		check(t, os.WriteFile(filepath.Join(documents, document(i)+".md"), []byte("---\nclassification: internal\n---\n\n# A document\n\nSome text.\n"), 0o600))
	}
	base := &http.Transport{MaxIdleConnsPerHost: 2 * maxGrants}
	e := &ends{lab: l, http: &http.Client{Transport: base}}
	e.Servers = must(dev.Start(l.ctx, dev.Config{
		// Without the bounds that would end a task after so many requests.
		Auth:      lumodev.Config{CAEP: lumodev.CAEPPolicy{RiskThreshold: -1, BurstRequests: -1}},
		Documents: &docapi.Config{Documents: documents},
		Guard:     func(cfg *resource.Config, _ string) { cfg.HTTPClient = e.http },
	}))(t)
	t.Cleanup(func() {
		base.CloseIdleConnections()
		_ = e.Close()
	})
	agent := e.Client()
	agent.HTTPClient = e.http
	e.client = must(lumoauth.New(agent))(t)
	for _, grants := range []int{1, 10, maxGrants} {
		r := l.row(fmt.Sprintf("end of a task with %d grants, to the last refusal", grants))
		times := *trials
		if grants == maxGrants && times < 1000 {
			times = max(5, times/10)
		}
		var took []time.Duration
		for range times {
			took = append(took, e.one(t, r, grants))
			r.Trials++
			r.clean(took[len(took)-1])
		}
		slices.Sort(took)
		at := func(percent int) time.Duration { return took[(len(took)-1)*percent/100].Round(time.Millisecond / 10) }
		r.Note = fmt.Sprintf("p50 %s, p99 %s", at(50), at(99))
		if at(99) > endGoal {
			r.Note += ", over the goal of " + endGoal.String()
		}
	}
}

func document(i int) string { return fmt.Sprintf("doc_%d", 1000+i) }

// one opens a task, gathers grants, ends the task, and tries them all.
func (e *ends) one(t *testing.T, r *row, grants int) time.Duration {
	task := must(e.client.CreateTask(e.ctx, jit.TaskSpec{Name: "end"}))(t)
	tokens := make([]secret.String, grants)
	var gather, tries errgroup.Group
	gather.SetLimit(8)
	for i := range grants {
		gather.Go(func() error {
			detail := rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: document(i), Locations: []string{e.API.String()}}
			decision, err := e.client.Request(e.ctx, jit.Request{TaskID: task.ID, Detail: detail, TTL: 5 * time.Minute, Justification: "measuring"})
			if err != nil {
				return err
			}
			issued, err := e.client.Token(e.ctx, decision.RequestID)
			tokens[i] = issued.Token
			return err
		})
	}
	check(t, gather.Wait())
	if status := must(e.try(0, tokens[0]))(t); status != http.StatusOK {
		t.Fatalf("a grant that is good: status %d", status)
	}
	start := time.Now()
	check(t, e.client.CompleteTask(e.ctx, task.ID))
	for i, token := range tokens {
		tries.Go(func() error {
			for {
				status, err := e.try(i, token)
				switch {
				case err != nil || status == http.StatusUnauthorized || status == http.StatusForbidden:
					return err
				case time.Since(start) > cleanLimit:
					r.wrong(t, &r.Orphans, "%s after the end of its task a grant gets status %d", cleanLimit, status)
					return nil
				}
			}
		})
	}
	check(t, tries.Wait())
	return time.Since(start)
}

// try uses a grant at the API.
func (e *ends) try(i int, token secret.String) (int, error) {
	req, err := http.NewRequestWithContext(e.ctx, http.MethodGet, e.API.JoinPath("v1/documents", document(i)).String(), nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+token.Reveal())
	resp, err := e.http.Do(req)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode, err
}
