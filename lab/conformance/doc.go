// Package conformance holds package mcp, under the engine of package jit, to the MCP
// project's own conformance suite (npm @modelcontextprotocol/conformance), which plays the
// servers. "make conformance" runs it; docs/mcp.md keeps its table. The test program is the
// client as well: the suite starts it once for each scenario.
package conformance
