package main

import (
	"context"
	"fmt"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/rar"
)

// mayQueryOrders is the ceiling of a call: querying orders, and nothing else.
func mayQueryOrders() []rar.Detail { return []rar.Detail{querying("orders")} }

// ordersOf is a tool that speaks no HTTP: it asks for what it needs, and shows the
// token to the database. A live grant of the same task is used again.
func ordersOf(ctx context.Context, g *gate, region string) (string, error) {
	grant, err := jit.Acquire(ctx, querying("orders"))
	if err != nil {
		return "", err
	}
	count, sum, err := g.totals(ctx, grant.Token, "orders", region)
	if err != nil {
		return "", fmt.Errorf("orders of %s: %w", region, err)
	}
	return fmt.Sprintf("%d orders, %d in all", count, sum), nil
}
