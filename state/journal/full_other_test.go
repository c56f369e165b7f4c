//go:build !linux

package journal_test

import "errors"

func childLimited(string) error { return errors.ErrUnsupported }
