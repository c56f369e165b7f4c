//go:build !linux

package sqlite_test

import "errors"

func childLimited(string) error { return errors.ErrUnsupported }
