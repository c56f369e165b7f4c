package oauthz

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/oauth"
)

// namesPermissions fails unless each is RESOURCE#SCOPE. The server reads one without a
// resource as any, one without a scope as all of it, and a comma as the next scope.
func namesPermissions(all []string) error {
	for _, p := range all {
		resource, scope, _ := strings.Cut(p, "#")
		if resource == "" || scope == "" || strings.ContainsAny(scope, "#,") {
			return &Error{Op: opRequest, Message: "no permission is configured for what is asked"}
		}
	}
	return nil
}

// permissions returns what the claims of a requesting party token permit, sorted, each as
// RESOURCE#SCOPE: by the name of the resource where that was asked for, else by its id. A
// permission without scopes is one for all that the resource has.
func permissions(claims oauth.Object, asked []string) (got []string, err error) {
	authorization := claims.Object("authorization")
	if !authorization.Has("permissions") {
		return nil, jit.ErrSilent
	}
	var all []struct {
		ID     string   `json:"rsid"`
		Name   string   `json:"rsname"`
		Scopes []string `json:"scopes"`
	}
	if err := strictjson.Unmarshal(authorization["permissions"], &all); err != nil {
		return nil, fmt.Errorf("%w: %w", jit.ErrOvergrant, errors.New("its permissions cannot be read"))
	}
	for _, p := range all {
		if len(p.Scopes) == 0 {
			got = append(got, p.ID)
		}
		for _, scope := range p.Scopes {
			name := p.Name + "#" + scope
			if !slices.Contains(asked, name) {
				name = p.ID + "#" + scope
			}
			got = append(got, name)
		}
	}
	slices.Sort(got)
	return got, nil
}
