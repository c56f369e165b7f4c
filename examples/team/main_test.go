package main

import (
	"testing"

	"github.com/jitagent/jitagent/examples/internal/exampletest"
	"github.com/jitagent/jitagent/jit/jittest"
	"github.com/jitagent/jitagent/jit/jittest/adktest"
	"github.com/jitagent/jitagent/models/modeltest"
	"github.com/jitagent/jitagent/runner"
)

func TestMain(m *testing.M) { exampletest.Main(m, main) }

func TestREADME(t *testing.T) { exampletest.README(t) }

// The reader never asks for what the writer may, whatever API, server and model say.
func TestReaderWritesNothing(t *testing.T) {
	for name, behaviour := range jittest.Hostile() {
		t.Run(name, func(t *testing.T) {
			w := jittest.Start(t, behaviour)
			team, err := newTeam(w.API, misled(), modeltest.NewScript(modeltest.Text("Nothing to do.")))
			if err != nil {
				t.Fatal(err)
			}
			adktest.RunAgent(t, w, team, "go", func(cfg *runner.Config) { cfg.Ceilings = ceilings })
			read := jittest.Read("doc_9982")
			read.Locations = []string{w.API.String()}
			w.AskedWithin(read)
			w.NothingLeft()
		})
	}
}
