package jit_test

import (
	"fmt"
	"net/http"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/jitagent/jitagent/jit"
)

// TestMain fails when the tests leave a goroutine behind.
func TestMain(m *testing.M) {
	code := m.Run()
	(&jit.Transport{}).CloseIdleConnections()
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}
