package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/models"
	"github.com/jitagent/jitagent/secret"
)

// The environment variables. Flags win over them.
const (
	envURL      = "LUMOAUTH_URL"
	envOrg      = "LUMOAUTH_ORG_ID"
	envTenant   = "LUMOAUTH_TENANT" // the older name of the same thing
	envClientID = "AGENT_CLIENT_ID"
	envSecret   = "AGENT_CLIENT_SECRET" //nolint:gosec // the name of a variable
	envAPI      = "ANALYST_API_URL"
	envModel    = "ANALYST_MODEL"

	envAPIIdempotent = "ANALYST_API_IDEMPOTENT"
)

const defaultModel = "offline"

// target are the flags that say which servers and which model a command works
// with. The client secret has no flag: arguments are visible to every user of the
// machine.
type target struct {
	url, org, clientID, secretFile string
	legacyPrefix                   bool
	api, model                     string
	modelOptions                   []string
	apiIdempotent                  bool
	documents, reports             string
}

func (t *target) flags(f *pflag.FlagSet) {
	f.StringVar(&t.url, "lumoauth-url", "", "LumoAuth instance ("+envURL+")")
	f.StringVar(&t.org, "org", "", "organization slug ("+envOrg+" or "+envTenant+")")
	f.BoolVar(&t.legacyPrefix, "legacy-prefix", false, "use LumoAuth's older paths /t/{tenant}/api/v1")
	f.StringVar(&t.clientID, "client-id", "", "the agent's OAuth client id ("+envClientID+")")
	f.StringVar(&t.secretFile, "client-secret-file", "", "file that holds the client secret (or set "+envSecret+")")
	f.StringVar(&t.api, "api-url", "", "base URL of the protected API ("+envAPI+")")
	f.BoolVar(&t.apiIdempotent, "api-idempotent", false, "the protected API honours Idempotency-Key, so a call whose answer was lost may be sent again ("+envAPIIdempotent+"=true)")
	f.StringVar(&t.model, "model", "", "model as provider/name ("+envModel+"; default "+defaultModel+")")
	f.StringArrayVar(&t.modelOptions, "model-option", nil, "setting of the model as key=value, such as temperature=0 or max_tokens=2000; may be given again")
	f.StringVar(&t.documents, "documents", "", "serve the .md and .txt files of this directory from the embedded API")
	f.StringVar(&t.reports, "reports", "", "where the embedded API writes reports (default ./reports)")
}

// settings are what flags and environment come to. Either both servers are
// embedded or neither is.
type settings struct {
	embedded           bool
	lumoauth           lumoauth.Config
	api                *url.URL
	apiIdempotent      bool // the API honours Idempotency-Key
	model              string
	modelSettings      map[string]string
	data               string // where documents go
	documents, reports string
}

