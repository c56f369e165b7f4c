package challenge_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/jit/challenge"
)

type params = map[string]string

func TestWWWAuthenticateRefuses(t *testing.T) {
	for name, lines := range map[string][]string{
		"no scheme":                  {`="x"`},
		"comma after the scheme":     {`Basic, realm="x"`},
		"the same over lines":        {`Basic`, `realm="x"`},
		"folded into nothing":        {"Bearer realm=\"x\r\n"},
		"CR alone":                   {"Basic\r realm=x"},
		"line end, no fold":          {"Basic realm=x,\r\nfoo=y"},
		"parameter first":            {`realm="x"`},
		"parameter first, comma":     {`, realm="x"`},
		"quoted string first":        {`"x"`},
		"no comma":                   {`Bearer realm="x" error="y"`},
		"no comma after a token":     {`Bearer realm=x error=y`},
		"scheme after the value":     {`Bearer realm="x" Basic`},
		"semicolon":                  {`Bearer realm="x"; error="y"`},
		"quote open":                 {`Bearer realm="x`},
		"quote open at a backslash":  {`Bearer realm="x\`},
		"quote open over lines":      {`Bearer realm="x`, `y"`},
		"text after the quote":       {`Bearer realm="x"y`},
		"single quotes":              {`Bearer realm='x y'`},
		"control in the quote":       {"Bearer realm=\"x\ny\""},
		"escaped control":            {"Bearer realm=\"x\\\x00y\""},
		"DEL in the quote":           {"Bearer realm=\"x\x7fy\""},
		"control":                    {"Bearer\x00realm=x"},
		"no value":                   {`Bearer realm="x", error=`},
		"no value, comma":            {`Bearer realm="x", error=, x=y`},
		"no name":                    {`Bearer ="x"`},
		"value of two words":         {`Bearer realm=a b`},
		"value with a slash":         {`Bearer realm=http://x`},
		"twice":                      {`Bearer realm="x", realm="x"`},
		"twice in two cases":         {`Bearer realm="x", REALM="y"`},
		"twice over lines":           {`Bearer realm="x"`, `realm="y"`},
		"parameter after token68":    {`Negotiate abc==, realm="x"`},
		"token68 and more":           {`Negotiate abc== def`},
		"token68, equals inside":     {`Negotiate a=b=c`},
		"not ASCII":                  {"B\u00e4rer realm=x"},
		"too many challenges":        {strings.Repeat("a,", challenge.MaxChallenges+1)},
		"too many over lines":        {strings.Repeat("a,", challenge.MaxChallenges), "b"},
		"too many parameters":        {"a " + parameters(challenge.MaxParams+1)},
		"too many parameters, lines": {"a " + parameters(challenge.MaxParams), "z=1"},
		"too long":                   {"a realm=" + strings.Repeat("x", challenge.MaxHeader)},
		"too long over lines":        {"a realm=" + strings.Repeat("x", challenge.MaxHeader-16), strings.Repeat(" ", 10)},
		"1 MiB":                      {`a realm="` + strings.Repeat(`\"`, 1<<19)},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := challenge.WWWAuthenticate(http.Header{"Www-Authenticate": lines})
			if err == nil || got != nil {
				t.Fatalf("WWWAuthenticate(%.200q) = %v, %v, want an error", lines, got, err)
			}
			if s := err.Error(); !strings.HasPrefix(s, "challenge: WWW-Authenticate: ") || len(s) > 200 {
				t.Errorf("WWWAuthenticate(%.200q): error %q", lines, s)
			}
		})
	}
}

func parameters(n int) string {
	var all []string
	for i := range n {
		all = append(all, strings.Repeat("p", i+1)+"=1")
	}
	return strings.Join(all, ", ")
}

