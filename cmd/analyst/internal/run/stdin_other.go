//go:build !unix

package run

import "os"

func waits(*os.File) bool { return false }
