package sqlite_test

import (
	"flag"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// childVar names the part that a copy of this test binary plays.
const childVar = "JOURNAL_TEST_CHILD"

func TestMain(m *testing.M) {
	if part := os.Getenv(childVar); part != "" {
		os.Exit(child(part))
	}
	// Each check opens real files. The command line still overrides it.
	if err := flag.Set("rapid.checks", "25"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}
