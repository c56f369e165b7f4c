package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
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

// taskEnds measures how long after the end of a task the last of its grants is still
// good for the API, which asks the authorization server about each token. From the
// call that ends the task to the last refusal; all grants are tried at once.
func taskEnds(ctx context.Context, b *bench) ([]*row, error) {
	e, err := newEnds(ctx, b)
	if err != nil {
		return nil, err
	}
	defer func() { _ = e.close() }()
	var rows []*row
	for _, grants := range []int{1, 10, maxGrants} {
		r := &row{Fault: fmt.Sprintf("end of a task with %d grants, to the last refusal", grants)}
		rows = append(rows, r)
		times := b.trials
		if grants == maxGrants && times < 1000 {
			times = max(5, times/10)
		}
		if err := e.measure(ctx, r, grants, times); err != nil {
			return rows, err
		}
	}
	return rows, nil
}

type ends struct {
	*dev.Servers
	client *lumoauth.Client
	base   *http.Transport
}

func newEnds(ctx context.Context, b *bench) (*ends, error) {
	documents := filepath.Join(b.dir, "ends")
	if err := os.MkdirAll(documents, 0o750); err != nil {
		return nil, err
	}
	for i := range maxGrants {
		if err := os.WriteFile(filepath.Join(documents, document(i)+".md"), []byte("---\nclassification: internal\n---\n\n# A document\n\nSome text.\n"), 0o600); err != nil {
			return nil, err
		}
	}
	e := &ends{base: &http.Transport{MaxIdleConnsPerHost: 2 * maxGrants}}
	shared := &http.Client{Transport: e.base}
	var err error
	e.Servers, err = dev.Start(ctx, dev.Config{
		// Without the bounds that would end a task after so many requests.
		Auth:      lumodev.Config{CAEP: lumodev.CAEPPolicy{RiskThreshold: -1, BurstRequests: -1}},
		Documents: &docapi.Config{Documents: documents},
		Guard:     func(cfg *resource.Config, _ string) { cfg.HTTPClient = shared },
	})
	if err != nil {
		return nil, err
	}
	agent := e.Client()
	agent.HTTPClient = shared
	if e.client, err = lumoauth.New(agent); err != nil {
		return nil, errors.Join(err, e.close())
	}
	return e, nil
}

func (e *ends) close() error {
	e.base.CloseIdleConnections()
	return e.Close()
}

func document(i int) string { return fmt.Sprintf("doc_%d", 1000+i) }

func (e *ends) measure(ctx context.Context, r *row, grants, times int) error {
	var took []time.Duration
	for range times {
		d, err := e.one(ctx, r, grants)
		if err != nil {
			return err
		}
		took = append(took, d)
		r.Trials++
		r.clean(d)
	}
	slices.Sort(took)
	at := func(percent int) time.Duration { return took[(len(took)-1)*percent/100].Round(time.Millisecond / 10) }
	r.Note = fmt.Sprintf("p50 %s, p99 %s", at(50), at(99))
	if at(99) > endGoal {
		r.Note += ", over the goal of " + endGoal.String()
	}
	return nil
}

// one opens a task, gathers grants, ends the task, and tries them all.
func (e *ends) one(ctx context.Context, r *row, grants int) (time.Duration, error) {
	task, err := e.client.CreateTask(ctx, jit.TaskSpec{Name: "end"})
	if err != nil {
		return 0, err
	}
	tokens := make([]secret.String, grants)
	gather, gathering := errgroup.WithContext(ctx)
	gather.SetLimit(8)
	for i := range grants {
		gather.Go(func() error {
			detail := rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: document(i), Locations: []string{e.API.String()}}
			decision, err := e.client.Request(gathering, jit.Request{TaskID: task.ID, Detail: detail, TTL: 5 * time.Minute, Justification: "measuring"})
			if err != nil {
				return err
			}
			issued, err := e.client.Token(gathering, decision.RequestID)
			tokens[i] = issued.Token
			return err
		})
	}
	if err := gather.Wait(); err != nil {
		return 0, err
	}
	if status, err := e.try(ctx, 0, tokens[0]); err != nil || status != http.StatusOK {
		return 0, fmt.Errorf("a grant that is good: status %d: %w", status, err)
	}
	start := time.Now()
	if err := e.client.CompleteTask(ctx, task.ID); err != nil {
		return 0, err
	}
	tries, trying := errgroup.WithContext(ctx)
	for i, token := range tokens {
		tries.Go(func() error {
			for {
				status, err := e.try(trying, i, token)
				switch {
				case err != nil:
					return err
				case status == http.StatusUnauthorized || status == http.StatusForbidden:
					return nil
				case time.Since(start) > cleanLimit:
					r.wrong(&r.Orphans, "%s after the end of its task a grant gets status %d", cleanLimit, status)
					return nil
				}
			}
		})
	}
	err = tries.Wait()
	return time.Since(start), err
}

// try uses a grant at the API.
func (e *ends) try(ctx context.Context, i int, token secret.String) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.API.JoinPath("v1/documents", document(i)).String(), nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+token.Reveal())
	resp, err := e.base.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, errors.Join(err, resp.Body.Close())
}
