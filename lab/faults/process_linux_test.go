package faults

import "syscall"

// diesWithUs makes a process die when this one is killed: nothing is left running.
func diesWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
