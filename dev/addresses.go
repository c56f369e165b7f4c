package dev

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/jitagent/jitagent/internal/disk"
)

// addresses are where servers listened the last time. Where an API is stands in what it
// demands, and where the authorization server is in the name by which journals know it:
// at other addresses, nobody goes on with what was open.
type addresses struct {
	Auth  string `json:"auth"`
	API   string `json:"api,omitempty"`
	Model string `json:"model,omitempty"`
}

func (cfg Config) addressFile() string { return filepath.Join(cfg.StateDir, "addresses.json") }

// again returns cfg with the addresses of the last time in place of those that name no
// port, and whether there are any.
func (cfg Config) again() (Config, bool) {
	text, err := os.ReadFile(cfg.addressFile())
	var last addresses
	if cfg.StateDir == "" || err != nil || json.Unmarshal(text, &last) != nil {
		return cfg, false // the first time, or as if it were
	}
	found := false
	for addr, was := range map[*string]string{&cfg.AuthAddr: last.Auth, &cfg.APIAddr: last.API, &cfg.ModelAddr: last.Model} {
		if (*addr == "" || *addr == "127.0.0.1:0") && strings.HasPrefix(was, "127.0.0.1:") {
			*addr, found = was, true
		}
	}
	return cfg, found
}

// keepAddresses notes where the servers listen, for the next time.
func (s *Servers) keepAddresses(cfg Config) error {
	if cfg.StateDir == "" {
		return nil
	}
	now := addresses{Auth: strings.TrimPrefix(s.AuthURL, "http://")}
	if s.API != nil {
		now.API = s.API.Host
	}
	if s.Model != nil {
		now.Model = s.Model.Host
	}
	text, err := json.Marshal(now)
	if was, unread := os.ReadFile(cfg.addressFile()); err == nil && (unread != nil || string(was) != string(text)) {
		err = disk.Replace(cfg.addressFile(), text, 0o600)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("dev: addresses: %w", err), s.Close())
	}
	return nil
}
