package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	adk "google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/agent/llmagent"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/adk/v2/tool/functiontool"
)

// This file is the app as it was: plain ADK tools over plain net/http. Package jit
// is not in it.

// TicketArgs are the arguments of both tools.
type TicketArgs struct {
	ID string `json:"id" jsonschema:"number of the ticket such as tck_7"`
}

// Ticket is their result.
type Ticket struct {
	ID    string `json:"id"`
	State string `json:"state"`
}

// A desk is the tickets API as the tools use it.
type desk struct {
	client *http.Client
	api    *url.URL
}

func (d *desk) getTicket() (tool.Tool, error) {
	return functiontool.New(functiontool.Config{Name: "get_ticket", Description: "Returns one support ticket."},
		func(ctx adk.Context, a TicketArgs) (Ticket, error) {
			return d.do(ctx, http.MethodGet, d.api.JoinPath("v1/tickets", a.ID))
		})
}

func (d *desk) closeTicket() (tool.Tool, error) {
	return functiontool.New(functiontool.Config{Name: "close_ticket", Description: "Closes one support ticket."},
		func(ctx adk.Context, a TicketArgs) (Ticket, error) {
			return d.do(ctx, http.MethodPost, d.api.JoinPath("v1/tickets", a.ID, "close"))
		})
}

// maxBody bounds what is read of an answer.
const maxBody = 1 << 20

func (d *desk) do(ctx context.Context, method string, at *url.URL) (t Ticket, err error) {
	req, err := http.NewRequestWithContext(ctx, method, at.String(), nil)
	if err != nil {
		return Ticket{}, err
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return Ticket{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return Ticket{}, fmt.Errorf("the tickets API answered %s", resp.Status)
	}
	err = json.NewDecoder(io.LimitReader(resp.Body, maxBody)).Decode(&t)
	return t, err
}

func newAgent(llm model.LLM, tools ...tool.Tool) (adk.Agent, error) {
	return llmagent.New(llmagent.Config{
		Name:        "support_desk",
		Instruction: "You answer questions about support tickets and close them when asked.",
		Model:       llm,
		Tools:       tools,
		// Left unset, ADK writes it at the first run, which races with others.
		Mode: llmagent.ModeChat,
	})
}
