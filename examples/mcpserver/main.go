// Command mcpserver is an MCP server to try analyst run --mcp with.
//
// See README.md.
package main

import (
	"context"
	"log"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type args struct {
	Customer string `json:"customer" jsonschema:"such as customer_acme"`
}

type order struct {
	ID    string `json:"id"`
	Title string `json:"title"`
}

type result struct {
	Orders []order `json:"orders"`
}

var orders = map[string][]order{"customer_acme": {{"order_77", "40 anvils"}, {"order_81", "a magnet, the large one"}}}

func main() {
	server := mcp.NewServer(&mcp.Implementation{Name: "orders", Version: "1"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "find_orders", Description: "Find the orders of a customer"},
		func(_ context.Context, _ *mcp.CallToolRequest, in args) (*mcp.CallToolResult, result, error) {
			return nil, result{append([]order{}, orders[in.Customer]...)}, nil
		})
	if err := server.Run(context.Background(), &mcp.StdioTransport{}); err != nil {
		log.Fatal("mcpserver: ", err)
	}
}
