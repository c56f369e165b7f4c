//go:build !nowebui

package serve

import (
	"fmt"
	"net/http"

	"github.com/gorilla/mux"
	"google.golang.org/adk/v2/cmd/launcher/web/webui"
)

// webUI returns ADK's web UI, for below /ui/.
func webUI() (http.Handler, error) {
	ui := webui.NewLauncher()
	if _, err := ui.Parse([]string{"-api_server_address", "/api"}); err != nil {
		return nil, fmt.Errorf("the web UI: %w", err)
	}
	router := mux.NewRouter()
	return router, ui.SetupSubrouters(router, nil)
}
