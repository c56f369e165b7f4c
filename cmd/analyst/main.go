// Command analyst runs an agent that fetches protected documents, summarises them
// and writes reports, with just-in-time authority for each call.
//
// With nothing configured it starts an authorization server, a protected API and
// an offline model of its own, on loopback, and does the real job:
//
//	analyst run "Fetch document doc_9982, summarize it, and create a report titled 'Q4 Analysis'."
//
// See analyst --help, and docs/ for what stands behind it.
package main

import (
	"context"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// Libraries below write to the standard logger, past our own and past what it
	// may show. What matters of it comes back as errors.
	log.SetOutput(io.Discard)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal ends the work in order; after it, the next one ends the
	// process at once, as if nobody had listened.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr))
}
