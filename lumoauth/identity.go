package lumoauth

import (
	"context"
	"errors"
	"net/http"

	"github.com/jitagent/jitagent/oauth"
)

// An Identity is the agent as the server knows it, as far as it says.
type Identity struct {
	ID           string
	AgentID      string
	Type         string // "agent"
	Name         string
	Tenant       string
	Status       string
	Capabilities []string
	Scopes       []string
}

// Me reads who the agent is. Older instances answer flat, newer ones nest it under
// "identity"; both are read.
func (c *Client) Me(ctx context.Context) (Identity, error) {
	r := call{op: "read the agent's identity", method: http.MethodGet, path: path("agents", "me"), repeat: repeatSafe}
	return ask(ctx, r, c.asAgent, decodeIdentity)
}

func decodeIdentity(a answer) (Identity, error) {
	flat, err := oauth.Decode(a.body)
	if err != nil {
		return Identity{}, err
	}
	nested := flat.Object("identity")
	text := func(name string) string {
		v := nested.Text(name)
		if v == "" {
			v = flat.Text(name)
		}
		return a.clean(v, 2*maxLabel)
	}
	texts := func(name string) []string {
		out := append(flat.Texts(name), nested.Texts(name)...)
		for i := range out {
			out[i] = a.clean(out[i], maxLabel)
		}
		return out
	}
	id := Identity{
		ID: text("id"), AgentID: text("agent_id"), Type: text("type"), Name: text("name"),
		Tenant: text("tenant"), Status: text("status"),
		Capabilities: texts("capabilities"), Scopes: texts("scopes"),
	}
	if id.ID == "" && id.AgentID == "" {
		return Identity{}, errors.New("names no agent")
	}
	return id, nil
}