// resolve puts flags and environment together. All that is wrong is one error.
func (t *target) resolve(getenv func(string) string) (settings, error) {
	pick := func(flag string, names ...string) string {
		for _, name := range names {
			if flag == "" {
				flag = strings.TrimSpace(getenv(name))
			}
		}
		return flag
	}
	var problems []string
	bad := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }

	s := settings{model: pick(t.model, envModel), documents: t.documents, reports: t.reports}
	if s.model == "" {
		s.model = defaultModel
	}
	var err error
	if s.modelSettings, err = modelSettings(t.modelOptions); err != nil {
		bad("%v", err)
	}
	if s.data, err = models.Destination(s.model, models.Options{Getenv: getenv}); err != nil {
		bad("%s", strings.TrimPrefix(err.Error(), "models: "))
	}

	s.apiIdempotent = t.apiIdempotent
	if v := strings.TrimSpace(getenv(envAPIIdempotent)); v != "" && !t.apiIdempotent {
		if s.apiIdempotent, err = strconv.ParseBool(v); err != nil {
			bad("%s is neither true nor false", envAPIIdempotent)
		}
	}
	clientSecret, err := t.secret(getenv)
	if err != nil {
		bad("%v", err)
	}
	given := []struct{ value, missing string }{
		{pick(t.url, envURL), envURL + " (--lumoauth-url)"},
		{t.orgFrom(getenv, bad), envOrg + " or " + envTenant + " (--org)"},
		{pick(t.clientID, envClientID), envClientID + " (--client-id)"},
		{boolText(!clientSecret.IsZero()), envSecret + " (--client-secret-file)"},
		{pick(t.api, envAPI), envAPI + " (--api-url)"},
	}
	var missing []string
	for _, g := range given {
		if g.value == "" {
			missing = append(missing, g.missing)
		}
	}
	switch {
	case len(missing) == len(given):
		s.embedded = true
	case len(missing) > 0:
		// Falling back to the embedded servers would answer from the wrong documents.
		bad("half a configuration: set also %s, or unset all of them to use the embedded servers", strings.Join(missing, ", "))
	default:
		s.lumoauth = lumoauth.Config{
			URL: given[0].value, Org: given[1].value, LegacyPrefix: t.legacyPrefix,
			ClientID: given[2].value, ClientSecret: clientSecret, UserAgent: userAgent(),
		}
		s.api = parseAPI(given[4].value, bad)
		if t.documents != "" || t.reports != "" {
			bad("--documents and --reports belong to the embedded API, but %s names another", envAPI)
		}
		if _, err := lumoauth.New(s.lumoauth); err != nil {
			var wrong *lumoauth.ConfigError
			if errors.As(err, &wrong) {
				problems = append(problems, wrong.Problems...)
			} else {
				bad("%v", err)
			}
		}
	}
	if len(problems) > 0 {
		return settings{}, usageError("%s", strings.Join(problems, "; "))
	}
	return s, nil
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

// orgFrom reads the organization, which has two names in the environment.
func (t *target) orgFrom(getenv func(string) string, bad func(string, ...any)) string {
	org, tenant := strings.TrimSpace(getenv(envOrg)), strings.TrimSpace(getenv(envTenant))
	switch {
	case t.org != "":
		return t.org
	case org != "" && tenant != "" && org != tenant:
		bad("%s is %q but %s is %q: unset one", envOrg, org, envTenant, tenant)
	case org == "":
		return tenant
	}
	return org
}

// secret reads the client secret from the file or the environment.
func (t *target) secret(getenv func(string) string) (secret.String, error) {
	if t.secretFile == "" {
		return secret.New(strings.TrimSpace(getenv(envSecret))), nil
	}
	info, err := os.Stat(t.secretFile)
	if err != nil {
		return secret.String{}, fmt.Errorf("--client-secret-file: %w", err)
	}
	if info.Size() > 64<<10 || info.IsDir() {
		return secret.String{}, fmt.Errorf("--client-secret-file: %s is not a file that holds a secret", t.secretFile)
	}
	text, err := os.ReadFile(t.secretFile)
	if err != nil {
		return secret.String{}, fmt.Errorf("--client-secret-file: %w", err)
	}
	s := strings.TrimSpace(string(text))
	if s == "" {
		return secret.String{}, fmt.Errorf("--client-secret-file: %s is empty", t.secretFile)
	}
	return secret.New(s), nil
}

// parseAPI checks the base URL of the protected API.
func parseAPI(raw string, bad func(string, ...any)) *url.URL {
	u, err := url.Parse(raw)
	if err != nil {
		bad("%s does not parse as a URL", envAPI)
		return nil
	}
	if _, err := jit.OriginOf(u); err != nil {
		bad("%s: %v", envAPI, strings.TrimPrefix(err.Error(), "jit: "))
		return nil
	}
	if u.RawQuery != "" || u.Fragment != "" {
		bad("%s must have no query and no fragment", envAPI)
	}
	return u
}

func boolText(b bool) string {
	if b {
		return "set"
	}
	return ""
}