func TestWWWAuthenticate(t *testing.T) {
	basic := challenge.AuthChallenge{Scheme: "Basic", Params: params{"realm": "x"}}
	for name, tt := range map[string]struct {
		h    http.Header
		want []challenge.AuthChallenge
	}{
		"nil":            {nil, nil},
		"no line":        {http.Header{}, nil},
		"empty line":     {lines(""), nil},
		"commas":         {lines(" , ,,\t"), nil},
		"scheme alone":   {lines("Negotiate"), []challenge.AuthChallenge{{Scheme: "Negotiate"}}},
		"scheme, spaces": {lines(" Negotiate  "), []challenge.AuthChallenge{{Scheme: "Negotiate"}}},
		"schemes alone":  {lines("Negotiate, NTLM ,x"), []challenge.AuthChallenge{{Scheme: "Negotiate"}, {Scheme: "NTLM"}, {Scheme: "x"}}},
		"token68":        {lines("Negotiate YII+/=="), []challenge.AuthChallenge{{Scheme: "Negotiate", Token68: "YII+/=="}}},
		"token68 then another": {
			lines(`Negotiate YII= , Basic realm="x"`),
			[]challenge.AuthChallenge{{Scheme: "Negotiate", Token68: "YII="}, basic},
		},
		"token68 like a name":   {lines("x realm="), []challenge.AuthChallenge{{Scheme: "x", Token68: "realm="}}},
		"comma behind a space":  {lines(`Basic , realm="x"`), []challenge.AuthChallenge{basic}},
		"folded":                {lines("Basic\r\n realm=\"x\""), []challenge.AuthChallenge{basic}},
		"folded twice, LF":      {lines("Basic \n\t \r\n\trealm=x"), []challenge.AuthChallenge{basic}},
		"folded in quotes":      {lines("Basic realm=\"a \r\n  b\""), []challenge.AuthChallenge{{Scheme: "Basic", Params: params{"realm": "a b"}}}},
		"token":                 {lines("Basic realm=x"), []challenge.AuthChallenge{basic}},
		"quoted":                {lines(`Basic realm="x"`), []challenge.AuthChallenge{basic}},
		"name in capitals":      {lines(`Basic REALM="x"`), []challenge.AuthChallenge{basic}},
		"spaces around equals":  {lines("Basic realm \t= \"x\" "), []challenge.AuthChallenge{basic}},
		"spaces after scheme":   {lines("Basic \t  realm=x"), []challenge.AuthChallenge{basic}},
		"header in lower case":  {http.Header{"www-authenticate": {"Basic realm=x"}}, []challenge.AuthChallenge{basic}},
		"empty quoted string":   {lines(`Basic realm=""`), []challenge.AuthChallenge{{Scheme: "Basic", Params: params{"realm": ""}}}},
		"escapes":               {lines(`Basic realm="a\"b\\c\d"`), []challenge.AuthChallenge{{Scheme: "Basic", Params: params{"realm": `a"b\cd`}}}},
		"commas in quotes":      {lines(`Basic realm="a, Bearer error=\"x\", b"`), []challenge.AuthChallenge{{Scheme: "Basic", Params: params{"realm": `a, Bearer error="x", b`}}}},
		"bytes beyond ASCII":    {lines("Basic realm=\"\xe9\""), []challenge.AuthChallenge{{Scheme: "Basic", Params: params{"realm": "\xe9"}}}},
		"empty elements":        {lines(`, Basic realm=x,, charset=y,`), []challenge.AuthChallenge{{Scheme: "Basic", Params: params{"realm": "x", "charset": "y"}}}},
		"comma after scheme":    {lines("Negotiate,Basic realm=x"), []challenge.AuthChallenge{{Scheme: "Negotiate"}, basic}},
		"same parameter, other": {lines(`Basic realm=x, Basic realm=x`), []challenge.AuthChallenge{basic, basic}},
		"RFC 9110 example": {
			lines(`Basic realm="simple", Newauth realm="apps", type=1, title="Login to \"apps\""`),
			[]challenge.AuthChallenge{
				{Scheme: "Basic", Params: params{"realm": "simple"}},
				{Scheme: "Newauth", Params: params{"realm": "apps", "type": "1", "title": `Login to "apps"`}},
			},
		},
		"lines": {
			lines("Basic realm=x", `Bearer realm="y", error="z"`, "Negotiate"),
			[]challenge.AuthChallenge{basic, {Scheme: "Bearer", Params: params{"realm": "y", "error": "z"}}, {Scheme: "Negotiate"}},
		},
		"one challenge over lines": {
			lines("Bearer realm=y", `error="z"`),
			[]challenge.AuthChallenge{{Scheme: "Bearer", Params: params{"realm": "y", "error": "z"}}},
		},
		"RFC 9728": {
			lines(`Bearer error="invalid_request", resource_metadata="https://api.acme-corp.com/.well-known/oauth-protected-resource"`),
			[]challenge.AuthChallenge{{Scheme: "Bearer", Params: params{
				"error": "invalid_request", "resource_metadata": "https://api.acme-corp.com/.well-known/oauth-protected-resource",
			}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := challenge.WWWAuthenticate(tt.h)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("WWWAuthenticate(%q) (-want +got):\n%s", tt.h, diff)
			}
		})
	}
}

func lines(values ...string) http.Header { return http.Header{"Www-Authenticate": values} }

func TestWWWAuthenticateAtLimits(t *testing.T) {
	for name, line := range map[string]string{
		"challenges": strings.Repeat("a,", challenge.MaxChallenges),
		"parameters": "a " + parameters(challenge.MaxParams),
		"length":     "a realm=" + strings.Repeat("x", challenge.MaxHeader-8),
	} {
		if _, err := challenge.WWWAuthenticate(lines(line)); err != nil {
			t.Errorf("at the limit of %s: %v", name, err)
		}
	}
}

// The demand is found wherever a Bearer challenge can stand.
func TestParseFindsTheDemand(t *testing.T) {
	for _, h := range []http.Header{
		lines(bearer),
		lines("Negotiate", bearer),
		lines("Negotiate YII=, " + bearer),
		lines(`Basic realm="a, b", ` + bearer + `, error_description="x", Negotiate`),
		lines(`Bearer realm="x"`, `error="insufficient_authorization_details"`),
		lines(`Bearer error="insufficient_scope"`, bearer),
		lines(`BEARER ERROR = insufficient_authorization_details`),
		lines(`Bearer error="insufficient\_authorization\_details"`),
		{"www-authenticate": {bearer}},
	} {
		h.Set("Content-Type", "application/json")
		got, err := challenge.Parse(http.StatusUnauthorized, h, []byte(`{"authorization_details_hint":`+object+`}`))
		if err != nil || got.Source != challenge.SourceBody || len(got.Details) != 1 {
			t.Errorf("Parse(%q) = %v, %v", h, got, err)
		}
	}
}
