package dev_test

import (
	"context"
	"fmt"

	"github.com/jitagent/jitagent/dev"
	"github.com/jitagent/jitagent/lumoauth"
)

// A test starts an authorization server on a free port and points its client at it.
func ExampleStart() {
	ctx := context.Background()
	servers, err := dev.Start(ctx, dev.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = servers.Close() }()
	client, err := lumoauth.New(servers.Client())
	if err != nil {
		fmt.Println(err)
		return
	}
	me, err := client.Me(ctx)
	fmt.Println(me.Type, me.Capabilities, err)
	// Output:
	// agent [read:documents write:reports delegate:on_behalf] <nil>
}
