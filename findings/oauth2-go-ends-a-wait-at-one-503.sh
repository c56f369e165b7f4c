#!/usr/bin/env bash
# A program that waits for a person to approve a device (RFC 8628) with the Go project's
# OAuth library, and a server that is restarted in the meantime.
#
# golang.org/x/oauth2 v0.36.0.
#
# One would guess that DeviceAccessToken asks until the person has decided or the code
# has expired, and that a poll which got no decision (503, or a connection that broke) is
# one of many: section 3.5 has a client slow down after a timeout, and ask again.
# Seen: the first such poll ends the wait with its error, though the code is good for half
# an hour more. The person says yes to nobody, and has to be asked again.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat > go.mod <<'M'
module finding

go 1.26

require golang.org/x/oauth2 v0.36.0
M
cat > main.go <<'M'
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"

	"golang.org/x/oauth2"
)

// serve says "not yet", then what fails says, and then that the person has approved.
func serve(fails http.HandlerFunc) (*httptest.Server, *int) {
	polls := 0
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/device" {
			_, _ = io.WriteString(w, `{"device_code":"d","user_code":"U","verification_uri":"https://as.test/device","expires_in":1800,"interval":1}`)
			return
		}
		polls++
		switch polls {
		case 1:
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"error":"authorization_pending"}`)
		case 2:
			fails(w, r)
		default:
			_, _ = io.WriteString(w, `{"access_token":"a","token_type":"Bearer","expires_in":60}`)
		}
	})), &polls
}

func main() {
	ctx := context.Background()
	changed := false
	for _, fault := range []struct {
		name  string
		fails http.HandlerFunc
		polls int
	}{
		{"not yet, once more", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"error":"authorization_pending"}`)
		}, 3},
		{"503", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, 2},
		{"a connection that breaks", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 2},
	} {
		server, polls := serve(fault.fails)
		config := &oauth2.Config{ClientID: "agent", Endpoint: oauth2.Endpoint{DeviceAuthURL: server.URL + "/device", TokenURL: server.URL + "/token", AuthStyle: oauth2.AuthStyleInParams}}
		asked, err := config.DeviceAuth(ctx)
		if err != nil {
			panic(err)
		}
		token, err := config.DeviceAccessToken(ctx, asked)
		fmt.Printf("%s: a token after %d polls: %t, error: %v\n", fault.name, *polls, token != nil, err)
		changed = changed || *polls != fault.polls || (err == nil) != (fault.polls == 3)
		server.Close()
	}
	if changed {
		fmt.Println("changed")
		os.Exit(1)
	}
}
M
go mod tidy >/dev/null 2>&1
go run .
