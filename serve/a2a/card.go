package a2a

import (
	"encoding/json"
	"net/http"

	"github.com/a2aproject/a2a-go/v2/a2a"
)

// card describes the agent. Its skills are told to users only: everybody learns that there
// is an agent, and how to reach it.
func (h *Handler) card(known bool) *a2a.AgentCard {
	name, text := h.app, h.cfg.Agent.Description()
	card := &a2a.AgentCard{
		Name: name, Description: text, Version: h.cfg.Version,
		SupportedInterfaces: []*a2a.AgentInterface{
			{URL: h.cfg.URL.JoinPath(Path).String(), ProtocolBinding: a2a.TransportProtocolJSONRPC, ProtocolVersion: a2a.Version},
		},
		Capabilities:      a2a.AgentCapabilities{Streaming: true, ExtendedAgentCard: true},
		DefaultInputModes: []string{"text/plain"}, DefaultOutputModes: []string{"text/plain"},
		SecuritySchemes:      a2a.NamedSecuritySchemes{"bearer": a2a.HTTPAuthSecurityScheme{Scheme: "Bearer"}},
		SecurityRequirements: a2a.SecurityRequirementsOptions{{"bearer": {}}},
		Skills:               []a2a.AgentSkill{{ID: name, Name: name, Description: text, Tags: []string{"agent"}}},
	}
	if h.turns.Decider != nil {
		card.Capabilities.Extensions = []a2a.AgentExtension{{URI: hitl, Description: "calls that wait for a decision, each of which is decided by itself"}}
	}
	if known {
		for _, t := range h.cfg.Tools {
			card.Skills = append(card.Skills, a2a.AgentSkill{ID: t.Name(), Name: t.Name(), Description: t.Description(), Tags: []string{"tool"}})
		}
	}
	return card
}

func (h *Handler) serveCard(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	_ = json.NewEncoder(w).Encode(h.card(false)) // whoever asked is gone
}
