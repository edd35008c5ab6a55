//go:build !linux

package keeper

import "syscall"

const soReuseport = syscall.SO_REUSEPORT
