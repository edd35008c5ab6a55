// Command serve shows the status page on a site that is made up, for whoever works on the page.
package main

import (
	"flag"
	"fmt"
	"net/http"
	"os"

	"github.com/weirhq/weir/test/browser/stage"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:9191", "address")
	pools := flag.Int("pools", 0, "pools beside the named ones")
	servers := flag.Int("servers", 10, "servers in each of these")
	flag.Parse()
	s := stage.New(*pools, *servers)
	go s.Run(nil)
	fmt.Println("open http://" + *listen + "/")
	fmt.Fprintln(os.Stderr, http.ListenAndServe(*listen, s.Handler()))
	os.Exit(1)
}
