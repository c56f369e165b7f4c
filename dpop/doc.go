// Package dpop proves, for OAuth tokens that are bound to a key, that their sender has
// the key (DPoP, RFC 9449): a [Key] signs a proof for each request of a client, and a
// [Verifier] checks the proofs that a server is sent. A token that was copied is of no
// use without the key.
//
// Invariants:
//
//   - A private key is made here, stays in memory and is never shown: no verb, logger or
//     encoder reaches it. What it was for ends with the process.
//   - A token goes out with the scheme DPoP and a proof that names it, made for that one
//     sending. There is no way here to send it as a bearer token.
//   - A proof counts once, at one server, for one method, URL and token, and about now.
//     What cannot be checked is refused.
//
// Proofs are signed with ES256. ES256 and EdDSA are taken: the key comes with the proof,
// and whoever sends a large RSA key decides what it costs to check.
//
// The package sends nothing by itself and knows neither tokens nor who issues them.
package dpop

import "net/http"

// The wire names of RFC 9449.
const (
	// Scheme is the authentication scheme, and the token_type, of a token that is bound
	// to a key (sections 5 and 7.1).
	Scheme = "DPoP"
	// Header carries the proof (section 4.1).
	Header = "DPoP"
	// HeaderNonce carries what the next proof must repeat (section 8).
	HeaderNonce = "DPoP-Nonce"
	// Algorithms are those that [Verifier] takes, as the challenge parameter algs lists
	// them (section 7.1).
	Algorithms = "ES256 EdDSA"

	// CodeProof and CodeNonce are the error codes of a proof that is not good, and of
	// one without the nonce that the server wants (sections 5 and 8).
	CodeProof = "invalid_dpop_proof"
	CodeNonce = "use_dpop_nonce"
)

const (
	typ      = "dpop+jwt" // section 4.2
	maxProof = 8 << 10    // bytes of a proof
	maxNonce = 1 << 10    // bytes of a nonce
)

// claims are the payload of a proof (section 4.2).
type claims struct {
	ID     string  `json:"jti"`
	Method string  `json:"htm"`
	URL    string  `json:"htu"`
	Made   float64 `json:"iat"` // seconds
	Token  string  `json:"ath,omitempty"`
	Nonce  string  `json:"nonce,omitempty"`
}

// header returns the one value of a header field; "" where there is none, or several.
func header(h http.Header, name string) string {
	if values := h.Values(name); len(values) == 1 {
		return values[0]
	}
	return ""
}
