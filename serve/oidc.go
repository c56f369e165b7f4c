package serve

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/jitagent/jitagent/resource"
	"github.com/jitagent/jitagent/secret"
)

// Issuer is an OpenID provider, or another server of JWTs, whose access tokens users come
// with (RFC 9068).
type Issuer struct {
	URL      string // as its tokens and its metadata name it. Required
	Audience string // what tokens for this server have in aud. Required: those for others are refused
	Groups   string // the claim with the user's groups; "" is "groups"
	Client   *http.Client
}

// Issued returns an authenticator by the access tokens of an issuer, whose metadata it reads
// within ctx. A user's id is made of issuer and subject, so that no other issuer's user has
// it. An email counts where the issuer says that it is verified.
func Issued(ctx context.Context, i Issuer) (Authenticator, error) {
	if i.Audience == "" {
		return nil, errors.New("serve: an issuer needs an audience: its tokens for others are not for this server")
	}
	v, err := resource.New(ctx, resource.Config{Issuer: i.URL, Audience: i.Audience, Trust: resource.Signed, HTTPClient: i.Client})
	if err != nil {
		return nil, fmt.Errorf("serve: %w", err)
	}
	if i.Groups == "" {
		i.Groups = "groups"
	}
	return &issued{i, v}, nil
}

type issued struct {
	Issuer
	tokens *resource.Verifier
}

// Authenticate implements [Authenticator].
func (i *issued) Authenticate(ctx context.Context, token secret.String) (Principal, error) {
	if token.Reveal() == "" {
		return Principal{}, ErrNoUser
	}
	r := &http.Request{URL: &url.URL{}, Header: http.Header{"Authorization": {"Bearer " + token.Reveal()}}}
	t, err := i.tokens.Verify(ctx, r)
	switch {
	case errors.Is(err, resource.ErrUnavailable):
		return Principal{}, err
	case err != nil:
		return Principal{}, fmt.Errorf("%w: %w", ErrNoUser, err)
	}
	sum := sha256.Sum256([]byte(i.URL + "\x00" + t.Subject))
	user := Principal{
		ID:     strings.ToLower(base32.StdEncoding.EncodeToString(sum[:20])),
		Issuer: i.URL, Groups: t.Claims.Texts(i.Groups),
	}
	if t.Claims.Flag("email_verified") {
		user.Email = t.Claims.Text("email")
	}
	return user, nil
}
