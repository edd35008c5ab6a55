//go:build !linux

package e2e

import "testing"

func mountSmall(*testing.T, string) bool { return false }

func mountTiny(*testing.T, string) bool { return false }
