//go:build !linux

package faults

import "syscall"

func diesWithUs() *syscall.SysProcAttr { return nil }
