package gemini

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"

	"cloud.google.com/go/auth/credentials"

	"github.com/jitagent/jitagent/internal/lazy"
	"github.com/jitagent/jitagent/models/provider"
	"github.com/jitagent/jitagent/secret"
)

// A Vertex says which project on Vertex AI answers, and who asks.
type Vertex struct {
	// Project is the Google Cloud project's id. Required.
	Project string
	// Location is a region such as europe-west4, or one of global, us and eu.
	// Required: it decides where documents are processed.
	Location string
	// Token gives an access token for each request; it keeps its own cache. nil means
	// Application Default Credentials, which are looked for when the model is opened.
	Token func(context.Context) (secret.String, error)
}

// Both become parts of a URL, the location of its host name.
var (
	projects  = lazy.Regexp(`^[a-z0-9][a-z0-9.:-]{0,127}$`)
	locations = regexp.MustCompile(`^[a-z]+(-[a-z0-9]+){0,3}$`)
)

// VertexHost returns the host that serves a location of Vertex AI.
func VertexHost(location string) string {
	switch location {
	case "global":
		return "aiplatform.googleapis.com"
	case "us", "eu":
		return "aiplatform." + location + ".rep.googleapis.com"
	}
	return location + "-aiplatform.googleapis.com"
}

// errNoToken is a call for which no access token could be had. What the token
// endpoint said is not in it.
var errNoToken = errors.New("no access token")

// Validate reports whether project and location have the form of such, which keeps
// them from naming another host.
func (v *Vertex) Validate() error {
	if !projects().MatchString(v.Project) || !locations.MatchString(v.Location) {
		return fmt.Errorf("models: malformed project or location for Vertex AI: use those such as acme-corp-1 and europe-west4")
	}
	return nil
}

// authorized returns c with an access token on every request to base's origin.
func (v *Vertex) authorized(ctx context.Context, c *http.Client, base *url.URL) (*http.Client, error) {
	t := &bearer{base: c.Transport, origin: origin(base), token: v.Token}
	if t.token == nil {
		found, err := credentials.DetectDefault(&credentials.DetectOptions{
			Scopes: []string{"https://www.googleapis.com/auth/cloud-platform"},
		})
		if err != nil {
			// The cause may quote the file that it could not read.
			return nil, fmt.Errorf("models: gemini needs Google Cloud credentials for Vertex AI: run gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS")
		}
		t.token = func(ctx context.Context) (secret.String, error) {
			token, err := found.Token(ctx)
			if err != nil {
				return secret.String{}, err // bearer drops it: it holds the endpoint's answer
			}
			return secret.New(token.Value), nil
		}
		if t.quota, err = found.QuotaProjectID(ctx); err != nil {
			return nil, fmt.Errorf("models: gemini cannot read the quota project of the Google Cloud credentials: set GOOGLE_CLOUD_QUOTA_PROJECT")
		}
	}
	out := *c
	out.Transport = t
	return &out, nil
}

// bearer adds access tokens. Its base is what caps and reports.
type bearer struct {
	base   http.RoundTripper
	origin string
	token  func(context.Context) (secret.String, error)
	quota  string // the project that is billed, where the credentials name one
}

// RoundTrip implements [http.RoundTripper].
func (t *bearer) RoundTrip(req *http.Request) (*http.Response, error) {
	if origin(req.URL) != t.origin {
		closeBody(req)
		return nil, fmt.Errorf("models: gemini: a request left the origin that the model was opened for")
	}
	token, err := t.token(req.Context())
	if err != nil {
		closeBody(req)
		if ended := req.Context().Err(); ended != nil {
			return nil, ended
		}
		return nil, errNoToken
	}
	out := req.Clone(req.Context())
	out.Header.Set("Authorization", "Bearer "+token.Reveal())
	if t.quota != "" {
		out.Header.Set("X-Goog-User-Project", t.quota)
	}
	return t.base.RoundTrip(out)
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}

func origin(u *url.URL) string { return u.Scheme + "://" + u.Host }

var tokenless = provider.Problem{
	Text:   "no access token could be had for Vertex AI",
	Remedy: "run gcloud auth application-default login, or check GOOGLE_APPLICATION_CREDENTIALS",
}
