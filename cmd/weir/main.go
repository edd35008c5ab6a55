// Command weir is the web tier of a dynamic site in one program. All of it is in internal/cli and below.
package main

import (
	"os"

	"github.com/weirhq/weir/internal/cli"
)

func main() { os.Exit(cli.Main()) }
