package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/rar"
)

// mayRead is the ceiling of a call: reading one shipment, and nothing else.
func mayRead(origin jit.Origin, id string) []rar.Detail {
	return []rar.Detail{{
		Type: "shipment", Actions: []string{"read"}, Identifier: id, Locations: []string{origin.String()},
	}}
}

// maxBody bounds what is read of an answer.
const maxBody = 1 << 20

// get is ordinary net/http. The context says for which call it works.
func get(ctx context.Context, client *http.Client, url string) (status string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the API answered %s", resp.Status)
	}
	var shipment struct {
		Status string `json:"status"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxBody)).Decode(&shipment); err != nil {
		return "", fmt.Errorf("the API's answer: %w", err)
	}
	return shipment.Status, nil
}
