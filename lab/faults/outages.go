package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
)

// outages runs the tests of package recovery in which the authorization server is away
// for twenty minutes, and what else it can answer instead of an answer: their clocks
// are virtual, so that is a matter of seconds.
func outages(ctx context.Context, b *bench) ([]*row, error) {
	r := &row{Fault: "authorization server away 20 min, flapping, 503, 429, 202, garbage", Note: "virtual time: tests of state/recovery"}
	const which = "^(TestServerAwayForTwentyMinutes|TestDeadServerIsNotAskedForEachTask|TestRetryAfterOutlivesTheProcess|TestPausesGrow|TestUnansweredTaskExpires|TestOneBadTaskHoldsNobodyUp|TestHangingServer)$"
	cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-json", "-run", which, "./state/recovery")
	cmd.Dir = b.source
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	results := map[string]string{}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var event struct{ Action, Test, Output string }
		if json.Unmarshal(lines.Bytes(), &event) == nil && event.Test != "" && (event.Action == "pass" || event.Action == "fail" || event.Action == "skip") {
			results[event.Test] = event.Action
		}
	}
	failed := cmd.Wait()
	for test, result := range results {
		if hasParts(results, test) {
			continue
		}
		r.Trials++
		if result != "pass" {
			r.wrong(&r.Other, "%s: %s", test, result)
		}
	}
	if r.Trials == 0 || failed != nil && r.Other == 0 {
		return []*row{r}, fmt.Errorf("the tests did not run: %v", failed)
	}
	return []*row{r}, lines.Err()
}

// hasParts reports whether a test is told by its subtests.
func hasParts(results map[string]string, test string) bool {
	for other := range results {
		if strings.HasPrefix(other, test+"/") {
			return true
		}
	}
	return false
}
