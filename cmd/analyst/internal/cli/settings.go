package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/adk/v2/tool"

	"github.com/jitagent/jitagent/internal/disk"
	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/internal/yamlfile"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/models"
	"github.com/jitagent/jitagent/oauthz"
	"github.com/jitagent/jitagent/policy"
	"github.com/jitagent/jitagent/secret"
	"github.com/jitagent/jitagent/tools"
	"github.com/jitagent/jitagent/tools/mcp"
)

// The environment variables. Flags win over them.
const (
	EnvURL      = "LUMOAUTH_URL"
	EnvOrg      = "LUMOAUTH_ORG_ID"
	EnvTenant   = "LUMOAUTH_TENANT" // the older name of the same thing
	EnvClientID = "AGENT_CLIENT_ID"
	EnvSecret   = "AGENT_CLIENT_SECRET" //nolint:gosec // the name of a variable
	EnvAPI      = "ANALYST_API_URL"
	EnvModel    = "ANALYST_MODEL"

	EnvAPIIdempotent = "ANALYST_API_IDEMPOTENT"
	EnvAPISearch     = "ANALYST_API_SEARCH"
	EnvPolicy        = "ANALYST_POLICY"
	EnvPrices        = "ANALYST_PRICES"
	EnvDPoP          = "ANALYST_DPOP"
)

// DefaultModel runs with nothing configured.
const DefaultModel = "offline"

// A Toolkit makes the analyst's tools for an API.
type Toolkit func(api *url.URL, opts tools.Options) ([]tool.Tool, error)

// Target are the flags that say which servers and which model a command works
// with. The client secret has no flag: arguments are visible to every user of the
// machine.
type Target struct {
	url, org, clientID, secretFile string
	legacyPrefix                   bool
	api, model                     string
	modelOptions                   []string
	apiIdempotent, apiSearch       bool
	policy                         string
	documents, reports             string
	mcp                            []string
	oauth                          oauthFlags
	dpop                           bool
}

// AddFlags adds them to a command.
func (t *Target) AddFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&t.url, "lumoauth-url", "", "`URL` of the LumoAuth instance ("+EnvURL+")")
	f.StringVar(&t.org, "org", "", "`SLUG` of the organization ("+EnvOrg+" or "+EnvTenant+")")
	f.BoolVar(&t.legacyPrefix, "legacy-prefix", false, "use LumoAuth's older paths /t/{tenant}/api/v1")
	f.StringVar(&t.clientID, "client-id", "", "the agent's OAuth client `ID` ("+EnvClientID+")")
	f.StringVar(&t.secretFile, "client-secret-file", "", "`FILE` that holds the client secret (or set "+EnvSecret+")")
	t.oauth.add(cmd)
	f.BoolVar(&t.dpop, "dpop", false, "ask the authorization server for tokens that are bound to a key, and use no others ("+EnvDPoP+"=true)")
	f.StringVar(&t.api, "api-url", "", "base `URL` of the protected API ("+EnvAPI+")")
	f.BoolVar(&t.apiIdempotent, "api-idempotent", false, "the protected API honours Idempotency-Key, so a call whose answer was lost may be sent again ("+EnvAPIIdempotent+"=true)")
	f.BoolVar(&t.apiSearch, "api-search", false, "the protected API finds documents by words, so the model is offered search_documents ("+EnvAPISearch+"=true)")
	f.StringVar(&t.policy, "policy", "", "`FILE` that says what calls may ask for beyond the usual wordings ("+EnvPolicy+"; see docs/ceilings.md)")
	f.StringArrayVar(&t.mcp, "mcp", nil, "[NAME=]`URL|COMMAND` of an MCP server whose tools are offered too; may be given again (see docs/mcp.md)")
	f.StringVar(&t.model, "model", "", "model as `PROVIDER/NAME` ("+EnvModel+"; default "+DefaultModel+"); analyst models lists providers")
	f.StringArrayVar(&t.modelOptions, "model-option", nil, "setting of the model as `KEY=VALUE`, such as temperature=0 or max_tokens=2000; may be given again")
	f.StringVar(&t.documents, "documents", "", "`DIR` of texts that the embedded API serves: .md, .txt, .log, .csv, .html")
	f.StringVar(&t.reports, "reports", "", "`DIR` in which the embedded API writes reports (default ./reports)")
	Complete(cmd, "client-secret-file", Files)
	Complete(cmd, "policy", Files)
	Complete(cmd, "model", modelNames)
	Complete(cmd, "model-option", t.settings)
	Complete(cmd, "documents", Dirs)
	Complete(cmd, "reports", Dirs)
	Configurable(cmd.Flags())
}

