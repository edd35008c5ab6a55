package keeper

import "syscall"

// nicer makes a process that began a session, and so is alone in its group, nicer than this one by so much, with all threads that it has or
// will have.
func nicer(pid, by int) error {
	mine, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	if err != nil {
		return err
	}
	return syscall.Setpriority(syscall.PRIO_PGRP, pid, min(20-mine+by, 19)) // the system call has 20 - nice
}
