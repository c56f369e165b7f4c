package oauth_test

import (
	"fmt"

	"github.com/jitagent/jitagent/oauth"
)

func ExampleParseIntrospection() {
	in, err := oauth.ParseIntrospection([]byte(`{
		"active": true, "sub": "agent:analyst", "exp": 1900000000,
		"authorization_details": [{"type": "file_access", "actions": ["read"], "identifier": "doc_9982"}]
	}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(in.Active, in.Subject, in.ExpiresAt.UTC().Year(), in.Details[0].Identifier)

	in, err = oauth.ParseIntrospection([]byte(`{"active": false}`))
	fmt.Println(in.Active, in.Details == nil, err)
	// Output:
	// true agent:analyst 2030 doc_9982
	// false true <nil>
}