// AddServerFlags adds those of the servers. The others, which say what a run works
// with, are accepted and hidden, so that the flags of a run point every command at the
// same servers.
func (t *Target) AddServerFlags(cmd *cobra.Command) {
	t.AddFlags(cmd)
	for _, name := range []string{"api-idempotent", "api-search", "policy", "mcp", "model", "model-option", "documents", "reports"} {
		_ = cmd.Flags().MarkHidden(name) // they are there
	}
}

// Settings are what flags and environment come to. Either both servers are embedded
// or neither is.
type Settings struct {
	Embedded           bool
	Kept               bool // the embedded servers keep their state
	LumoAuth           lumoauth.Config
	OAuth              *oauthz.Config // a standard server in its place; nil is none
	DPoP               bool           // tokens are bound to a key
	API                *url.URL
	APIIdempotent      bool // the API honors Idempotency-Key
	APISearch          bool // the API finds documents by words
	Policy             *policy.Policy
	MCP                []mcp.Server
	Model              string
	ModelSettings      map[string]string
	Data               string // where documents go; "" for a model that is not known
	Documents, Reports string // of the embedded API
}

// Resolve puts flags and environment together. All that is wrong is one error, beside what
// the rest comes to. A policy file is held against the tools of kit; a command without tools has nil, and
// reads none.
func (t *Target) Resolve(getenv func(string) string, kit Toolkit) (Settings, error) {
	pick := func(flag string, names ...string) string { return pick(getenv, flag, names...) }
	var wrong Problems
	bad := wrong.Addf

	s := Settings{Model: cmp.Or(pick(t.model, EnvModel), DefaultModel), Documents: t.documents, Reports: t.reports}
	var err error
	if s.Documents != "" {
		if _, err := os.ReadDir(s.Documents); err != nil {
			bad("--documents: %v", err)
		}
	}
	if s.Reports != "" { // which is made when it is needed
		if info, err := os.Stat(s.Reports); err != nil && !errors.Is(err, fs.ErrNotExist) {
			bad("--reports: %v", err)
		} else if err == nil && !info.IsDir() {
			bad("--reports: %s is not a directory", s.Reports)
		}
	}
	if s.ModelSettings, err = modelSettings(t.modelOptions); err != nil {
		bad("%v", err)
	}
	if s.Data, err = models.Destination(s.Model, models.Options{Getenv: getenv}); err != nil {
		bad("%s", strings.TrimPrefix(err.Error(), "models: "))
		s.Data = ""
	}

	yes := func(flag bool, name string) bool {
		v := strings.TrimSpace(getenv(name))
		if v == "" || flag {
			return flag
		}
		said, err := strconv.ParseBool(v)
		if err != nil {
			bad("%s is neither true nor false", name)
		}
		return said
	}
	s.APIIdempotent, s.APISearch = yes(t.apiIdempotent, EnvAPIIdempotent), yes(t.apiSearch, EnvAPISearch)
	s.DPoP = yes(t.dpop, EnvDPoP)
	clientSecret := secret.New(pick("", EnvSecret))
	if t.secretFile != "" {
		if clientSecret, err = secretFrom("--client-secret-file", t.secretFile, false); err != nil {
			bad("%v", err)
		}
	}
	auth, api := lumoauth.Config{
		URL: pick(t.url, EnvURL), Org: pick(t.org, EnvOrg, EnvTenant), LegacyPrefix: t.legacyPrefix,
		ClientID: pick(t.clientID, EnvClientID), ClientSecret: clientSecret, UserAgent: UserAgent(), DPoP: s.DPoP,
	}, pick(t.api, EnvAPI)
	if org, tenant := pick("", EnvOrg), pick("", EnvTenant); t.org == "" && tenant != "" && org != "" && org != tenant {
		bad("%s is %q but %s is %q: unset one", EnvOrg, org, EnvTenant, tenant)
	}
	given := []struct {
		is   bool
		name string
	}{
		{auth.URL != "", EnvURL + " (--lumoauth-url)"},
		{auth.Org != "", EnvOrg + " or " + EnvTenant + " (--org)"},
		{auth.ClientID != "", EnvClientID + " (--client-id)"},
		{!auth.ClientSecret.IsZero() || t.secretFile != "", EnvSecret + " (--client-secret-file)"},
		{api != "", EnvAPI + " (--api-url)"},
	}
	var missing []string
	for _, g := range given {
		if !g.is {
			missing = append(missing, g.name)
		}
	}
	s.OAuth = t.oauth.resolve(pick, api, s.DPoP, bad)
	switch {
	case s.OAuth != nil && (given[0].is || given[1].is || given[2].is || given[3].is):
		bad("both LumoAuth and a server of %s are set: unset one of them", EnvIssuer)
	case s.OAuth != nil:
		if api != "" {
			s.API = parseAPI(api, bad)
		}
	case len(missing) == len(given):
		s.Embedded = true
	case len(missing) > 0:
		// Falling back to the embedded servers would answer from the wrong documents.
		bad("half a configuration: set also %s, or unset all of them to use the embedded servers", strings.Join(missing, ", "))
	default:
		s.LumoAuth, s.API = auth, parseAPI(api, bad)
		if auth.ClientSecret.IsZero() {
			break // which was said
		}
		if _, err := lumoauth.New(s.LumoAuth); err != nil {
			bad("%s", strings.TrimPrefix(err.Error(), "lumoauth: configuration: "))
		}
	}
	if s.API != nil && (t.documents != "" || t.reports != "") {
		bad("--documents and --reports belong to the embedded API, but %s names another", EnvAPI)
	}
	if path := pick(t.policy, EnvPolicy); path != "" && kit != nil {
		if s.Policy, err = readPolicy(path, kit, tools.Options{Search: s.APISearch || s.Embedded}); err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				bad("%s", line)
			}
		}
	}
	for _, text := range t.mcp {
		server, err := mcp.ParseServer(text)
		if err != nil {
			bad("--mcp: %s", strings.TrimPrefix(err.Error(), "mcp: "))
		}
		s.MCP = append(s.MCP, server)
	}
	return s, wrong.Err()
}

