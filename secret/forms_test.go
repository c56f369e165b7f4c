package secret_test

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/jitagent/jitagent/secret"
)

// TestFormsFindTheValueInEncodedText encodes the value within longer texts.
func TestFormsFindTheValueInEncodedText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.StringMatching(`[A-Za-z0-9+/=._~-]{8,60}`).Draw(t, "value")
		before := rapid.StringMatching(`[ -~]{0,12}`).Draw(t, "before")
		after := rapid.StringMatching(`[ -~]{0,12}`).Draw(t, "after")
		whole := []byte(before + value + after)
		for name, text := range map[string]string{
			"as it is": string(whole), "query": url.QueryEscape(string(whole)), "path": url.PathEscape(string(whole)),
			"hex": hex.EncodeToString(whole), "HEX": strings.ToUpper(hex.EncodeToString(whole)),
			"base64": base64.StdEncoding.EncodeToString(whole), "base64url": base64.RawURLEncoding.EncodeToString(whole),
		} {
			found := false
			for _, form := range secret.New(value).Forms() {
				found = found || form != "" && strings.Contains(text, form)
			}
			if !found {
				t.Errorf("%s: no form of %q is in %q", name, value, text)
			}
		}
	})
}

func TestFormsOfNothingAreEmpty(t *testing.T) {
	for _, form := range (secret.String{}).Forms() {
		if form != "" {
			t.Errorf("form %q of nothing", form)
		}
	}
}
