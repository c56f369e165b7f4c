package main

import (
	"testing"

	"github.com/jitagent/jitagent/examples/internal/exampletest"
)

func TestMain(m *testing.M) { exampletest.Main(m, main) }

func TestREADME(t *testing.T) { exampletest.README(t) }
