// Package jit is the engine.
package jit
