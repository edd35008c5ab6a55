package config

import "testing"

func TestMeets(t *testing.T) {
	for pair, want := range map[[2]string]bool{
		{"127.0.0.1:8125", "127.0.0.1:8125"}: true, {"localhost:8125", "127.0.0.1:8125"}: true, {":8125", "[::1]:8125"}: true, {"10.0.0.1:8125", "10.0.0.1:8125"}: true,
		{"127.0.0.1:8125", "127.0.0.1:8126"}: false, {"127.0.0.1:8125", "10.0.0.1:8125"}: false, {":8125", "10.0.0.1:8125"}: false, {"10.0.0.1:8125", "localhost:8125"}: false, {"x", "y"}: false,
	} {
		if meets(pair[0], pair[1]) != want {
			t.Errorf("%v: %v", pair, !want)
		}
	}
}