// readPolicy reads a policy file for the tools of kit.
func readPolicy(path string, kit Toolkit, opts tools.Options) (*policy.Policy, error) {
	text, err := disk.ReadFile(path, yamlfile.MaxBytes, nil)
	if err != nil {
		return nil, fmt.Errorf("--policy: %w", err)
	}
	made, err := kit(&url.URL{Scheme: "https", Host: "api.invalid"}, opts) // for their names alone
	if err != nil {
		return nil, err
	}
	return policy.Parse(text, tools.Arguments(made))
}

// modelSettings reads the values of --model-option.
func modelSettings(options []string) (map[string]string, error) {
	settings := map[string]string{}
	for _, option := range options {
		key, value, ok := strings.Cut(option, "=")
		if _, twice := settings[key]; !ok || key == "" || value == "" || twice {
			return nil, fmt.Errorf("--model-option %s: write each setting once, as key=value", plain.Line(option, 80))
		}
		settings[key] = value
	}
	return settings, nil
}

// secretFrom reads the secret that a file holds; a private one is its owner's alone.
func secretFrom(flag, path string, private bool) (secret.String, error) {
	var check func(string, fs.FileInfo) error
	if private {
		check = disk.Secret
	}
	text, err := disk.ReadFile(path, 64<<10, check)
	s := strings.TrimSpace(string(text))
	if err == nil && s == "" {
		err = fmt.Errorf("%s is empty", path)
	}
	if err != nil {
		return secret.String{}, fmt.Errorf("%s: %w", flag, err)
	}
	return secret.New(s), nil
}

// parseAPI checks the base URL of the protected API.
func parseAPI(raw string, bad func(string, ...any)) *url.URL {
	u, err := url.Parse(raw)
	if err != nil {
		bad("%s does not parse as a URL", EnvAPI)
		return nil
	}
	if _, err := jit.OriginOf(u); err != nil {
		bad("%s: %v", EnvAPI, strings.TrimPrefix(err.Error(), "jit: "))
		return nil
	}
	if u.RawQuery != "" || u.Fragment != "" {
		bad("%s must have no query and no fragment", EnvAPI)
	}
	return u
}
