package main

import "context"

func fullDisk(context.Context, *bench) ([]*row, error) { return nil, nil }
func damage(context.Context, *bench) ([]*row, error)   { return nil, nil }
func deleted(context.Context, *bench) ([]*row, error)  { return nil, nil }
func taskEnds(context.Context, *bench) ([]*row, error) { return nil, nil }
