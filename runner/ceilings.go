package runner

import (
	"context"
	"fmt"
	"maps"
	"slices"

	adk "google.golang.org/adk/v2/agent"

	"github.com/jitagent/jitagent/internal/peer"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jitmw"
	"github.com/jitagent/jitagent/rar"
)

// linesOf returns for each agent at or below some roots the names of those that have a
// ceiling, from the top to itself; nil where none has. Each of them has a task, which is
// below that of the one before.
func linesOf(engine *jit.Engine, ceilings map[string][]rar.Detail, roots ...adk.Agent) (map[string][]string, error) {
	if len(ceilings) == 0 {
		return nil, nil
	}
	lines := map[string][]string{}
	var walk func(a adk.Agent, line []string, above [][]rar.Detail) error
	walk = func(a adk.Agent, line []string, above [][]rar.Detail) error {
		name := a.Name()
		if own, has := ceilings[name]; has {
			line, above = append(slices.Clip(line), name), append(slices.Clip(above), own)
			if err := engine.Narrower(above...); err != nil {
				return fmt.Errorf("ceiling of agent %s: %w", name, err)
			}
		}
		if was, known := lines[name]; known && !slices.Equal(was, line) {
			return fmt.Errorf("two agents are called %s, and their ceilings differ", name)
		}
		lines[name] = line
		for _, sub := range a.SubAgents() {
			if err := walk(sub, line, above); err != nil {
				return err
			}
		}
		return nil
	}
	for _, root := range roots {
		if err := walk(root, nil, nil); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(ceilings)) {
		if _, known := lines[name]; !known {
			return nil, fmt.Errorf("there is a ceiling of agent %s, and no such agent", name)
		}
	}
	return lines, nil
}

// taskOf returns the task of an agent, and begins it, and those above it, if need be.
func (r *run) taskOf(ctx context.Context, agent string) (_ *jit.Task, err error) {
	line, known := r.r.lines[agent]
	if !known {
		return nil, &jitmw.Failure{
			Status: jit.CallDenied, Message: fmt.Sprintf("nobody said what the agent %s may do, so its calls are not made", peer.Clean(agent, 64)),
			Advice: "Say so in your answer.",
		}
	}
	task := r.task
	for _, name := range line {
		if task, err = task.Child(ctx, jit.TaskSpec{Name: name}, r.r.cfg.Ceilings[name]); err != nil {
			return nil, err
		}
	}
	return task, nil
}
